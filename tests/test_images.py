"""Pictures from outside: six formats and no other, bounded, upright, transparency on white, 16 bits as a gradient."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec_core import settings
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.reading import images

ROOT = Path(__file__).resolve().parents[1]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 48\n%%EndComments\n{ } loop\nshowpage\n%%EOF\n"


def saved(image: Image.Image, form: str, **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def arrow() -> Image.Image:
    """A picture that shows how it is turned: its top half is white, the rest black."""
    pixels = np.zeros((60, 40, 3), np.uint8)
    pixels[:30] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.eps"])
def test_postscript_under_any_name_starts_no_program(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*words: object, **more: object) -> None:
        raise AssertionError(f"a program was started: {words}")

    for call in ("Popen", "check_call", "run", "call", "check_output"):
        monkeypatch.setattr(subprocess, call, started)
    (tmp_path / name).write_bytes(EPS)
    for source in (tmp_path / name, EPS):
        with pytest.raises(MMRecError, match="cannot be read as an image .*expected JPEG, PNG, WebP, GIF, BMP or TIFF"):
            images.open_image(source)
    assert preparation.thumbnail(tmp_path / name) is None


@pytest.mark.parametrize("form", ["PPM", "TGA", "PCX", "ICO", "PDF", "SGI", "DDS", "JPEG2000"])
def test_other_formats_are_refused(form: str) -> None:
    try:
        body = saved(arrow(), form)
    except (KeyError, OSError):
        pytest.skip(f"Pillow writes no {form} here")
    with pytest.raises(MMRecError, match="cannot be read as an image"):
        images.open_image(body)


@pytest.mark.parametrize("form", images.FORMATS)
def test_the_six_formats_are_read(form: str) -> None:
    opened = images.open_image(saved(arrow(), form))
    assert opened.mode == "RGB" and opened.size == (40, 60)


def test_pictures_are_opened_in_one_place_only() -> None:
    found = [
        f
        for folder in ("mmrec_core", "pages")
        for f in (ROOT / folder).rglob("*.py")
        if re.search(r"\b(Image|pillow|PIL)\.open\(", f.read_text(encoding="utf-8"))
    ]
    assert [f.name for f in found] == ["images.py"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_upright(orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "static_dir", lambda: tmp_path / "static")
    turned = {
        1: None,
        2: "FLIP_LEFT_RIGHT",
        3: "ROTATE_180",
        4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE",
        6: "ROTATE_90",
        7: "TRANSVERSE",
        8: "ROTATE_270",
    }[orientation]
    image = arrow() if turned is None else arrow().transpose(getattr(Image.Transpose, turned))
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = saved(image, "JPEG", exif=exif, quality=95)
    opened = np.asarray(images.open_image(body)).mean(2)
    assert opened.shape == (60, 40) and opened[:25].mean() > 240 and opened[35:].mean() < 15
    (tmp_path / "p.jpg").write_bytes(body)
    thumb = preparation.thumbnail(tmp_path / "p.jpg")
    assert thumb is not None and np.asarray(Image.open(tmp_path / "static" / thumb))[:25].mean() > 240


@pytest.mark.parametrize("kind", ["I;16", "I", "F", "I;16 TIFF"])
def test_deep_greys_are_a_gradient(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65_535, 64), (8, 1))
    if kind == "F":
        body = saved(Image.fromarray((ramp / 65_535).astype(np.float32), "F"), "TIFF")
    elif kind == "I":
        body = saved(Image.fromarray(ramp.astype(np.int32), "I"), "TIFF")
    else:
        body = saved(Image.fromarray(ramp.astype(np.uint16)), "TIFF" if "TIFF" in kind else "PNG")
    read = np.asarray(images.open_image(body))[0, :, 0].astype(int)
    assert read[0] == 0 and read[-1] == 255 and (np.diff(read) >= 0).all() and 120 < read[32] < 135


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_on_white(mode: str) -> None:
    image = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    body = saved(image.convert(mode) if mode != "P" else image.quantize(4), "PNG")
    assert np.asarray(images.open_image(body)).min() == 255


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(MMRecError, match=r"pixels|DecompressionBomb"):
        images.open_image(bomb)
    smaller = bomb.replace(struct.pack(">II", 30_000, 30_000), struct.pack(">II", 7_000, 7_000))
    with pytest.raises(MMRecError, match=r"pixels|cannot be read"):
        images.open_image(smaller)


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as handle:
        handle.truncate(images.MAX_BYTES + 1)
    with pytest.raises(MMRecError, match="images of this size are not read"):
        images.open_image(tmp_path / "huge.png")
    assert preparation.thumbnail(tmp_path / "huge.png") is None
