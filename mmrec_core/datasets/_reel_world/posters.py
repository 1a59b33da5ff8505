"""Posters for the invented films of Reel World.

A film's genres choose the composition, its year the printing (inks, faces, grain), and four continuous traits the look:
how warm, how light, how busy, how round. The traits are what a recommender with eyes can find in the pixels, so they act
on every poster alike, whatever its genre; the rest is variety.

Everything is drawn from one seeded generator: the same film gives the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from mmrec_core.datasets._reel_world._compositions import (
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

__all__ = ["HEIGHT", "IMAGE_TRAITS", "WIDTH", "draw_poster"]

IMAGE_TRAITS = ("warmth", "light", "density", "roundness")
READABLE = 4.5
"""The contrast ratio that lettering must reach against what lies behind it."""

FONTS = Path(__file__).resolve().parents[3] / "assets" / "fonts"
CREDIT_FONT = "BarlowCondensed-SemiBold"
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


ERAS = (
    Era(1972, 0.115, ("Anton", "JosefinSans-Bold", "AlfaSlabOne"), 6.0, 0.6, 0.0, 0.0, 0.4),
    Era(1981, 0.125, ("AbrilFatface", "Righteous", "AlfaSlabOne"), 6.5, 0.35, 0.0, 0.12, 0.35),
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
        warmth, light, density, roundness = (math.tanh(max(-2.5, min(2.5, float(v))) / 1.5) for v in values)
        return cls(warmth, light, 0.5 + 0.5 * density, 0.5 + 0.5 * roundness)


# ---- colour -------------------------------------------------------------------------------------------------------------


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


def luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Relative luminance of sRGB pixels, as contrast ratios define it."""
    channels = pixels.astype(np.float64) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(a: float, b: float) -> float:
    """The contrast ratio of two relative luminances."""
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def make_palette(rng: np.random.Generator, traits: Traits, era: Era) -> Palette:
    """Inks for one poster: warmth sets the hue, light the level, the era the chroma, chance the harmony."""
    w, light = traits.warmth, traits.light
    hue = (140 - 105 * w if rng.random() < 0.45 else 320 + 72 * w) + rng.normal(0, 7)
    chroma = era.chroma * (0.5 + 0.5 * abs(w)) * rng.uniform(0.75, 1.2)
    level = 0.55 + 0.33 * light
    drift = rng.uniform(-38, 38)
    far = level + (0.62 - level) * 0.42 + (0.07 if level < 0.62 else -0.07)
    near = max(0.13, min(level - 0.3, 0.42)) if level > 0.42 else max(0.08, level - 0.14)
    harmony = rng.choice([165.0, -165.0, 120.0, -120.0, 45.0, -45.0])
    accent_level = min(0.84, max(level, 0.3) + 0.32) if level < 0.56 else max(0.5, level - 0.27)
    second_level = accent_level + (0.1 if rng.random() < 0.5 else -0.12)
    tint = 65 if w > 0 else 240
    return Palette(
        field=oklch(level, chroma * (1 - 0.35 * max(0, light)), hue),
        far=oklch(far, chroma, hue + drift * 0.5),
        mid=oklch((far + near) / 2, chroma * 1.1, hue + drift),
        near=oklch(near, chroma * 0.8, hue + drift * 1.3),
        accent=oklch(accent_level, max(0.13, era.chroma * 1.25), hue + harmony),
        second=oklch(second_level, max(0.09, era.chroma), hue + harmony * 0.45),
        paper=oklch(0.955, 0.012 + 0.022 * abs(w), tint),
        ink=oklch(0.16, 0.02, hue + drift),
    )


# ---- printing -----------------------------------------------------------------------------------------------------------


