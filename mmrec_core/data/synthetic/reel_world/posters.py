"""Poster generator of Reel World.

A film's genres choose the composition, its year the printing (inks, faces, grain), and four continuous traits the
look: how warm, how light, how busy, how round. The traits are what a recommender with eyes can find in the pixels, so
they act on every poster alike, whatever its genre; the rest is variety.

Everything is drawn from one seeded generator: the same film gives the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mmrec_core.data.synthetic.reel_world._compositions import (
    COMPOSITIONS,
    HEIGHT,
    SCALE,
    SUITS,
    WIDTH,
    Colour,
    Palette,
    Sheet,
    Slot,
    mix,
)
from mmrec_core.settings import ROOT

__all__ = ["HEIGHT", "IMAGE_TRAITS", "WIDTH", "draw_poster"]

IMAGE_TRAITS = ("warmth", "light", "density", "roundness")
READABLE = 4.5
"""The contrast ratio that lettering must reach against what lies behind it."""

FONTS = ROOT / "assets" / "fonts"
CREDIT_FONT = "BarlowCondensed-SemiBold"
CREDIT_TRACKING = 0.12
NARROW_FONT = "BebasNeue"
GENRE_FONTS: dict[str, tuple[str, ...]] = {
    "Action": ("Anton", "BebasNeue"),
    "Animation": ("Righteous", "JosefinSans-Bold"),
    "Comedy": ("AlfaSlabOne", "Righteous", "AbrilFatface"),
    "Crime": ("Anton", "BebasNeue", "AlfaSlabOne"),
    "Documentary": ("BebasNeue", "AlfaSlabOne", "JosefinSans-Bold"),
    "Drama": ("AbrilFatface", "JosefinSans-Bold", "BebasNeue"),
    "Family": ("Righteous", "JosefinSans-Bold"),
    "Fantasy": ("Limelight", "AbrilFatface"),
    "Horror": ("Anton", "AbrilFatface"),
    "Musical": ("Limelight", "Righteous"),
    "Mystery": ("AbrilFatface", "Limelight", "JosefinSans-Bold"),
    "Romance": ("AbrilFatface", "Limelight"),
    "Sci-Fi": ("JosefinSans-Bold", "Righteous", "BebasNeue"),
    "Thriller": ("Anton", "BebasNeue"),
    "War": ("AlfaSlabOne", "Anton"),
    "Western": ("AlfaSlabOne", "BebasNeue"),
}


@dataclass(frozen=True)
class Era:
    """How posters were printed up to a year."""

    until: int
    chroma: float
    fonts: tuple[str, ...]
    grain: float
    misprint: float
    """How often the inks are printed a little out of register."""
    glow: float
    """How often a title glows."""
    vignette: float
    framed: float
    """How often the picture has a margin of bare paper."""
    cut: float = 0.0
    """How often the title looks cut out of paper by hand."""


ERAS = (
    Era(1972, 0.115, ("Anton", "JosefinSans-Bold", "AlfaSlabOne"), 6.0, 0.6, 0.0, 0.0, 0.4, 0.5),
    Era(1981, 0.125, ("AbrilFatface", "Righteous", "AlfaSlabOne"), 6.5, 0.35, 0.0, 0.12, 0.35, 0.1),
    Era(1991, 0.175, ("Righteous", "BebasNeue", "Limelight"), 4.0, 0.1, 0.6, 0.15, 0.1),
    Era(2002, 0.135, ("Anton", "BebasNeue", "AbrilFatface"), 4.0, 0.0, 0.15, 0.4, 0.1),
    Era(2014, 0.105, ("JosefinSans-Bold", "BebasNeue"), 2.5, 0.0, 0.0, 0.2, 0.25),
    Era(9999, 0.145, ("JosefinSans-Bold", "Anton", "AbrilFatface"), 6.0, 0.3, 0.05, 0.0, 0.35),
)


@dataclass(frozen=True)
class Traits:
    """The four traits, squeezed into -1..1 (warmth, light) and 0..1 (density, roundness)."""

    warmth: float
    light: float
    density: float
    roundness: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Traits:
        """Read the four standard-normal numbers."""
        warmth, light, density, roundness = (max(-2.5, min(2.5, float(v))) for v in values)
        return cls(
            math.tanh(warmth / 1.5),
            math.tanh(light / 1.5),
            0.5 + 0.5 * math.tanh(density / 1.25),
            0.5 + 0.5 * math.tanh(roundness / 1.25),
        )


# ---- colour ----------------------------------------------------------------------------------------------------------


def oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """An sRGB colour from perceptual coordinates, with as much of the chroma as the screen can show."""
    for _ in range(12):
        a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
        long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        linear = (
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        )
        if all(-0.003 <= v <= 1.003 for v in linear):
            break
        chroma *= 0.87
    red, green, blue = (_encode(v) for v in linear)
    return red, green, blue


def _encode(value: float) -> int:
    """One linear channel as an sRGB byte."""
    value = max(0.0, min(1.0, value))
    return round(255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))


_STEPS = np.arange(256) / 255
_LINEAR = np.where(_STEPS <= 0.04045, _STEPS / 12.92, ((_STEPS + 0.055) / 1.055) ** 2.4)


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Relative luminance of sRGB pixels, as contrast ratios define it."""
    return np.asarray(_LINEAR[pixels] @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(a: float, b: float) -> float:
    """The contrast ratio of two relative luminances."""
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def make_palette(rng: np.random.Generator, traits: Traits, era: Era) -> Palette:
    """Inks for one poster: warmth sets the hue, light the level, the era the chroma, chance the harmony."""
    w, light = traits.warmth, traits.light
    lean = math.copysign(abs(w) ** 0.65, w)
    hue = (140 - 105 * lean if rng.random() < 0.5 else 320 + 72 * lean) + rng.normal(0, 7)
    chroma = era.chroma * (0.65 + 0.35 * abs(w)) * rng.uniform(0.75, 1.2)
    level = 0.55 + 0.33 * light
    field_chroma = chroma * (1 - 0.35 * max(0, light))
    bold = rng.random() < 0.4
    if bold and light > 0.1:
        level, field_chroma = 0.92, 0.03
    elif bold and light < -0.1:
        level, field_chroma = 0.2, 0.05
    drift = rng.uniform(-38, 38)
    far = level + (0.62 - level) * 0.42 + (0.07 if level < 0.62 else -0.07)
    near = max(0.13, min(level - 0.3, 0.42)) if level > 0.42 else max(0.08, level - 0.14)
    harmony = rng.choice([165.0, -165.0, 120.0, -120.0, 45.0, -45.0])
    accent_level = min(0.84, max(level, 0.3) + 0.32) if level < 0.56 else max(0.5, level - 0.27)
    second_level = accent_level + (0.1 if rng.random() < 0.5 else -0.12)
    tint = 65 if w > 0 else 240
    return Palette(
        field=oklch(level, field_chroma, hue),
        far=oklch(far, chroma, hue + drift * 0.5),
        mid=oklch((far + near) / 2, chroma * 1.1, hue + drift),
        near=oklch(near, chroma * 0.8, hue + drift * 1.3),
        accent=oklch(accent_level, max(0.13, era.chroma * 1.25), hue + harmony),
        second=oklch(second_level, max(0.09, era.chroma), hue + harmony * 0.45),
        paper=oklch(0.955, 0.012 + 0.022 * abs(w), tint),
        ink=oklch(0.16, 0.02, hue + drift),
    )


# ---- printing --------------------------------------------------------------------------------------------------------


def develop(art: Image.Image, traits: Traits) -> Image.Image:
    """Bring the drawn picture to the film's light and temperature.

    Compositions differ in how much of the sheet they cover, which would drown the traits; a tone curve towards the
    level the film should have, and a slight cast, bring them back without flattening what was drawn.
    """
    mean = float(np.asarray(art.resize((8, 12), Image.Resampling.BOX)).mean()) / 255
    target = 0.47 + 0.27 * traits.light
    gamma = max(0.5, min(2.0, (math.log(target) / math.log(max(0.02, min(0.98, mean)))) ** 0.7))
    steps = np.linspace(0, 1, 256) ** gamma
    gains = np.array([1 + 0.09 * traits.warmth, 1.0, 1 - 0.11 * traits.warmth])
    table = (255 * steps[None, :] * gains[:, None]).clip(0, 255).round().astype(int)
    return art.point(table.ravel().tolist())


@lru_cache(maxsize=1)
def _noise() -> NDArray[np.float32]:
    """Print grain, larger than a poster, so that each poster can take its own piece."""
    rng = np.random.Generator(np.random.PCG64(1895))
    size = (HEIGHT + 128, WIDTH + 128)
    fine = rng.standard_normal(size, dtype=np.float32)
    coarse = rng.standard_normal((size[0] // 4, size[1] // 4), dtype=np.float32).repeat(4, axis=0).repeat(4, axis=1)
    return np.asarray(0.8 * fine + 0.35 * coarse, dtype=np.float32)


@lru_cache(maxsize=1)
def _falloff() -> Image.Image:
    """How far each pixel lies from the lit middle of the sheet."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return Image.fromarray((255 * np.clip(np.hypot(x * 0.85, y * 0.9) - 0.55, 0, 1)).astype(np.uint8))


def _shifted(ink: Image.Image, dx: int, dy: int) -> Image.Image:
    """One ink moved on the sheet; its first rows and columns stay, so that no bare edge shows."""
    moved = ink.copy()
    moved.paste(ink, (dx, dy))
    return moved


def age(rng: np.random.Generator, art: Image.Image, era: Era, palette: Palette) -> Image.Image:
    """What the printing does before the lettering: inks out of register, darkened corners."""
    if rng.random() < era.misprint:
        red, green, blue = art.split()
        shift = int(rng.integers(1, 3))
        art = Image.merge("RGB", (_shifted(red, shift, 0), green, _shifted(blue, 0, shift)))
    if rng.random() < era.vignette * 2:
        art.paste(palette.ink, (0, 0), _falloff().point([round(v * 0.7) for v in range(256)]))
    return art


@lru_cache(maxsize=1)
def _screens() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The two screens a press breaks tones with: slanted lines, and round dots."""
    y, x = np.mgrid[0 : HEIGHT + 128, 0 : WIDTH + 128].astype(np.float32)
    lines = np.sign(np.sin((x + y) * (math.pi / 3.0)) + 0.2)
    row = np.floor(y / 5)
    dots = np.hypot((x + 3 * (row % 2)) % 6 - 2.5, y % 5 - 2.0) < 1.9
    return np.asarray(lines, dtype=np.float32), np.asarray(2.2 * dots - 0.85, dtype=np.float32)


def grain(rng: np.random.Generator, art: Image.Image, traits: Traits, era: Era) -> Image.Image:
    """Lay the texture of the press over everything: grain, and a screen of lines or of dots.

    The busier the film, the coarser the grain; the rounder, the more the line screen gives way to dots.
    """
    dy, dx = (int(v) for v in rng.integers(0, 128, 2))
    part = (slice(dy, dy + HEIGHT), slice(dx, dx + WIDTH))
    lines, dots = _screens()
    screen = lines[part] * (6.0 * max(0.0, 0.8 - traits.roundness)) + dots[part] * (
        6.0 * max(0.0, traits.roundness - 0.2)
    )
    noise = _noise()[part] * (0.35 * era.grain + 7.5 * traits.density**1.5) + screen
    pixels = np.asarray(art) + noise.astype(np.int16)[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))


# ---- lettering -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    """A face at a size in supersampled pixels."""
    return ImageFont.truetype(str(FONTS / f"{name}.ttf"), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _glyph(name: str, letter: str, size: float) -> tuple[Image.Image, int, int]:
    """One letter's mask and where it lies from the pen; small print repeats the same few, so they are kept."""
    font = _font(name, size)
    left, up, right, down = (round(v) for v in font.getbbox(letter, anchor="ls"))
    glyph = Image.new("L", (max(1, right - left + 1), max(1, down - up + 1)))
    ImageDraw.Draw(glyph).text((-left, -up), letter, fill=255, font=font, anchor="ls")
    return glyph, left, up


@lru_cache(maxsize=8192)
def _advance(name: str, text: str) -> float:
    """The width of a text per unit of type size."""
    return float(_font(name, 100).getlength(text)) / 100


@lru_cache(maxsize=2048)
def _letter_extent(name: str, letter: str) -> tuple[float, float]:
    """How far a letter reaches above and below its baseline, per unit of type size."""
    _, above, _, below = _font(name, 100).getbbox(letter, anchor="ls")
    return -above / 100, below / 100


def _extent(name: str, text: str) -> tuple[float, float]:
    """How far a text reaches above and below its baseline, per unit of type size."""
    reach = [_letter_extent(name, letter) for letter in text]
    return max(up for up, _ in reach), max(0.0, *(down for _, down in reach))


@dataclass(frozen=True)
class Line:
    """One line of lettering, placed by its left end and baseline."""

    text: str
    x: float
    y: float
    size: float
    width: float


@dataclass(frozen=True)
class Lettering:
    """Lines in one face, ready to be inked."""

    font: str
    lines: tuple[Line, ...]
    tracking: float = 0.0
    wobble: float = 0.0
    """By how many degrees letters lean to and fro, as if cut out by hand."""

    def print_on(self, art: Image.Image, ink: Colour, margin: int = 0) -> Image.Image:
        """Print the letters and answer with their mask, which covers :meth:`bounds` with the margin."""
        box = self.bounds(art.size, margin)
        sheet = Image.new("L", ((box[2] - box[0]) * SCALE, (box[3] - box[1]) * SCALE))
        pen = ImageDraw.Draw(sheet)
        for line in self.lines:
            x, y = (line.x - box[0]) * SCALE, (line.y - box[1]) * SCALE
            if self.tracking == 0 and self.wobble == 0:
                pen.text((x, y), line.text, fill=255, font=_font(self.font, line.size * SCALE), anchor="ls")
                continue
            for k, letter in enumerate(line.text):
                glyph, left, up = _glyph(self.font, letter, line.size * SCALE)
                if self.wobble:
                    lean = self.wobble * (k * 7 % 5 - 2) / 2
                    glyph = glyph.rotate(lean, Image.Resampling.BICUBIC, expand=True)
                sheet.paste(255, (round(x + left), round(y + up)), glyph)
                x += (_advance(self.font, letter) + self.tracking) * line.size * SCALE
        mask = sheet.reduce(SCALE)
        art.paste(ink, box[:2], mask)
        return mask

    def bounds(self, size: tuple[int, int], margin: float = 4) -> tuple[int, int, int, int]:
        """The box the letters fill, with a little air."""
        reach = [_extent(self.font, line.text) for line in self.lines]
        x0, x1 = min(line.x for line in self.lines), max(line.x + line.width for line in self.lines)
        y0 = min(line.y - up * line.size for line, (up, _) in zip(self.lines, reach, strict=True))
        y1 = max(line.y + down * line.size for line, (_, down) in zip(self.lines, reach, strict=True))
        return (
            max(0, math.floor(x0 - margin)),
            max(0, math.floor(y0 - margin)),
            min(size[0], math.ceil(x1 + margin)),
            min(size[1], math.ceil(y1 + margin)),
        )


def _width(font: str, text: str, tracking: float) -> float:
    """The width of a tracked text per unit of type size."""
    if tracking == 0:
        return sum(_advance(font, word) for word in text.split(" ")) + _advance(font, " ") * text.count(" ")
    return sum(_advance(font, letter) for letter in text) + tracking * (len(text) - 1)


def break_lines(words: Sequence[str], widths: Sequence[float], space: float, n: int) -> list[str]:
    """Break words into `n` lines whose longest is as short as can be, and the others as even as can be."""
    count = len(words)
    ends = np.concatenate([[0.0], np.cumsum(widths)])

    def width(i: int, j: int) -> float:
        return float(ends[j] - ends[i]) + space * (j - i - 1)

    best: list[dict[int, tuple[float, float, list[int]]]] = [{0: (0.0, 0.0, [])}]
    for _ in range(n):
        step: dict[int, tuple[float, float, list[int]]] = {}
        for i, (longest, squares, cuts) in best[-1].items():
            for j in range(i + 1, count + 1):
                w = width(i, j)
                candidate = (max(longest, w), squares + w * w, [*cuts, j])
                if j not in step or candidate < step[j]:
                    step[j] = candidate
        best.append(step)
    cuts = [0, *best[-1][count][2]]
    return [" ".join(words[a:b]) for a, b in pairwise(cuts)]


def set_title(text: str, font: str, slot: Slot, tracking: float) -> Lettering:
    """Set a title as large as its slot allows, in the number of lines that lets it be largest."""
    words = text.split() or ["·"]
    widths = [_width(font, word, tracking) for word in words]
    space = _advance(font, " ") + 2 * tracking
    room_x, room_y = slot.x1 - slot.x0, slot.y1 - slot.y0
    choice: tuple[float, list[str], list[float]] | None = None
    for n in range(1, min(len(words), 7) + 1):
        lines = break_lines(words, widths, space, n)
        across = [_width(font, line, tracking) for line in lines]
        if slot.stacked:
            sizes = [min(room_x / w, 170.0) for w in across]
            tall = sum(size * _pitch(font, [line]) for size, line in zip(sizes, lines, strict=True))
            fit = min(1.0, room_y / tall)
            sizes = [size * fit for size in sizes]
            score = (
                sum(size * w for size, w in zip(sizes, across, strict=True)) / n * math.sqrt(min(1.0, tall / room_y))
            )
        else:
            score = min(room_x / max(across), room_y / (n * _pitch(font, lines)), slot.largest)
            sizes = [score] * n
        if choice is None or score > choice[0] * 1.04:
            choice = (score, lines, sizes)
    assert choice is not None
    return _place(font, choice[1], choice[2], slot, tracking)


def _pitch(font: str, lines: Sequence[str]) -> float:
    """The distance between baselines, per unit of type size, at which no letter touches the next line."""
    reach = [_extent(font, line) for line in lines]
    return max(up for up, _ in reach) + max(down for _, down in reach) + 0.11


def _place(font: str, lines: Sequence[str], sizes: Sequence[float], slot: Slot, tracking: float) -> Lettering:
    """Put lines of known sizes into the slot."""
    common = _pitch(font, lines)
    pitches = [
        size * (_pitch(font, [line]) if slot.stacked else common) for size, line in zip(sizes, lines, strict=True)
    ]
    spare = max(0.0, slot.y1 - slot.y0 - sum(pitches))
    y = slot.y0 + spare * {"top": 0.0, "middle": 0.5, "bottom": 1.0}[slot.valign]
    placed = []
    for line, size, pitch in zip(lines, sizes, pitches, strict=True):
        below = max(_extent(font, other)[1] for other in ([line] if slot.stacked else lines))
        width = _width(font, line, tracking) * size
        x = slot.x0 + (slot.x1 - slot.x0 - width) * {"left": 0.0, "center": 0.5, "right": 1.0}[slot.align]
        y += pitch
        placed.append(Line(line, x, y - (below + 0.055) * size, size, width))
    return Lettering(font, tuple(placed), tracking)


def _backing(art: Image.Image, box: tuple[int, int, int, int]) -> tuple[float, float]:
    """The dark and the light end of what lies in a box."""
    levels = luminance(np.asarray(art.crop(box))[::3, ::3].reshape(-1, 3))
    low, high = np.quantile(levels, [0.06, 0.94])
    return float(low), float(high)


def _legibility(ink: Colour, low: float, high: float) -> float:
    """The worst contrast of an ink against a range of backgrounds."""
    level = float(luminance(np.array(ink, dtype=np.uint8)))
    return 1.0 if low < level < high else min(contrast(level, low), contrast(level, high))


def choose_ink(
    art: Image.Image, box: tuple[int, int, int, int], inks: Sequence[Colour], rounded: float = 0, label: bool = False
) -> Colour:
    """The first ink that reads over the picture; where none does, calm the picture until one does.

    A paperback cover gets a printed label under the lettering, any other poster fades towards its edge.
    """
    low, high = _backing(art, box)
    for ink in inks:
        if _legibility(ink, low, high) >= READABLE + 0.4:
            return ink
    local = np.asarray(art.crop(box).resize((1, 1), Image.Resampling.BOX))[0, 0]
    tone: Colour = (int(local[0]), int(local[1]), int(local[2]))
    bright = (low + high) / 2 < 0.19
    ink, ground = (
        ((250, 247, 240), mix(tone, (0, 0, 0), 0.8)) if bright else ((14, 13, 18), mix(tone, (255, 255, 255), 0.8))
    )
    if label:
        x0, y0, x1, y1 = box
        ImageDraw.Draw(art).rounded_rectangle((x0 - 5, y0 - 4, x1 + 4, y1 + 3), rounded * 12, fill=ground)
        return ink
    for strength in (0.35, 0.6, 0.8, 1.0):
        _fade(art, box, ground, strength)
        if _legibility(ink, *_backing(art, box)) >= READABLE + 0.2:
            break
    return ink


def _fade(art: Image.Image, box: tuple[int, int, int, int], ground: Colour, strength: float) -> None:
    """Let the picture sink into a colour where lettering stands, from the nearer edge inwards."""
    width, height = art.size
    y = np.arange(height)
    reach = 56.0
    above = np.clip((y - (box[1] - reach)) / reach, 0, 1) if box[1] > height * 0.3 else np.ones(height)
    below = np.clip((box[3] + reach - y) / reach, 0, 1) if box[3] < height * 0.8 else np.ones(height)
    ramp = above * below
    veil = (255 * strength * ramp * ramp * (3 - 2 * ramp)).astype(np.uint8)
    art.paste(ground, (0, 0), Image.fromarray(veil[:, None].repeat(width, axis=1)))


def choose_font(rng: np.random.Generator, genres: Sequence[str], era: Era, roundness: float) -> str:
    """A face for the title: the genre's or the era's, a round one more likely in a round film."""
    pool = [*era.fonts, *(font for genre in genres[:2] for font in GENRE_FONTS.get(genre, ()))]
    soft = {"Righteous": 2.6, "AbrilFatface": 1.4, "Limelight": 1.4, "JosefinSans-Bold": 1.1}
    weights = np.array([1.0 + (soft.get(font, 0.35) - 1.0) * (2 * roundness - 1) for font in pool]).clip(0.05)
    return pool[int(rng.choice(len(pool), p=weights / weights.sum()))]


def ink_title(
    rng: np.random.Generator,
    art: Image.Image,
    title: str,
    font: str,
    slot: Slot,
    palette: Palette,
    era: Era,
    soft: float,
) -> Lettering:
    """Set the title into its slot and print it."""
    text = title.upper() if slot.stacked or rng.random() < 0.75 or font == "Anton" else title
    tracking = float(rng.uniform(0.04, 0.16)) if text.isupper() and font == "JosefinSans-Bold" else 0.0
    if len(text) <= 4:
        slot = replace(slot, largest=1.6 * slot.largest)
    lettering = set_title(text, font, slot, tracking)
    if lettering.lines[0].size < 21 and font != NARROW_FONT:
        lettering = set_title(title.upper(), NARROW_FONT, slot, 0.0)
    p = palette
    inks = [p.accent, p.paper, p.ink] if rng.random() < 0.45 else [p.paper, p.ink, p.second]
    if rng.random() < 0.5:
        inks[1], inks[2] = inks[2], inks[1]
    if era.cut > rng.random() and text.isupper() and min(line.size for line in lettering.lines) > 24:
        lettering = replace(lettering, wobble=float(rng.uniform(3, 6)))
    box = lettering.bounds(art.size)
    ink = choose_ink(art, box, inks, soft, era.until < 1982 and rng.random() < 0.5)
    if rng.random() < era.glow and sum(ink) > 380:
        halo = lettering.print_on(art.copy(), ink, 12).filter(ImageFilter.BoxBlur(5))
        corner = lettering.bounds(art.size, 12)[:2]
        art.paste(mix(p.accent, p.near, 0.35), corner, halo.point([min(255, v * 5 // 4) for v in range(256)]))
        ink = (255, 252, 244)
    lettering.print_on(art, ink)
    return lettering


def ink_credits(
    rng: np.random.Generator,
    art: Image.Image,
    year: int,
    director: str,
    cast: Sequence[str],
    slot: Slot,
    palette: Palette,
) -> None:
    """Print the credit block at the foot, set as the era set it."""
    names = [name.upper() for name in cast if name][:4]
    by = rng.choice(["A FILM BY", "DIRECTED BY", "FILM BY"]) if director else ""
    style = int(rng.integers(3))
    rows = [f"{by} {director.upper()}".strip(), (" · " if style else "   ").join(names)]
    if style == 2:
        rows.reverse()
    rows[1] = f"{rows[1]}   {year}" if style == 1 else rows[1]
    align = slot.align if (style == 1 or slot.align == "left") and not slot.upward else "center"
    lines: list[Line] = []
    y = 452.0
    for row, size in zip(rows, (9.6, 8.2), strict=True):
        fitted = min(size, (WIDTH - 44) / max(_width(CREDIT_FONT, row, CREDIT_TRACKING), 0.1))
        width = _width(CREDIT_FONT, row, CREDIT_TRACKING) * fitted
        x = 22 + (WIDTH - 44 - width) * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
        lines.append(Line(row, x, y, fitted, width))
        y += 12.5
    lettering = Lettering(CREDIT_FONT, tuple(line for line in lines if line.text), CREDIT_TRACKING)
    if not lettering.lines:
        return
    inks = [palette.paper, palette.ink] if rng.random() < 0.5 else [palette.ink, palette.paper]
    lettering.print_on(art, choose_ink(art, lettering.bounds(art.size, 5), inks))


# ---- layout ----------------------------------------------------------------------------------------------------------


def lay_out(rng: np.random.Generator, sheet: Sheet, slot: Slot) -> Slot:
    """Decide how picture and title share the sheet.

    Compositions keep the head of the sheet for the title. Where they did, the picture can as well move up over a
    banner, become a plate with a margin, or make room for a title that runs up the side.
    """
    if slot.valign != "top" or slot.stacked or slot.x0 > 30:
        return slot
    way = rng.choice(["over", "banner", "plate", "side"], p=[0.5, 0.22, 0.16, 0.12])
    if way == "banner":
        return _banner(rng, sheet, slot)
    if way == "plate":
        return _plate(rng, sheet, slot)
    if way == "side":
        return _side(rng, sheet)
    align = slot.align if slot.align != "center" else str(rng.choice(["center", "center", "left", "right"]))
    return replace(slot, align=align, largest=float(rng.choice([54, 66, 86])))


def _ground(rng: np.random.Generator, palette: Palette) -> Colour:
    """A plain colour of the palette that lettering reads on."""
    plain = [palette.field, palette.near, palette.mid, palette.ink, palette.paper, palette.accent]
    weights = np.array([3.0, 2.0, 1.0, 0.6, 0.6, 0.7])
    levels = luminance(np.array(plain, dtype=np.uint8))
    weights[(levels > 0.1) & (levels < 0.32)] *= 0.02
    home = float(levels[0])
    weights *= np.exp(-3.0 * np.abs(np.sqrt(levels) - math.sqrt(home)))
    return plain[int(rng.choice(len(plain), p=weights / weights.sum()))]


def _move(sheet: Sheet, source: tuple[float, float, float, float], x: float, y: float) -> None:
    """Move a part of the picture."""
    left, upper, right, lower = (round(v * SCALE) for v in source)
    sheet.image.paste(sheet.image.crop((left, upper, right, lower)), (round(x * SCALE), round(y * SCALE)))


def _banner(rng: np.random.Generator, sheet: Sheet, slot: Slot) -> Slot:
    """The picture above, the title on a plain band below."""
    edge = float(rng.uniform(336, 362))
    _move(sheet, (0, slot.y1 - 18, WIDTH, HEIGHT), 0, 0)
    sheet.box(0, edge, WIDTH, HEIGHT, _ground(rng, sheet.palette))
    if rng.random() < 0.4:
        sheet.box(0, edge, WIDTH, edge + float(rng.uniform(2, 7)), sheet.palette.accent)
    return Slot(22, edge + 14, WIDTH - 22, 434, align=str(rng.choice(["left", "center"])), largest=72)


def _plate(rng: np.random.Generator, sheet: Sheet, slot: Slot) -> Slot:
    """The picture as a plate in a wide margin, the title under it."""
    m, height = float(rng.choice([16, 22, 28])), float(rng.uniform(296, 322))
    picture = sheet.image.crop(
        tuple(round(v * SCALE) for v in (m, slot.y1 - 20, WIDTH - m, slot.y1 - 20 + height))  # type: ignore[arg-type]
    )
    sheet.box(0, 0, WIDTH, HEIGHT, _ground(rng, sheet.palette))
    sheet.image.paste(picture, (round(m * SCALE), round(m * SCALE)))
    align = str(rng.choice(["left", "left", "center"]))
    return Slot(max(22.0, m), m + height + 12, WIDTH - max(22.0, m), 434, align=align, largest=60)


def _side(rng: np.random.Generator, sheet: Sheet) -> Slot:
    """The title running up a band at the left, the credits on a strip at the foot."""
    ground, width = _ground(rng, sheet.palette), float(rng.uniform(62, 84))
    _move(sheet, (width / 3, 44, WIDTH, HEIGHT), width, 0)
    sheet.box(0, 0, width, HEIGHT, ground)
    sheet.box(0, 432, WIDTH, HEIGHT, ground)
    return Slot(56, 12, HEIGHT - 18, width - 4, align=str(rng.choice(["left", "right"])), largest=86, upward=True)


# ---- the poster ------------------------------------------------------------------------------------------------------


def choose_composition(rng: np.random.Generator, genres: Sequence[str]) -> str:
    """A composition that tells the genres; the first genre counts most, and now and then a poster surprises."""
    names = list(COMPOSITIONS)
    ranks = [[2.0, 1.0, 0.5][min(i, 2)] for i in range(len(genres))]
    weights = np.array(
        [0.03 + sum(rank for rank, genre in zip(ranks, genres, strict=True) if genre in SUITS[name]) for name in names]
    )
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def composition_of(*, year: int, genres: Sequence[str], traits: Sequence[float], seed: int) -> str:
    """The composition that :func:`draw_poster` takes for a film, without drawing it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    make_palette(rng, Traits.of(traits), era_of(year))
    return choose_composition(rng, genres)


def era_of(year: int) -> Era:
    """How posters were printed in a year."""
    return next(era for era in ERAS if year <= era.until)


def draw_poster(
    *,
    title: str,
    year: int,
    genres: Sequence[str],
    director: str,
    cast: Sequence[str],
    traits: Sequence[float],
    seed: int,
) -> Image.Image:
    """Draw the poster of one film.

    `traits` are four standard-normal numbers, in the order of :data:`IMAGE_TRAITS`. The same arguments give the same
    pixels. Unknown genres are welcome: any composition may then be taken.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    look, era = Traits.of(traits), era_of(year)
    palette = make_palette(rng, look, era)
    name = choose_composition(rng, genres)
    sheet = Sheet(rng, palette, look.density, look.roundness, year, frozenset(genres))
    slot = COMPOSITIONS[name](sheet)
    slot = lay_out(rng, sheet, slot)
    sheet.confetti()
    if rng.random() < era.framed and not slot.upward:
        edge = round(10 * SCALE)
        sheet.pen.rectangle((0, 0, WIDTH * SCALE - 1, HEIGHT * SCALE - 1), outline=palette.paper, width=edge)
    art = age(rng, develop(sheet.image.reduce(SCALE), look), era, palette)
    font = choose_font(rng, genres, era, look.roundness)
    if slot.upward:
        art = art.transpose(Image.Transpose.ROTATE_270)
    ink_title(rng, art, title, font, slot, palette, era, look.roundness)
    if slot.upward:
        art = art.transpose(Image.Transpose.ROTATE_90)
    ink_credits(rng, art, year, director, cast, slot, palette)
    return grain(rng, art, look, era)
