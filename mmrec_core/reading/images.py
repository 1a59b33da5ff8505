"""Read images from users: six formats, limited size, turned upright, converted to RGB.

No other module opens image files.
"""

from __future__ import annotations

import io
import logging
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
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged Exif raises many types of exceptions; the pixels can still be used
        return image


def rgb(image: Image) -> Image:
    """Convert an image to RGB: transparency on white, grey to three equal channels, 16 and 32 bits scaled to 8."""
    from PIL import Image as pillow

    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return pillow.fromarray(_eight_bits(np.asarray(image), image.mode), "L").convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        whole = image.convert("RGBA")
        ground = pillow.new("RGBA", whole.size, "white")
        ground.alpha_composite(whole)
        return ground.convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Grey values of 16 or 32 bits, or floats, as uint8 of the same shape."""
    found = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if mode == "F":
        low, high = float(found.min()), float(found.max())
        scaled = (found - low) / (high - low) * 255 if high > 255 or low < 0 else found * (255 if high <= 1 else 1)
    else:
        high = max(float(found.max()), 0.0)
        scaled = found / (257 if mode != "I" or 255 < high <= 65_535 else max(high / 255, 1.0))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
