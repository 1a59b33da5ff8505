"""Read images from users: six formats, limited size, turned upright, converted to RGB.

No other module opens image files.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmrec_core.errors import MMRecError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats that Pillow may detect.

Others are left out: they start programs (EPS runs Ghostscript) or are badly maintained.
"""
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
"""File name endings of these formats."""
MAX_PIXELS = 40_000_000
MAX_BYTES = 100 << 20
STRIP = 256
"""Rows that are converted at a time."""
LARGE_PIXELS = 4_000_000
_large = threading.Lock()
"""Images above :data:`LARGE_PIXELS` are read one after the other: several at once could fill the memory."""

logging.getLogger("PIL").setLevel(logging.WARNING)


def open_image(source: Path | bytes, near: tuple[int, int] | None = None) -> Image:
    """Read an image as RGB, upright by its Exif.

    Transparency is put on white, 16 bits are scaled to 8, and of several frames the first is read.

    Args:
        source: a file or its bytes.
        near: width and height; a JPEG may be decoded at a smaller size, but not below these, to save time.

    Raises:
        MMRecError: missing, not one of the six formats, damaged, or larger than 40 megapixels or 100 MB.
    """
    from PIL import Image as pillow

    label = "The file" if isinstance(source, bytes) else str(source)
    try:
        if not isinstance(source, bytes):
            if source.stat().st_size > MAX_BYTES:
                raise MMRecError(
                    f"{label} has over {MAX_BYTES >> 20} MB; images of this size are not read. Save it smaller."
                )
            source = source.read_bytes()
        with pillow.open(io.BytesIO(source), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise MMRecError(
                    f"{label} has {image.width} × {image.height} pixels; at most {MAX_PIXELS // 1_000_000} million "
                    "are allowed. Save it smaller."
                )
            if near is not None:
                image.draft("RGB", near)
            with _large if image.width * image.height > LARGE_PIXELS else contextlib.nullcontext():
                image.load()
                return rgb(_upright(image))
    except MMRecError:
        raise
    except (Exception, MemoryError) as error:  # Pillow raises many types of exceptions for a damaged file
        raise MMRecError(
            f"{label} cannot be read as an image ({type(error).__name__}); expected JPEG, PNG, WebP, GIF, BMP or TIFF."
        ) from error


def _upright(image: Image) -> Image:
    """Rotate an image as its Exif says; unchanged if the Exif is damaged."""
    from PIL import ImageOps

    try:
        turned = image.getexif().get(0x0112, 1) not in {None, 1}
        return ImageOps.exif_transpose(image) if turned else image  # it copies even an upright image
    except Exception:  # damaged Exif raises many types of exceptions; the pixels can still be used
        return image


def rgb(image: Image) -> Image:
    """Convert an image to RGB: transparency on white, grey to three equal channels, 16 and 32 bits scaled to 8.

    Large images are converted in strips, which need little memory beside the image and its copy.
    """
    from PIL import Image as pillow

    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    grey = image.mode.startswith("I") or image.mode == "F"
    low, high = _range(image) if grey else (0.0, 0.0)
    out = pillow.new("RGB", image.size)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
        if grey:
            part = pillow.fromarray(_eight_bits(np.asarray(strip), image.mode, low, high), "L").convert("RGB")
        elif image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
            whole = strip.convert("RGBA")
            ground = pillow.new("RGBA", whole.size, "white")
            ground.alpha_composite(whole)
            part = ground.convert("RGB")
        else:
            part = strip.convert("RGB")
        out.paste(part, (0, top))
    return out


def _floats(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _range(image: Image) -> tuple[float, float]:
    """Smallest and largest value of an image with one channel."""
    strips = (
        image.crop((0, top, image.width, min(top + STRIP, image.height))) for top in range(0, image.height, STRIP)
    )
    found = [(float(v.min()), float(v.max())) for v in (_floats(np.asarray(strip)) for strip in strips) if v.size]
    return min((low for low, _ in found), default=0.0), max((high for _, high in found), default=0.0)


def _eight_bits(values: np.ndarray, mode: str, low: float, high: float) -> np.ndarray:
    """Grey values of 16 or 32 bits, or floats, as uint8 of the same shape.

    Args:
        values: a strip of an image.
        mode: Pillow's mode of the image.
        low: smallest value of the whole image.
        high: largest one.
    """
    found = _floats(values)
    if mode == "F":
        scaled = (found - low) / (high - low) * 255 if high > 255 or low < 0 else found * (255 if high <= 1 else 1)
    else:
        top = max(high, 0.0)
        scaled = found / (257 if mode != "I" or 255 < top <= 65_535 else max(top / 255, 1.0))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