def develop(art: Image.Image, traits: Traits) -> Image.Image:
    """Bring the drawn picture to the film's light and temperature.

    Compositions differ in how much of the sheet they cover, which would drown the traits; a tone curve towards the level
    the film should have, and a slight cast, bring them back without flattening what was drawn.
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


def age(rng: np.random.Generator, art: Image.Image, era: Era, palette: Palette) -> Image.Image:
    """What the printing does before the lettering: inks out of register, darkened corners."""
    if rng.random() < era.misprint:
        red, green, blue = art.split()
        shift = int(rng.integers(1, 3))
        art = Image.merge("RGB", (ImageChops.offset(red, shift, 0), green, ImageChops.offset(blue, 0, shift)))
    if rng.random() < era.vignette * 2:
        art.paste(palette.ink, (0, 0), _falloff().point([round(v * 0.7) for v in range(256)]))
    return art


def grain(rng: np.random.Generator, art: Image.Image, strength: float) -> Image.Image:
    """Lay the grain of the press over everything."""
    dy, dx = (int(v) for v in rng.integers(0, 128, 2))
    noise = _noise()[dy : dy + HEIGHT, dx : dx + WIDTH] * strength
    pixels = np.asarray(art).astype(np.int16) + noise.astype(np.int16)[:, :, None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


# ---- lettering ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _font(name: str, size: float) -> ImageFont.FreeTypeFont:
    """A face at a size in supersampled pixels."""
    return ImageFont.truetype(str(FONTS / f"{name}.ttf"), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def _advance(name: str, text: str) -> float:
    """The width of a text per unit of type size."""
    return float(_font(name, 200).getlength(text)) / 200


@lru_cache(maxsize=8192)
def _extent(name: str, text: str) -> tuple[float, float]:
    """How far a text reaches above and below its baseline, per unit of type size."""
    _, above, _, below = _font(name, 200).getbbox(text, anchor="ls")
    return -above / 200, below / 200


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

    def mask(self) -> Image.Image:
        """The letters, white on black, at the poster's size."""
        sheet = Image.new("L", (WIDTH * SCALE, HEIGHT * SCALE))
        pen = ImageDraw.Draw(sheet)
        for line in self.lines:
            font, x = _font(self.font, line.size * SCALE), line.x * SCALE
            if self.tracking == 0:
                pen.text((x, line.y * SCALE), line.text, fill=255, font=font, anchor="ls")
                continue
            for letter in line.text:
                pen.text((x, line.y * SCALE), letter, fill=255, font=font, anchor="ls")
                x += (_advance(self.font, letter) + self.tracking) * line.size * SCALE
        return sheet.reduce(SCALE)

    def bounds(self, margin: float = 4) -> tuple[int, int, int, int]:
        """The box the letters fill, with a little air."""
        reach = [_extent(self.font, line.text) for line in self.lines]
        x0, x1 = min(line.x for line in self.lines), max(line.x + line.width for line in self.lines)
        y0 = min(line.y - up * line.size for line, (up, _) in zip(self.lines, reach, strict=True))
        y1 = max(line.y + down * line.size for line, (_, down) in zip(self.lines, reach, strict=True))
        return (
            max(0, math.floor(x0 - margin)),
            max(0, math.floor(y0 - margin)),
            min(WIDTH, math.ceil(x1 + margin)),
            min(HEIGHT, math.ceil(y1 + margin)),
        )


def _width(font: str, text: str, tracking: float) -> float:
    """The width of a tracked text per unit of type size."""
    if tracking == 0:
        return _advance(font, text)
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
    return [" ".join(words[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]


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
            score = sum(size * w for size, w in zip(sizes, across, strict=True)) / n * math.sqrt(min(1.0, tall / room_y))
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
    pitches = [size * (_pitch(font, [line]) if slot.stacked else common) for size, line in zip(sizes, lines, strict=True)]
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
    art: Image.Image, box: tuple[int, int, int, int], inks: Sequence[Colour], rounded: float, label: bool
) -> Colour:
    """The first ink that reads over the picture; where none does, calm the picture until one does.

    A paperback cover gets a printed label under the lettering, a photographic one a soft fade.
    """
    low, high = _backing(art, box)
    for ink in inks:
        if _legibility(ink, low, high) >= READABLE + 0.4:
            return ink
    bright = (low + high) / 2 < 0.2
    ink = (250, 248, 240) if bright else (14, 13, 16)
    ground = (12, 12, 16) if bright else (250, 247, 238)
    if label:
        x0, y0, x1, y1 = box
        ImageDraw.Draw(art).rounded_rectangle((x0 - 5, y0 - 4, x1 + 4, y1 + 3), rounded * 12, fill=ground)
        return ink
    for strength in (0.35, 0.6, 0.8, 1.0):
        low, high = _backing(art, box)
        if _legibility(ink, low, high) >= READABLE + 0.2:
            break
        veil = Image.new("L", art.size)
        x0, y0, x1, y1 = box
        ImageDraw.Draw(veil).rectangle((x0 - 8, y0 - 8, x1 + 8, y1 + 8), fill=round(255 * strength))
        art.paste(ground, (0, 0), veil.filter(ImageFilter.BoxBlur(7)))
    return ink


def choose_font(rng: np.random.Generator, genres: Sequence[str], era: Era, roundness: float) -> str:
    """A face for the title: the genre's or the era's, a round one more likely in a round film."""
    pool = [*era.fonts, *(font for genre in genres[:2] for font in GENRE_FONTS.get(genre, ()))]
    soft = {"Righteous": 2.6, "AbrilFatface": 1.4, "Limelight": 1.4, "JosefinSans-Bold": 1.1}
    weights = np.array([1.0 + (soft.get(font, 0.35) - 1.0) * (2 * roundness - 1) for font in pool]).clip(0.05)
    return pool[int(rng.choice(len(pool), p=weights / weights.sum()))]


def ink_title(
    rng: np.random.Generator, art: Image.Image, title: str, font: str, slot: Slot, palette: Palette, era: Era, soft: float
) -> Lettering:
    """Set the title into its slot and print it."""
    text = title.upper() if slot.stacked or rng.random() < 0.75 or font == "Anton" else title
    tracking = float(rng.uniform(0.04, 0.16)) if text.isupper() and font == "JosefinSans-Bold" else 0.0
    lettering = set_title(text, font, slot, tracking)
    if lettering.lines[0].size < 21 and font != NARROW_FONT:
        lettering = set_title(title.upper(), NARROW_FONT, slot, 0.0)
    p = palette
    inks = [p.accent, p.paper, p.ink] if rng.random() < 0.45 else [p.paper, p.ink, p.second]
    if rng.random() < 0.5:
        inks[1], inks[2] = inks[2], inks[1]
    box = lettering.bounds()
    ink = choose_ink(art, box, inks, soft, era.until < 1982 or rng.random() < 0.3)
    mask = lettering.mask()
    if rng.random() < era.glow and sum(ink) > 380:
        halo = mask.filter(ImageFilter.BoxBlur(5))
        art.paste(mix(p.accent, p.near, 0.35), (0, 0), halo.point([min(255, v * 5 // 4) for v in range(256)]))
        ink = (255, 252, 244)
    art.paste(ink, (0, 0), mask)
    return lettering


def ink_credits(
    rng: np.random.Generator, art: Image.Image, year: int, director: str, cast: Sequence[str], slot: Slot, palette: Palette
) -> None:
    """Print the credit block at the foot, set as the era set it."""
    names = [name.upper() for name in cast if name][:4]
    by = rng.choice(["A FILM BY", "DIRECTED BY", "FILM BY"]) if director else ""
    style = int(rng.integers(3))
    rows = [f"{by} {director.upper()}".strip(), (" · " if style else "   ").join(names)]
    if style == 2:
        rows.reverse()
    rows[1] = f"{rows[1]}   {year}" if style == 1 else rows[1]
    align = slot.align if style == 1 else "center"
    lines: list[Line] = []
    y = 452.0
    for row, size, tracking in zip(rows, (9.6, 8.2), (0.14, 0.1), strict=True):
        fitted = min(size, (WIDTH - 44) / max(_width(CREDIT_FONT, row, tracking), 0.1))
        width = _width(CREDIT_FONT, row, tracking) * fitted
        x = 22 + (WIDTH - 44 - width) * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
        lines.append(Line(row, x, y, fitted, width))
        y += 12.5
    lettering = Lettering(CREDIT_FONT, tuple(line for line in lines if line.text), 0.12)
    if not lettering.lines:
        return
    inks = [palette.paper, palette.ink] if rng.random() < 0.5 else [palette.ink, palette.paper]
    ink = choose_ink(art, lettering.bounds(5), inks, 0, False)
    art.paste(ink, (0, 0), lettering.mask())


# ---- the poster ---------------------------------------------------------------------------------------------------------


def choose_composition(rng: np.random.Generator, genres: Sequence[str]) -> str:
    """A composition that tells the genres; the first genre counts most, and now and then a poster surprises."""
    names = list(COMPOSITIONS)
    ranks = [[2.0, 1.0, 0.5][min(i, 2)] for i in range(len(genres))]
    weights = np.array(
        [0.03 + sum(rank for rank, genre in zip(ranks, genres, strict=True) if genre in SUITS[name]) for name in names]
    )
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


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
    sheet = Sheet(rng, palette, look.density, look.roundness, year, frozenset(genres))
    slot = COMPOSITIONS[choose_composition(rng, genres)](sheet)
    if rng.random() < era.framed:
        edge = round(10 * SCALE)
        sheet.pen.rectangle((0, 0, WIDTH * SCALE - 1, HEIGHT * SCALE - 1), outline=palette.paper, width=edge)
    art = age(rng, develop(sheet.image.reduce(SCALE), look), era, palette)
    font = choose_font(rng, genres, era, look.roundness)
    ink_title(rng, art, title, font, slot, palette, era, look.roundness)
    ink_credits(rng, art, year, director, cast, slot, palette)
    return grain(rng, art, era.grain * (0.35 + 1.1 * look.density))
