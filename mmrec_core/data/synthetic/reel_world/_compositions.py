"""The drawing sheet and the compositions a poster can have.

A composition is one function that draws the picture on a :class:`Sheet` and answers with the :class:`Slot` it has kept
quiet for the title; :func:`composition` registers it for the genres it suits. Compositions never ask for "a circle" or
"seven trees" outright: they ask the sheet for a disc and for a count, and the sheet answers in the shape language and
at the density the film has. So every composition shows the film's traits without knowing about them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 320, 480
SCALE = 2
"""Shapes are drawn this many times too large and reduced, which is what smooths their edges."""

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
Array = NDArray[np.float64]
Item = TypeVar("Item")


def mix(a: Colour, b: Colour, t: float) -> Colour:
    """The colour a fraction `t` of the way from `a` to `b`."""
    return (
        round(a[0] + (b[0] - a[0]) * t),
        round(a[1] + (b[1] - a[1]) * t),
        round(a[2] + (b[2] - a[2]) * t),
    )


def soften(points: Array, amount: float, steps: int = 6) -> Array:
    """Replace each corner of a closed polygon by a curve; 0 leaves it angular, 1 leaves no straight edge at all."""
    if amount < 0.04:
        return points
    reach = 0.5 * min(amount, 1.0)
    turn = np.arange(len(points))
    before, after = points[turn - 1], points[turn - len(points) + 1]
    start, end = points + (before - points) * reach, points + (after - points) * reach
    u = np.linspace(0.0, 1.0, steps)[None, :, None]
    curve = (1 - u) ** 2 * start[:, None] + 2 * u * (1 - u) * points[:, None] + u**2 * end[:, None]
    return np.asarray(curve.reshape(-1, 2), dtype=np.float64)


def regular(sides: int, rotation: float = 0.0) -> Array:
    """A regular polygon of radius one."""
    angles = np.arange(sides) * (2 * math.pi / sides) + rotation
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@lru_cache(maxsize=256)
def outline(path: str) -> Array:
    """The corners of a shape written as ``"x,y x,y"``, about its own origin."""
    return np.array([[float(value) for value in corner.split(",")] for corner in path.split()])


@lru_cache(maxsize=256)
def mirrored(path: str) -> Array:
    """A symmetric shape from its right half, whose first and last corners lie on the axis."""
    half = outline(path)
    return np.concatenate([half, half[-2:0:-1] * (-1.0, 1.0)])


@dataclass(frozen=True)
class Palette:
    """The inks of one poster: the field it is printed on, depths from far to near, two accents, paper and ink."""

    field: Colour
    far: Colour
    mid: Colour
    near: Colour
    accent: Colour
    second: Colour
    paper: Colour
    ink: Colour

    def ramp(self, n: int) -> list[Colour]:
        """`n` colours from the farthest layer to the nearest."""
        if n == 1:
            return [self.near]
        half = (n - 1) / 2
        return [
            mix(self.far, self.mid, i / half) if i <= half else mix(self.mid, self.near, i / half - 1) for i in range(n)
        ]


@dataclass(frozen=True)
class Slot:
    """Where a composition wants the title: a box, how lines sit in it, and how large the letters may grow."""

    x0: float
    y0: float
    x1: float
    y1: float
    align: str = "center"
    valign: str = "middle"
    largest: float = 64
    stacked: bool = False
    """Set every line to the full width of the box, each in its own size."""
    upward: bool = False
    """The box is measured on the sheet turned a quarter to the right: the title runs up the side."""


@dataclass
class Sheet:
    """What a composition draws on: a supersampled picture, the palette, and the film's traits as plain fractions."""

    rng: np.random.Generator
    palette: Palette
    density: float
    roundness: float
    year: int
    genres: frozenset[str]
    image: Image.Image = field(init=False)
    pen: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), self.palette.field)
        self.pen = ImageDraw.Draw(self.image)

    # ---- chance ------------------------------------------------------------------------------------------------------

    def between(self, low: float, high: float) -> float:
        """A number drawn evenly from the range."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Whether something happens that has this probability."""
        return bool(self.rng.random() < probability)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[int(self.rng.integers(len(items)))]

    def count(self, sparse: int, dense: int) -> int:
        """How many of something: `sparse` in the emptiest film, `dense` in the busiest."""
        return max(0, round(sparse + (dense - sparse) * self.density + self.between(-0.4, 0.4)))

    def is_any(self, *genres: str) -> bool:
        """Whether the film has one of these genres."""
        return not self.genres.isdisjoint(genres)

    # ---- shapes ------------------------------------------------------------------------------------------------------

    def polygon(self, points: Points | Array, fill: Colour, soft: float = 1.0) -> None:
        """A filled polygon whose corners are as round as the film is."""
        outline = soften(np.asarray(points, dtype=np.float64), self.roundness * soft)
        self.pen.polygon((outline * SCALE).ravel().tolist(), fill=fill)

    def cutout(
        self,
        shape: str | Array,
        x: float,
        y: float,
        size: float | tuple[float, float],
        fill: Colour,
        soft: float = 1.0,
        tilt: float = 0.0,
    ) -> None:
        """A ready-made outline, placed, sized (a negative width mirrors it) and tilted."""
        points = (outline(shape) if isinstance(shape, str) else shape) * size
        if tilt:
            c, t = math.cos(tilt), math.sin(tilt)
            points = points @ np.array([[c, t], [-t, c]])
        self.polygon(points + (x, y), fill, soft)

    def outline_of_disc(self, x: float, y: float, r: float, rotation: float | None = None) -> Array:
        """The film's idea of a disc: a lozenge in an angular film, a circle in a round one."""
        sides = 4 + round(4 * self.roundness)
        turn = self.between(0, math.pi) if rotation is None else rotation
        grow = 1.0 + 0.12 * (1 - self.roundness) + 0.06 * self.roundness
        return soften(regular(sides, turn), self.roundness) * (r * grow) + (x, y)

    def disc(self, x: float, y: float, r: float, fill: Colour, rotation: float | None = None) -> None:
        """A filled disc in the film's shape language."""
        self.pen.polygon((self.outline_of_disc(x, y, r, rotation) * SCALE).ravel().tolist(), fill=fill)

    def ring(self, x: float, y: float, r: float, width: float, fill: Colour, rotation: float | None = None) -> None:
        """The outline of a disc."""
        points = self.outline_of_disc(x, y, r, rotation)
        closed = np.concatenate([points, points[:2]]) * SCALE
        self.pen.line(closed.ravel().tolist(), fill=fill, width=max(1, round(width * SCALE)), joint="curve")

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour, soft: float = 0.0) -> None:
        """A rectangle; with `soft`, its corners follow the film's roundness."""
        if x1 <= x0 or y1 <= y0:
            return
        corners = (x0 * SCALE, y0 * SCALE, x1 * SCALE - 1, y1 * SCALE - 1)
        radius = soft * self.roundness * 0.5 * min(x1 - x0, y1 - y0) * SCALE
        if radius < 1:
            self.pen.rectangle(corners, fill=fill)
        else:
            self.pen.rounded_rectangle(corners, radius, fill=fill)

    def line(self, points: Points, width: float, fill: Colour) -> None:
        """An open stroke."""
        flat = [value * SCALE for point in points for value in point]
        self.pen.line(flat, fill=fill, width=max(1, round(width * SCALE)), joint="curve")

    def ridge(self, y: float, rise: float, peaks: int, fill: Colour, base: float = HEIGHT + 20.0) -> None:
        """A layer of land from a horizon at `y` down to `base`: a zigzag when angular, rolling when round."""
        xs = np.linspace(-30.0, WIDTH + 30.0, 2 * peaks + 1) + self.rng.uniform(-9, 9, 2 * peaks + 1)
        ys = y + rise * np.where(np.arange(2 * peaks + 1) % 2 == 0, 0.6, -0.6) * self.rng.uniform(0.3, 1.3, len(xs))
        top = np.stack([xs, ys], axis=1)
        self.polygon(np.concatenate([[(-90.0, base)], top, [(WIDTH + 90.0, base)]]), fill)

    def shade(self, points: Array, fill: Colour, strength: float = 0.85) -> None:
        """Stipple a shape with ink that fades across it, as a hand-pulled print shades a ball."""
        scaled = points * SCALE
        low = np.floor(scaled.min(axis=0)).clip(0).astype(int)
        high = np.ceil(scaled.max(axis=0)).clip(None, (WIDTH * SCALE, HEIGHT * SCALE)).astype(int)
        width, height = (int(v) for v in high - low)
        if width < 4 or height < 4:
            return
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).polygon((scaled - low).ravel().tolist(), fill=255)
        fade = np.linspace(-0.35, strength, width, dtype=np.float32)[None, :] + np.linspace(
            -0.25, 0.25, height, dtype=np.float32
        ).reshape(-1, 1)
        grain = self.rng.random((height, width), dtype=np.float32) < fade
        stipple = Image.fromarray(grain.astype(np.uint8) * np.asarray(mask))
        self.image.paste(fill, (int(low[0]), int(low[1])), stipple)

    def stars(self, n: int, fill: Colour, y0: float = 0, y1: float = HEIGHT, size: float = 2.0) -> None:
        """Small marks strewn over a part of the sheet."""
        stamp = soften(regular(4, 0.6), self.roundness, 4)
        for x, y, grow in self.rng.random((n, 3)):
            points = stamp * (size * (0.4 + grow)) + (x * WIDTH, y0 + y * (y1 - y0))
            self.pen.polygon((points * SCALE).ravel().tolist(), fill=fill)

    def figure(self, x: float, base: float, height: float, fill: Colour) -> None:
        """A standing person, dressed for the genre."""
        h = height
        hatted = self.is_any("Western", "Crime", "Mystery") or self.chance(0.2)
        dress = self.is_any("Romance", "Musical", "Drama") and self.chance(0.5)
        hem = 0.17 if dress else 0.12
        coat = f"0,-.85 .055,-.85 .12,-.79 .135,-.48 .08,-.5 {hem},-.27 0,-.27"
        self.cutout(mirrored(coat), x, base, h, fill, 0.4)
        for side in (-1, 1):
            self.cutout(".005,-.3 .085,-.3 .075,0 .02,0", x, base, (side * h, h), fill, 0.2)
        self.disc(x, base - 0.915 * h, 0.062 * h, fill, math.pi / 4)
        if hatted:
            self.cutout("-.13,-.945 .13,-.945 .1,-.925 -.1,-.925", x, base, h, fill, 0.3)
            self.cutout("-.065,-.94 -.055,-1.02 .055,-1.02 .065,-.94", x, base, h, fill, 0.4)

    # ---- grounds -----------------------------------------------------------------------------------------------------

    def gradient(self, top: Colour, bottom: Colour, y0: float = 0, y1: float = HEIGHT) -> None:
        """Blend the sheet from one colour to another, downwards."""
        rows = round((y1 - y0) * SCALE)
        t = np.linspace(0, 1, rows)[:, None, None]
        blend = (np.array(top) * (1 - t) + np.array(bottom) * t).round().astype(np.uint8)
        self.image.paste(
            Image.fromarray(blend).resize((WIDTH * SCALE, rows), Image.Resampling.NEAREST), (0, round(y0 * SCALE))
        )

    def rays(self, x: float, y: float, n: int, fill: Colour) -> None:
        """Wedges of colour from a point to beyond the edges."""
        turn = self.between(0, math.pi)
        for k in range(n):
            a = turn + k * 2 * math.pi / n
            b = a + math.pi / n
            far = [(x + 700 * math.cos(angle), y + 700 * math.sin(angle)) for angle in (a, b)]
            self.polygon([(x, y), *far], fill, 0)

    def pattern(self, fill: Colour, y0: float = 0, y1: float = HEIGHT, grow: int | None = None) -> None:
        """Cover a part of the sheet with small marks; the busier the film, the closer they stand."""
        step = 40 - 23 * self.density
        size = step * self.between(0.24, 0.34)
        stamp = soften(regular(3 if self.chance(0.5) else 4, self.between(0, 3)), self.roundness, 4)
        fade = self.pick((-1, 0, 1)) if grow is None else grow
        for row in range(int((y1 - y0) / step) + 1):
            y = y0 + (row + 0.5) * step
            t = (y - y0) / max(y1 - y0, 1)
            r = size * (1.0 if fade == 0 else 0.15 + 1.1 * (t if fade > 0 else 1 - t))
            cols = (np.arange(int(WIDTH / step) + 2) + 0.5 * (row % 2)) * step
            marks = np.tile(stamp * r + (0.0, y), (len(cols), 1, 1))
            marks[:, :, 0] += cols[:, None]
            for mark in (marks * SCALE).reshape(len(cols), -1).tolist():
                self.pen.polygon(mark, fill=fill)

    def hatch(self, fill: Colour) -> None:
        """Cover the sheet with parallel strokes: straight when angular, waving when round."""
        step = 34 - 24 * self.density
        slope = self.pick((0.0, 0.6, -0.6)) if self.roundness < 0.5 else 0.0
        swing = 14 * max(0.0, self.roundness - 0.3)
        xs = np.linspace(-10, WIDTH + 10, 24)
        wave = swing * np.sin(xs / self.between(12, 26)) + slope * xs
        for y in np.arange(-220 if slope > 0 else 0, HEIGHT + 220 if slope < 0 else HEIGHT, step):
            stroke = np.stack([xs, y + wave], axis=1) * SCALE
            self.pen.line(stroke.ravel().tolist(), fill=fill, width=round(step * 0.3))

    def confetti(self) -> None:
        """Strew small offcuts over a busy film: chips of paper when angular, dots when round."""
        n = round(330 * max(0.0, self.density - 0.3) ** 1.4)
        stamp = soften(regular(3), self.roundness**0.7, 5)
        inks = [
            mix(self.palette.field, other, 0.4) for other in (self.palette.paper, self.palette.near, self.palette.far)
        ]
        x, y, size, turn = self.rng.random((4, n, 1))
        c, t = np.cos(turn * 6.28), np.sin(turn * 6.28)
        grow = 1.0 + 3.0 * size * size
        chips = np.stack(
            [
                (stamp[:, 0] * c - stamp[:, 1] * t) * grow + x * WIDTH,
                (stamp[:, 0] * t + stamp[:, 1] * c) * grow + y * 430,
            ],
            axis=2,
        )
        for k, chip in enumerate((chips * SCALE).reshape(n, 2 * len(stamp)).tolist()):
            self.pen.polygon(chip, fill=inks[k % 3])

    def backdrop(self) -> None:
        """Prepare the ground: flat in a sparse film, patterned in a busy one, blended where the era liked that."""
        p = self.palette
        if 1980 <= self.year < 1993 or self.chance(0.25):
            self.gradient(p.field, mix(p.field, p.far, self.between(0.6, 1.0)))
        if self.density < 0.35:
            return
        faint = mix(p.field, p.far, 0.2 + 0.7 * self.density)
        way = self.pick(("pattern", "pattern", "hatch", "rays", "stars"))
        if way == "pattern":
            self.pattern(faint)
        elif way == "hatch":
            self.hatch(faint)
        elif way == "rays":
            self.rays(self.between(60, 260), self.between(120, 330), self.count(8, 30), faint)
        else:
            self.stars(self.count(0, 150), mix(p.field, p.paper, 0.5))


Composition = Callable[[Sheet], Slot]
COMPOSITIONS: dict[str, Composition] = {}
SUITS: dict[str, tuple[str, ...]] = {}


def composition(*genres: str) -> Callable[[Composition], Composition]:
    """Register a composition under its function's name, for the genres it tells well."""

    def register(draw: Composition) -> Composition:
        COMPOSITIONS[draw.__name__] = draw
        SUITS[draw.__name__] = genres
        return draw

    return register


def top(height: float = 118, y: float = 26, **more: float) -> Slot:
    """A slot for the title at the head of the poster."""
    return Slot(22, y, WIDTH - 22, y + height, valign="top", **more)  # type: ignore[arg-type]


def foot(height: float = 96, y: float = 430) -> Slot:
    """A slot for the title just above the credits."""
    return Slot(22, y - height, WIDTH - 22, y, valign="bottom")


# ---- land and sea ----------------------------------------------------------------------------------------------------


@composition("Adventure", "Western", "Drama", "War", "Romance", "Family")
def horizon_sun(s: Sheet) -> Slot:
    """A sun low over layers of land."""
    p = s.palette
    s.backdrop()
    x, y, r = s.between(80, 240), s.between(190, 260), s.between(42, 92)
    if s.density > 0.55:
        for k in range(s.count(0, 5), 0, -1):
            s.disc(x, y, r + 16 * k, mix(p.field, p.accent, 0.5 / k), 0.3)
    s.disc(x, y, r, p.accent, 0.3)
    if 1978 <= s.year < 1995:
        for k in range(1, 6):
            chord = r * math.sqrt(1 - (0.16 * k) ** 2) + 3
            s.box(x - chord, y + r * (0.16 * k - 0.02), x + chord, y + r * (0.16 * k + 0.012 * k), p.field)
    elif s.chance(0.6):
        s.shade(s.outline_of_disc(x, y, r, 0.3), mix(p.accent, p.near, 0.5))
    layers = s.count(2, 7)
    for k, colour in enumerate(p.ramp(layers)):
        s.ridge(y + r * 0.35 + k * (190 - r * 0.4) / layers, s.between(18, 50), s.count(2, 6), colour)
    return top()


@composition("Adventure", "Fantasy", "Documentary", "Drama")
def mountains(s: Sheet) -> Slot:
    """One great peak with a cap of snow, lesser ranges before it."""
    p = s.palette
    s.backdrop()
    x, apex, half = s.between(110, 210), s.between(130, 180), s.between(120, 190)
    if s.chance(0.6):
        s.disc(x + s.pick((-1, 1)) * s.between(50, 90), apex + s.between(-10, 40), s.between(18, 34), p.accent)
    s.polygon([(x, apex), (x + half, 440), (x - half, 440)], p.mid, 0.5)
    s.polygon([(x, apex), (x + half, 440), (x + half * 0.1, 440), (x - half * 0.08, apex + 140)], p.near, 0.3)
    cap = 0.3
    edge = [
        (x + half * cap * t, apex + (440 - apex) * cap + (14 if k % 2 else -16))
        for k, t in enumerate(np.linspace(1, -1, 7))
    ]
    s.polygon([(x, apex), *edge], p.paper, 0.5)
    layers = s.count(1, 5)
    for k, colour in enumerate(p.ramp(layers + 1)[1:]):
        s.ridge(330 + k * 110 / layers, s.between(20, 60), s.count(2, 7), colour)
    if s.density > 0.4:
        s.stars(s.count(0, 60), p.paper, 0, 200, 1.5)
    return top(96)


@composition("Western", "Adventure", "Comedy")
def desert(s: Sheet) -> Slot:
    """Dunes, a hard sun and cactus."""
    p = s.palette
    s.backdrop()
    s.disc(s.between(60, 260), s.between(170, 230), s.between(30, 62), p.accent)
    for _ in range(s.count(0, 3)):
        x, w, h = s.between(0, 290), s.between(40, 90), s.between(50, 120)
        s.polygon([(x, 330), (x + 6, 330 - h), (x + w - 8, 330 - h + 6), (x + w, 330)], p.far, 0.3)
    s.ridge(320, 16, s.count(2, 4), p.mid)
    s.ridge(380, 22, s.count(1, 3), p.near)
    for k in range(s.count(1, 6)):
        _cactus(
            s,
            s.between(30, 290),
            s.between(345, 425),
            s.between(70, 150) if k == 0 else s.between(25, 70),
            p.ink if k else mix(p.near, p.ink, 0.5),
        )
    return top()


def _cactus(s: Sheet, x: float, base: float, h: float, fill: Colour) -> None:
    """A saguaro with two arms."""
    w = h * 0.13
    s.box(x - w / 2, base - h, x + w / 2, base, fill, 1)
    for side in (-1, 1):
        reach, y = side * h * s.between(0.2, 0.28), base - h * s.between(0.3, 0.5)
        s.box(min(x, x + reach), y - w * 0.7, max(x, x + reach), y, fill)
        s.box(x + reach - w * 0.38, y - h * s.between(0.2, 0.35), x + reach + w * 0.38, y, fill, 1)


@composition("Adventure", "Romance", "Drama", "War", "Family")
def waves(s: Sheet) -> Slot:
    """Rows of waves under a sun, a small boat among them."""
    p = s.palette
    s.backdrop()
    s.disc(s.between(80, 240), s.between(170, 215), s.between(36, 70), p.accent)
    rows = s.count(3, 10)
    boat_row = int(s.rng.integers(0, max(1, rows // 2)))
    for k, colour in enumerate(p.ramp(rows)):
        y = 235 + k * 215 / rows
        if k == boat_row:
            _sail_boat(s, s.between(70, 250), y, s.between(34, 60), p.paper, p.ink)
        _wave_row(s, y, s.between(34, 70), 10 + k * 1.2, colour)
        if s.density > 0.5:
            _wave_row(s, y + 11, s.between(34, 60), 8, mix(colour, p.paper, 0.3))
            _wave_row(s, y + 14, s.between(34, 60), 8, colour)
    return top()


def _wave_row(s: Sheet, y: float, length: float, height: float, fill: Colour) -> None:
    """One row of crests, leaning forward."""
    shift = s.between(0, length)
    crest: list[tuple[float, float]] = []
    for x in np.arange(-2 * length, WIDTH + 2 * length, length):
        crest += [(x - shift, y + height), (x - shift + length * 0.62, y - height * 0.8)]
    s.polygon([(-150, HEIGHT + 40), *crest, (WIDTH + 150, HEIGHT + 40)], fill)


def _sail_boat(s: Sheet, x: float, y: float, size: float, sail: Colour, hull: Colour) -> None:
    """A small boat with two sails."""
    s.polygon([(x + 2, y - size * 1.5), (x + 2, y - size * 0.2), (x + size * 0.7, y - size * 0.2)], sail, 0.4)
    s.polygon(
        [(x - 2, y - size * 1.2), (x - 2, y - size * 0.2), (x - size * 0.5, y - size * 0.2)], mix(sail, hull, 0.25), 0.4
    )
    s.cutout("-.8,-.12 .8,-.12 .5,.25 -.5,.25", x, y, size, hull, 0.5)


@composition("Adventure", "War", "Family", "Fantasy", "Action")
def ship(s: Sheet) -> Slot:
    """A great hull seen head-on or a full-rigged ship, over a strip of sea."""
    p = s.palette
    s.backdrop()
    x = s.between(130, 190)
    if s.chance(0.5):
        s.disc(x + s.between(-50, 50), 240, s.between(70, 110), p.far)
        s.polygon([(x, 400), (x - 78, 210), (x, 185)], p.near, 0.35)
        s.polygon([(x, 400), (x + 78, 210), (x, 185)], p.ink, 0.35)
        s.polygon([(x - 40, 198), (x - 34, 165), (x + 34, 165), (x + 40, 198)], p.accent, 0.2)
        for k in range(s.count(1, 4)):
            s.box(x - 26 + k * 15, 140, x - 18 + k * 15, 166, p.near)
    else:
        s.disc(x - 20, 220, s.between(60, 90), p.accent)
        for mast in (-62, 0, 58):
            s.box(x + mast - 1.5, 165 + abs(mast) * 0.3, x + mast + 1.5, 385, p.ink)
            for tier in range(s.count(1, 4)):
                y, w = 185 + abs(mast) * 0.3 + tier * 44, 22 + tier * 5
                s.cutout("-1,0 1,0 1.15,1 -.85,1", x + mast, y, (w, 36), mix(p.paper, p.second, 0.2 * tier), 0.5)
        s.polygon([(x - 115, 350), (x + 100, 360), (x + 128, 345), (x + 88, 405), (x - 80, 405)], p.ink, 0.4)
    for k, colour in enumerate(p.ramp(s.count(2, 6))):
        _wave_row(s, 392 + k * 14, s.between(30, 60), 6, colour)
    return top(100)


@composition("Horror", "Fantasy", "Mystery", "Family", "Adventure", "Thriller")
def forest_moon(s: Sheet) -> Slot:
    """Rows of trees before a moon, someone small between them."""
    p = s.palette
    s.backdrop()
    x, r = s.between(90, 230), s.between(48, 90)
    moon = s.outline_of_disc(x, 215, r, 0.4)
    s.disc(x, 215, r, p.accent if s.chance(0.5) else p.paper, 0.4)
    s.shade(moon, mix(p.accent, p.far, 0.6), 0.6)
    rows = s.count(1, 4)
    for k, colour in enumerate(p.ramp(rows + 1)):
        base = 330 + k * 120 / (rows + 1)
        s.ridge(base, 10, 3, colour)
        if k == rows:
            s.figure(
                s.between(110, 210), min(base + 18, 424), s.between(44, 66), p.paper if sum(p.near) < 300 else p.ink
            )
        for _ in range(s.count(2, 9)):
            tx = s.between(-10, 330)
            if k == rows and 95 < tx < 225:
                continue
            _tree(s, tx, base + s.between(5, 30), s.between(80, 150) + 28 * k, colour)
    return top(104)


def _tree(s: Sheet, x: float, base: float, h: float, fill: Colour) -> None:
    """A fir in an angular film, a broad crown in a round one."""
    s.box(x - h * 0.025, base - h * 0.5, x + h * 0.025, base + 40, fill)
    if s.roundness < 0.55:
        for k in range(3):
            y, w = base - h + k * h * 0.24, h * (0.12 + 0.06 * k)
            s.polygon([(x, y), (x + w, y + h * 0.38), (x - w, y + h * 0.38)], fill, 0.6)
    else:
        for dx, dy, r in ((0, -0.72, 0.2), (-0.13, -0.58, 0.15), (0.13, -0.56, 0.16)):
            s.disc(x + dx * h, base + dy * h, r * h, fill)


@composition("Adventure", "Drama", "Western", "Thriller", "Romance", "Comedy", "Documentary")
def road(s: Sheet) -> Slot:
    """A road to the vanishing point."""
    p = s.palette
    s.backdrop()
    horizon, vx = s.between(205, 260), s.between(90, 230)
    s.disc(vx + s.between(-20, 20), horizon - s.between(0, 26), s.between(36, 70), p.accent)
    s.ridge(horizon - 4, s.between(14, 44), s.count(2, 6), p.far)
    s.box(0, horizon, WIDTH, HEIGHT, p.mid)
    for k in range(s.count(0, 9)):
        y = horizon + 6 + (k / 9) ** 1.8 * 210
        s.box(0, y, WIDTH, y + 1 + k * 0.9, mix(p.mid, p.far, 0.5))
    if s.roundness > 0.6:
        road_edge = [
            (vx - 2, horizon),
            (vx + 2, horizon),
            (vx + 60, horizon + 40),
            (vx - 40, horizon + 100),
            (250, 500),
            (60, 500),
            (vx - 110, horizon + 100),
            (vx + 30, horizon + 45),
        ]
        s.polygon(road_edge, p.near, 1)
    else:
        s.polygon([(vx - 3, horizon), (vx + 3, horizon), (WIDTH * 0.5 + 125, 490), (WIDTH * 0.5 - 125, 490)], p.near, 0)
        for k in range(6):
            a, b = (k / 6) ** 1.7, ((k + 0.5) / 6) ** 1.7
            xa, xb = vx + (160 - vx) * a, vx + (160 - vx) * b
            ya, yb = horizon + a * 245, horizon + b * 245
            s.polygon([(xa - 5 * a, ya), (xa + 5 * a, ya), (xb + 5 * b, yb), (xb - 5 * b, yb)], p.paper, 0)
    for k in range(s.count(0, 8)):
        t = (k + 1) / 9
        x, y, side = vx + (1 if k % 2 else -1) * (18 + t * 170), horizon + t * 130, 20 + t * 110
        s.box(x - 1 - t, y - side, x + 1 + t, y, p.ink)
        s.box(x - side * 0.14, y - side * 0.9, x + side * 0.14, y - side * 0.87, p.ink)
    return top(104)


# ---- town ------------------------------------------------------------------------------------------------------------


@composition("Crime", "Action", "Thriller", "Sci-Fi", "Drama", "Comedy", "Romance")
def skyline(s: Sheet) -> Slot:
    """A city against a large disc."""
    p = s.palette
    s.backdrop()
    s.disc(s.between(70, 250), s.between(180, 250), s.between(45, 100), p.accent)
    rows = s.count(1, 4)
    for k, colour in enumerate(p.ramp(rows)):
        x, base = -12.0, 300 + k * 110 / rows
        lit = p.accent if s.chance(0.3) else mix(colour, p.paper, 0.75)
        while x < WIDTH:
            w, h = s.between(24, 62), s.between(20, 130 - 12 * k)
            _tower(s, x, base - h, x + w, colour, lit)
            x += w + s.pick((0, 0, 3, 8))
        s.box(0, base, WIDTH, HEIGHT, colour)
    return top(104)


def _tower(s: Sheet, x0: float, y0: float, x1: float, fill: Colour, lit: Colour) -> None:
    """One building, topped in the film's shape language, with as many lit windows as its density asks."""
    w = x1 - x0
    if s.roundness > 0.5:
        s.box(x0, y0, x1, y0 + w * 2, fill, 1.0)
        s.box(x0, y0 + w, x1, HEIGHT, fill)
    else:
        peak = s.pick(((x0, y0 - w * 0.5), (x1, y0 - w * 0.4), ((x0 + x1) / 2, y0 - w * 0.7), (x0, y0)))
        s.polygon([(x0, y0), peak, (x1, y0), (x1, HEIGHT), (x0, HEIGHT)], fill, 0)
    step = 9.0
    share = max(0.0, s.density - 0.15) * 0.8
    for y in np.arange(y0 + w * 0.5 + 4, min(y0 + 150, 440), step):
        for x in np.arange(x0 + 5, x1 - 6, step):
            if s.chance(share):
                s.box(x, y, x + 3.6, y + 4.6, lit)


@composition("Mystery", "Crime", "Romance", "Comedy", "Thriller", "Drama")
def windows(s: Sheet) -> Slot:
    """A facade by night: one window tells the story."""
    p = s.palette
    s.gradient(p.mid, p.near)
    cols, rows = s.count(2, 5), s.count(2, 6)
    y0, y1 = 130.0, 436.0
    w, h = (WIDTH - 44) / cols, (y1 - y0) / rows
    special = (int(s.rng.integers(rows)), int(s.rng.integers(cols)))
    s.box(0, 0, WIDTH, 116, p.field)
    for r in range(rows):
        for c in range(cols):
            x, y = 22 + c * w + w * 0.14, y0 + r * h + h * 0.1
            x2, y2 = x + w * 0.72, y + h * 0.8
            here = (r, c) == special
            glass = (
                p.accent
                if here
                else s.pick(
                    (p.far, mix(p.mid, p.far, 0.5), mix(p.near, p.ink, 0.4), p.second if s.chance(0.25) else p.far)
                )
            )
            s.box(x - 3, y - 3, x2 + 3, y2 + 3, mix(p.near, p.ink, 0.5), 0.8)
            s.box(x, y, x2, y2, glass, 0.8)
            if here:
                s.figure((x + x2) / 2, y2, h * 0.62, p.ink)
            elif s.chance(0.2 + 0.5 * s.density):
                s.box((x + x2) / 2 - 1, y, (x + x2) / 2 + 1, y2, mix(p.near, p.ink, 0.5))
                s.box(x, (y + y2) / 2 - 1, x2, (y + y2) / 2 + 1, mix(p.near, p.ink, 0.5))
    return Slot(22, 20, WIDTH - 22, 108)


@composition("Mystery", "Thriller", "Drama", "Horror", "Documentary")
def staircase(s: Sheet) -> Slot:
    """Steps into the light, someone on them."""
    p = s.palette
    s.backdrop()
    n = s.count(5, 13)
    flip = s.chance(0.5)

    def mirror(x: float) -> float:
        return WIDTH - x if flip else x

    door = (mirror(270), 205)
    s.rays(door[0], door[1] - 20, s.count(0, 24), mix(p.field, p.far, 0.6))
    s.cutout("-1,1 -1,0 1,0 1,1", door[0], 130, (24, 81), p.accent, 0.6)
    dx, dy = 270 / n, 225 / n
    shades = p.ramp(max(2, n))
    for k in range(n, -1, -1):
        x, y = 300 - (n - k) * dx - dx, 205 + (n - k) * dy
        left, right = sorted((mirror(x), mirror(x + dx * (n + 3))))
        s.box(left, y, right, HEIGHT, shades[min(n - k, len(shades) - 1)])
        s.box(left, y, right, y + max(1.5, dy * 0.16), mix(p.far, p.paper, 0.5))
    at = n // 2 + 1
    s.figure(mirror(300 - at * dx - dx / 2), 205 + at * dy, s.between(64, 92), p.ink)
    return Slot(22, 26, WIDTH - 22, 118, valign="top", align="right" if flip else "left")


# ---- people and things -----------------------------------------------------------------------------------------------


@composition("Western", "Drama", "Thriller", "War", "Mystery", "Crime", "Documentary")
def lone_figure(s: Sheet) -> Slot:
    """Someone alone before a large plain shape, with a long shadow."""
    p = s.palette
    s.backdrop()
    x, base, h = s.between(90, 230), s.between(360, 400), s.between(80, 190)
    for k in range(s.count(1, 6), 0, -1):
        s.disc(x, base - h * 0.6, h * (0.5 + 0.2 * k), mix(p.accent, p.field, (k - 1) / 6), 0.2)
    s.box(0, base - 6, WIDTH, HEIGHT, p.mid)
    lean = s.between(-150, 150)
    s.polygon([(x - h / 10, base), (x + h / 10, base), (x + lean + h / 6, 500), (x + lean - h / 6, 500)], p.near, 0)
    s.figure(x, base + 2, h, p.ink)
    return top(92)


@composition("Horror", "Thriller", "Mystery", "Sci-Fi", "Documentary")
def eye(s: Sheet) -> Slot:
    """A great eye."""
    p = s.palette
    s.backdrop()
    y, w, h = s.between(225, 265), s.between(115, 145), s.between(52, 84)
    for k in range(s.count(0, 22)):
        a = math.pi * (1.08 + 0.84 * (k + 0.5) / max(1, s.count(22, 22)))
        s.line(
            [
                (160 + w * 0.8 * math.cos(a), y + h * 0.9 * math.sin(a)),
                (160 + w * 1.25 * math.cos(a), y + h * 2.0 * math.sin(a)),
            ],
            2.2,
            p.near,
        )
    for k in range(s.count(0, 4), -1, -1):
        g = 1 + 0.22 * k
        s.cutout(
            "-1,0 -.45,-1.15 .45,-1.15 1,0 .45,1.15 -.45,1.15",
            160,
            y,
            (w * g, h * g),
            p.paper if k == 0 else mix(p.near, p.far, k / 5),
        )
    gaze = s.between(-18, 18)
    turn = s.between(0, 2)
    s.disc(160 + gaze, y, h * 0.78, p.accent, turn)
    rings = s.count(1, 6)
    for k in range(rings):
        s.ring(160 + gaze, y, h * (0.72 - 0.32 * k / rings), 1.6, mix(p.accent, p.near, 0.7), turn)
    s.disc(160 + gaze, y, h * 0.36, p.ink, turn)
    s.disc(160 + gaze + h * 0.16, y - h * 0.2, h * 0.1, p.paper, turn)
    return top(96) if s.chance(0.6) else foot(92)


@composition("Thriller", "Mystery", "Horror", "Sci-Fi")
def vertigo(s: Sheet) -> Slot:
    """Rings within rings that turn as they shrink."""
    p = s.palette
    x, y, n = s.between(110, 210), s.between(165, 235), s.count(5, 19)
    twist, drift = s.between(0.04, 0.2), s.between(-2.5, 2.5)
    inks = (p.field, p.near) if s.chance(0.5) else (p.field, p.accent)
    for k in range(n):
        r = 330 * (1 - k / n) ** 1.15
        s.disc(x + drift * k, y + drift * 0.6 * k, r, inks[k % 2], k * twist)
    s.disc(x + drift * n, y + drift * 0.6 * n, 13, p.accent if inks[1] != p.accent else p.ink, n * twist)
    s.figure(
        x + drift * n + s.between(-4, 4), y + s.between(50, 80), s.between(50, 80), p.ink if s.chance(0.5) else p.paper
    )
    s.box(0, 338, WIDTH, HEIGHT, p.field)
    return Slot(22, 350, WIDTH - 22, 432)


@composition("Action", "Crime", "War", "Thriller", "Documentary")
def diagonal(s: Sheet) -> Slot:
    """The sheet cut by diagonal bands, someone running along them."""
    p = s.palette
    s.backdrop()
    slope = s.pick((-1, 1)) * s.between(0.35, 0.8)
    bands = s.count(2, 9)
    inks = [p.accent, p.near, p.mid, p.second, p.far]
    y = 170.0
    for k in range(bands):
        t = s.between(14, 60) * (1.6 if bands < 5 else 0.8)
        left, right = y - slope * 160, y + slope * 160
        s.polygon([(-40, left), (WIDTH + 40, right), (WIDTH + 40, right + t), (-40, left + t)], inks[k % 5], 0.6)
        y += t + s.between(0, 14)
    s.polygon([(-40, y - slope * 160), (WIDTH + 40, y + slope * 160), (WIDTH + 40, 520), (-40, 520)], p.near, 0)
    if s.chance(0.7):
        x = s.between(110, 210)
        s.figure(x, y + slope * (x - 160) + 4, s.between(120, 170), p.ink if s.chance(0.6) else p.paper)
    return top(96)


@composition("Drama", "Crime", "Thriller", "Horror", "War", "Documentary")
def hand(s: Sheet) -> Slot:
    """A hand cut from paper, reaching for something."""
    p = s.palette
    s.backdrop()
    x, y = s.between(140, 180), s.between(310, 335)
    lean = s.between(-0.12, 0.12)
    hue = p.near if s.chance(0.5) else p.accent
    other = p.accent if hue == p.near else p.second
    for k in range(s.count(1, 5), 0, -1):
        s.disc(x + lean * 400, 175, 16 + 15 * k, mix(other, p.field, (k - 1) / 5))
    s.polygon([(x - 34, HEIGHT + 20), (x - 44, y), (x + 46, y - 6), (x + 36, HEIGHT + 20)], hue, 0.3)
    for k, (reach, spread) in enumerate(((78, -0.42), (104, -0.14), (112, 0.06), (94, 0.27))):
        bx = x - 34 + k * 22.5
        tx, ty = bx + (spread + lean) * reach, y - reach
        s.polygon(
            [(bx - 12, y + 12), (tx - 8, ty + 5), (tx + 3, ty - 5), (tx + 10, ty + 8), (bx + 12, y + 12)], hue, 0.5
        )
    s.polygon([(x + 30, y + 50), (x + 84, y - 20), (x + 98, y - 16), (x + 92, y + 4), (x + 38, y + 80)], hue, 0.5)
    s.polygon([(x - 60, HEIGHT), (x - 60, 424), (x + 62, 420), (x + 62, HEIGHT)], p.ink, 0.2)
    return top(92)


@composition("Romance", "Comedy", "Drama", "Musical")
def heart(s: Sheet) -> Slot:
    """A heart: whole, split, or one of many."""
    p = s.palette
    s.backdrop()
    n = s.count(0, 5)
    for _ in range(n * n):
        _heart(
            s,
            s.between(10, 310),
            s.between(140, 420),
            s.between(7, 22),
            s.pick((p.second, p.mid, p.far)),
            s.between(-0.5, 0.5),
        )
    x, y, size = s.between(140, 180), s.between(255, 280), s.between(78, 112)
    tilt = s.between(-0.25, 0.25)
    for k in range(s.count(0, 4), 0, -1):
        _heart(s, x, y, size + 13 * k, p.accent if k % 2 == 0 else p.field, tilt)
    _heart(s, x, y, size, p.accent, tilt)
    if s.chance(0.5):
        crack = [
            (x - 6, y - size),
            (x + 12, y - size * 0.4),
            (x - 10, y - size * 0.1),
            (x + 10, y + size * 0.3),
            (x - 2, y + size * 1.1),
        ]
        s.line(crack, s.between(3, 9), p.field)
    else:
        _heart(s, x + size * 0.2, y + size * 0.1, size * 0.5, mix(p.accent, p.paper, 0.75), tilt)
    return top(104)


def _heart(s: Sheet, x: float, y: float, size: float, fill: Colour, tilt: float) -> None:
    """A heart of half-width `size`."""
    s.cutout(mirrored("0,-.42 .3,-.88 .78,-.86 1.04,-.4 .86,.12 0,1"), x, y, size, fill, 0.8, tilt)


@composition("Musical", "Comedy", "Drama", "Romance")
def stage(s: Sheet) -> Slot:
    """A performer in the spotlights."""
    p = s.palette
    s.gradient(p.field, p.mid)
    if s.density > 0.5:
        s.pattern(mix(p.field, p.far, 0.5))
    floor = s.between(370, 400)
    for k in range(s.count(1, 5)):
        x, to = s.between(20, 300), s.between(110, 210)
        s.polygon([(x - 6, 0), (x + 6, 0), (to + 62, floor), (to - 62, floor)], mix(p.far, p.paper, 0.25 + 0.12 * k), 0)
    s.box(0, floor, WIDTH, HEIGHT, p.near)
    s.cutout("-9,0 -4.5,-1.2 4.5,-1.2 9,0 4.5,1.4 -4.5,1.4", 160, floor, 10, p.accent)
    s.figure(s.between(145, 175), floor, s.between(140, 175), p.ink)
    for side in (-1, 1):
        folds = s.count(2, 6)
        for k in range(folds):
            x = 160 + side * (160 - k * 46 / folds)
            folded = [(x + side * 40, -20), (x - side * 16, -20), (x - side * (6 - k), 300), (x - side * 14, 500)]
            s.polygon([*folded, (x + side * 40, 500)], p.accent if k % 2 else p.second, 0.7)
    return Slot(58, 30, WIDTH - 58, 140, valign="top")


@composition("Crime", "Mystery", "Musical", "Horror", "Thriller")
def mask(s: Sheet) -> Slot:
    """A mask in two halves."""
    p = s.palette
    s.backdrop()
    x, y, w, h = 160.0, s.between(250, 270), s.between(76, 98), s.between(104, 128)
    for k in range(s.count(0, 6), 0, -1):
        s.disc(x, y, h + 14 * k, p.far if k % 2 else p.mid, 0.4)
    light, dark = (p.paper, p.accent) if s.chance(0.5) else (p.accent, p.ink)
    s.cutout(mirrored("0,-1 .8,-.9 1,-.2 .72,.55 0,1.05"), x, y, (w, h), light, 0.7)
    s.cutout("0,-.93 .79,-.9 .99,-.2 .71,.55 0,.98", x, y, (w, h), dark, 0.45)
    for side, ink in ((-1, dark), (1, light)):
        ex, ey = x + side * w * 0.42, y - h * 0.22
        s.polygon([(ex - 24, ey + side * 3), (ex, ey - 15), (ex + 24, ey - side * 3), (ex, ey + 12)], ink, 0.9)
    grin = s.pick((-1, 1)) * 20
    for side, ink in ((-1, dark), (1, light)):
        s.cutout("0,0 .5,-1 .42,.3 0,.65", x, y + h * 0.5, (side * w, grin), ink, 0.7)
    s.polygon([(x, y - 8), (x + 12, y + h * 0.26), (x, y + h * 0.3)], light, 0.2)
    return top(92)


@composition("Mystery", "Thriller", "Crime", "Horror", "Family")
def keyhole(s: Sheet) -> Slot:
    """What is seen through a keyhole."""
    p = s.palette
    s.backdrop()
    x, y, r = s.between(140, 180), s.between(210, 230), s.between(58, 76)
    plate = [(x - r * 1.5, y - r * 1.4), (x + r * 1.5, y - r * 1.4), (x + r * 1.6, 426), (x - r * 1.6, 426)]
    if s.chance(0.6):
        s.polygon(plate, p.mid, 0.6)
    s.disc(x, y, r, p.accent, 0.0)
    s.polygon([(x - r * 0.42, y), (x + r * 0.42, y), (x + r * 0.8, 408), (x - r * 0.8, 408)], p.accent, 0.1)
    for k in range(s.count(0, 6)):
        s.ring(x, y, r * (0.9 - 0.13 * k), 1.3, mix(p.accent, p.near, 0.6), 0.0)
    s.figure(x, 408, s.between(120, 150), p.ink)
    return top(88)


@composition("Romance", "Drama", "Mystery", "Documentary")
def profiles(s: Sheet) -> Slot:
    """Two profiles, face to face or one within the other."""
    p = s.palette
    s.backdrop()
    size = s.between(190, 240)
    y = s.between(270, 300)
    if s.density > 0.5:
        for k in range(s.count(2, 6), 0, -1):
            s.disc(160, y - 40, 26 * k, p.far if k % 2 else mix(p.far, p.field, 0.5), 0.3)
    gap = s.between(0.42, 0.6)
    if s.chance(0.6):
        _profile(s, 160 - size * gap, y, size, 1, p.near)
        _profile(s, 160 + size * gap, y, size, -1, p.accent)
    else:
        _profile(s, 150, y, size * 1.15, 1, p.near)
        _profile(s, 146, y + size * 0.16, size * 0.68, s.pick((-1, 1)), p.accent)
    return top(92)


def _profile(s: Sheet, x: float, y: float, size: float, facing: int, fill: Colour) -> None:
    """A head seen from the side."""
    head = "-.26,.62 -.24,.26 -.42,.02 -.43,-.3 -.22,-.52 .1,-.52 .27,-.36 .29,-.16 .27,-.1 .41,.07 .3,.1 .34,.17"
    neck = "  .29,.2 .33,.24 .26,.29 .27,.4 .06,.42 .1,.58 .5,.72 .5,1.4 -.65,1.4 -.6,.78"
    s.cutout(head + neck, x, y, (facing * size, size), fill, 0.55)


@composition("Romance", "Drama", "Family", "Animation", "Fantasy")
def flower(s: Sheet) -> Slot:
    """One great bloom, or a small bed of them."""
    p = s.palette
    s.backdrop()
    for _ in range(s.count(0, 9)):
        x, y = s.between(10, 310), s.between(300, 400)
        s.box(x - 1, y, x + 1, 500, p.near)
        _bloom(s, x, y, s.between(12, 26), s.pick((p.second, p.mid, p.far)), p.paper)
    x, y = s.between(130, 190), s.between(215, 245)
    bend = s.between(-40, 40)
    mid, end = x + bend * 0.4, x + bend
    s.polygon([(x - 4, y), (x + 4, y), (mid + 5, 360), (end + 6, 500), (end - 6, 500), (mid - 4, 360)], p.near, 0.8)
    for side in (-1, 1):
        ly = s.between(340, 390)
        s.cutout("0,0 36,-46 92,-40 50,-4", x + bend * 0.4, ly, (side, 1), p.near, 0.9)
    _bloom(s, x, y, s.between(62, 86), p.accent, p.second)
    return top(96)


def _bloom(s: Sheet, x: float, y: float, r: float, fill: Colour, heart_fill: Colour) -> None:
    """Petals about a centre."""
    n, turn = s.count(5, 15), s.between(0, 2)
    for k in range(n):
        a = turn + 2 * math.pi * k / n
        petal = np.array([(0.1, 0), (0.55, -1), (1, -0.7), (1.08, 0), (1, 0.7), (0.55, 1)]) * (1.0, 2.6 / n)
        s.cutout(petal, x, y, r, fill if k % 2 else mix(fill, heart_fill, 0.25), 0.9, a)
    s.disc(x, y, r * 0.3, heart_fill)


@composition("Drama", "Documentary", "Family", "Fantasy", "War", "Romance")
def birds(s: Sheet) -> Slot:
    """A flock leaving, or one great bird."""
    p = s.palette
    s.backdrop()
    if s.chance(0.6):
        s.disc(s.between(90, 230), s.between(200, 300), s.between(50, 100), p.accent)
    for _ in range(s.count(2, 34)):
        _bird(
            s,
            s.between(20, 300),
            s.between(130, 420),
            s.between(8, 24),
            s.pick((p.near, p.ink, p.mid)),
            s.between(-0.5, 0.5),
        )
    _bird(
        s,
        s.between(130, 190),
        s.between(240, 300),
        s.between(84, 120),
        p.ink if s.chance(0.6) else p.paper,
        s.between(-0.4, 0.4),
    )
    return top(96)


def _bird(s: Sheet, x: float, y: float, r: float, fill: Colour, tilt: float) -> None:
    """A bird on the wing."""
    wings = (
        "-1,-.35 -.5,-.42 -.08,-.1 .1,-.24 .22,-.1 .62,-.55 1.05,-.62 .6,-.2 .22,.18 .05,.5 -.06,.3 -.2,.08 -.6,-.16"
    )
    s.cutout(wings, x, y, r, fill, 0.7, tilt)


@composition("Action", "War", "Comedy", "Adventure", "Musical")
def sunburst(s: Sheet) -> Slot:
    """Rays from behind a star."""
    p = s.palette
    x, y = s.between(130, 190), s.between(235, 275)
    s.rays(x, y, s.count(7, 34), p.far)
    r = s.between(70, 105)
    rings = s.count(0, 4)
    for k in range(rings, 0, -1):
        s.disc(x, y, r + 14 * k, p.near if k % 2 else p.paper, 0.2)
    points = s.pick((5, 5, 6, 8, 12))
    star = (
        regular(points * 2, -math.pi / 2) * np.where(np.arange(points * 2) % 2 == 0, 1.0, s.between(0.45, 0.7))[:, None]
    )
    s.polygon(star * r + (x, y), p.accent, 0.9)
    if s.chance(0.6):
        s.figure(x, y + r * 0.62, r * 1.1, p.ink)
    else:
        s.polygon(star * r * 0.55 + (x, y), p.paper, 0.9)
    return top(88)


@composition("War", "Action", "Adventure", "Documentary")
def squadron(s: Sheet) -> Slot:
    """Aircraft in formation over a target."""
    p = s.palette
    s.backdrop()
    x, y = s.between(120, 200), s.between(230, 290)
    rings = s.count(2, 8)
    for k in range(rings, 0, -1):
        s.disc(x, y, 112 * k / rings, p.accent if k % 2 else p.paper, 0.1)
    n = s.count(1, 12)
    for k in range(n):
        row = int((math.sqrt(8 * k + 1) - 1) / 2)
        col = k - row * (row + 1) // 2
        size = 40 if n < 4 else 24
        _plane(s, 160 + (col - row / 2) * size * 2.4, 190 + row * size * 1.7, size, p.ink if k % 3 else p.near)
    s.ridge(420, 18, s.count(2, 6), p.near)
    return top(92)


def _plane(s: Sheet, x: float, y: float, r: float, fill: Colour) -> None:
    """An aircraft from above."""
    half = "0,-1 .12,-.7 .13,-.25 1,.1 1,.3 .13,.2 .09,.7 .36,.92 .36,1.02 0,.95"
    s.cutout(mirrored(half), x, y, r, fill, 0.4)


# ---- other worlds ----------------------------------------------------------------------------------------------------


@composition("Sci-Fi", "Adventure", "Documentary", "Animation")
def planet(s: Sheet) -> Slot:
    """A planet, its ring and its moons."""
    p = s.palette
    if s.chance(0.5):
        s.gradient(p.field, p.far)
    s.stars(s.count(8, 190), mix(p.field, p.paper, 0.8), size=1.7)
    x, y, r = s.between(90, 230), s.between(230, 300), s.between(62, 112)
    for k in range(s.count(0, 6)):
        s.ring(x, y, r + 28 + 24 * k, 0.9, mix(p.field, p.paper, 0.45), 0.4)
    body = s.outline_of_disc(x, y, r, 0.4)
    s.disc(x, y, r, p.accent, 0.4)
    s.shade(body, p.near, 0.9)
    tilt = s.between(-0.5, 0.5)
    if s.chance(0.6):
        ring = soften(regular(8), s.roundness) * (r * 1.75, r * 0.36)
        turn = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
        loop = ring @ turn + (x, y)
        front = [tuple(point) for point, flat in zip(loop.tolist(), ring.tolist(), strict=True) if flat[1] > -r * 0.12]
        start = max(range(len(front)), key=lambda i: math.dist(front[i], front[i - 1]))
        for k in range(s.count(1, 3)):
            s.line([(a, b + 5 * k) for a, b in front[start:] + front[:start]], 3.2 - k * 0.7, p.paper)
    for k in range(s.count(1, 5)):
        a, d = s.between(0, 6.3), r + 28 + 24 * k
        s.disc(x + d * math.cos(a), y + d * math.sin(a), s.between(4, 13), s.pick((p.second, p.paper, p.mid)))
    return top(92)


@composition("Sci-Fi", "Comedy", "Horror", "Mystery", "Animation")
def saucer(s: Sheet) -> Slot:
    """Something hovers, and its light falls on someone."""
    p = s.palette
    s.backdrop()
    s.stars(s.count(4, 90), mix(p.field, p.paper, 0.7), 0, 380, 1.6)
    x, y, w = s.between(110, 210), s.between(165, 195), s.between(62, 96)
    ground = s.between(385, 410)
    beam = mix(p.far, p.paper, 0.65)
    s.polygon([(x - w * 0.4, y), (x + w * 0.4, y), (x + w * 1.15, ground), (x - w * 1.15, ground)], beam, 0)
    s.disc(x, y - w * 0.18, w * 0.42, p.second, math.pi / 8)
    s.cutout("-1,0 -.4,-.22 .4,-.22 1,0 .4,.2 -.4,.2", x, y, w, p.accent, 0.8)
    lamps = s.count(2, 9)
    for k in range(lamps):
        s.disc(x + w * 1.3 * ((k + 0.5) / lamps - 0.5), y, 3.2, p.paper)
    s.ridge(ground, 10, s.count(1, 5), p.near)
    s.figure(x + s.between(-20, 20), ground + 6, s.between(44, 72), p.ink)
    return top(88)


@composition("Fantasy", "Family", "Animation", "Horror", "Adventure")
def castle(s: Sheet) -> Slot:
    """Towers on a hill."""
    p = s.palette
    s.backdrop()
    s.stars(s.count(0, 50), p.paper, 0, 260, 2.2)
    x = s.between(120, 200)
    s.disc(x + s.between(-60, 60), s.between(190, 230), s.between(50, 95), p.accent)
    n = s.count(3, 9)
    for k in range(n):
        off = (k - (n - 1) / 2) * 150 / n
        w, h = s.between(15, 24), s.between(110, 170) - abs(off) * 0.8
        colour = s.pick((p.mid, p.near, mix(p.mid, p.near, 0.5)))
        s.box(x + off - w / 2, 350 - h, x + off + w / 2, 380, colour)
        roof = [
            (x + off - w * 0.75, 351 - h),
            (x + off, 351 - h - w * s.between(1.3, 2.4)),
            (x + off + w * 0.75, 351 - h),
        ]
        s.polygon(roof, p.second if s.chance(0.5) else p.ink, 0.75)
        if s.chance(0.3 + 0.6 * s.density):
            s.box(x + off - 2, 362 - h, x + off + 2, 370 - h, p.accent, 1)
    s.ridge(352, 26, s.count(1, 3), p.near)
    s.ridge(400, 22, s.count(1, 5), p.ink)
    return top(92)


@composition("Family", "Animation", "Comedy", "Adventure", "Musical")
def balloons(s: Sheet) -> Slot:
    """Balloons over clouds."""
    p = s.palette
    s.backdrop()
    for _ in range(s.count(1, 6)):
        cx, cy = s.between(0, 320), s.between(180, 420)
        for dx, r in ((-26, 14), (0, 21), (26, 15)):
            s.disc(cx + dx, cy, r, mix(p.far, p.paper, 0.5))
    n = s.count(1, 8)
    for k in range(n):
        big = k == n - 1
        size = s.between(58, 84) if big else s.between(14, 32)
        _balloon(
            s,
            s.between(110, 210) if big else s.between(25, 295),
            s.between(215, 250) if big else s.between(150, 400),
            size,
            s.pick((p.accent, p.second)),
        )
    s.ridge(430, 24, s.count(1, 5), p.near)
    return top(92)


def _balloon(s: Sheet, x: float, y: float, r: float, fill: Colour) -> None:
    """A hot-air balloon with striped cloth."""
    p = s.palette
    s.disc(x, y, r, fill, math.pi / 8)
    s.cutout("-.86,.5 .86,.5 .22,1.35 -.22,1.35", x, y, r, fill, 0.3)
    for k in range(s.count(0, 2) + 1):
        w = r * (0.5 - 0.2 * k)
        stripe = p.paper if k % 2 == 0 else fill
        s.polygon(
            [(x, y - r), (x + w, y), (x + r / 10, y + r * 1.33), (x - r / 10, y + r * 1.33), (x - w, y)], stripe, 0.9
        )
    s.box(x - r * 0.18, y + r * 1.55, x + r * 0.18, y + r * 1.85, p.ink, 0.4)
    for side in (-1, 1):
        s.line([(x + side * r * 0.2, y + r * 1.33), (x + side * r * 0.16, y + r * 1.6)], 0.8, p.ink)


# ---- pure design -----------------------------------------------------------------------------------------------------


@composition("Documentary", "Drama", "Comedy", "Action", "Crime", "Musical")
def giant_type(s: Sheet) -> Slot:
    """The title is the picture, over one plain thing: a great disc, a stack of blocks, or rules."""
    p = s.palette
    if s.density > 0.35 and s.chance(0.5):
        s.backdrop()
    kind = s.pick(("disc", "blocks", "rules"))
    end = s.between(270, 330)
    if kind == "disc":
        x, y, r = s.between(30, 290), s.between(370, 410), s.between(90, 150)
        for k in range(s.count(0, 7), 0, -1):
            s.disc(x, y, r + 15 * k, mix(p.field, p.accent, 0.5 / k), 0.3)
        s.disc(x, y, r, p.accent, 0.3)
        s.shade(s.outline_of_disc(x, y, r, 0.3), mix(p.accent, p.near, 0.6), 0.7)
    elif kind == "blocks":
        for _ in range(s.count(2, 12)):
            w, h = s.between(30, 150), s.between(16, 60)
            x, y = s.between(-10, 300), s.between(end, 425)
            s.box(x, y, x + w, min(y + h, 436), s.pick((p.accent, p.second, p.near, p.mid, p.far)), 1)
    else:
        rules = s.count(2, 11)
        for k in range(rules):
            y = end + 14 + k * (426 - end - 14) / rules
            s.box(
                22,
                y,
                298 - 20 * k * s.pick((0, 1)),
                y + (70 / rules) * (k + 1) / rules,
                p.accent if k % 3 else p.second,
                1,
            )
    return Slot(20, 30, WIDTH - 20, end, stacked=True, valign="top")


@composition("Documentary", "Animation", "Comedy", "Drama", "Family", "Musical")
def shape_grid(s: Sheet) -> Slot:
    """A grid of simple shapes, after the Bauhaus."""
    p = s.palette
    n = s.count(2, 6)
    cell = (WIDTH - 44) / n
    rows = max(1, round(276 / cell))
    y0 = 436 - rows * cell if s.chance(0.5) else 26.0
    inks = [p.accent, p.second, p.near, p.mid, p.far, p.paper]
    for r in range(rows):
        for c in range(n):
            _tile(s, 22 + c * cell, y0 + r * cell, cell, s.pick(inks), s.pick(inks))
    return Slot(22, 24, WIDTH - 22, y0 - 12) if y0 > 60 else Slot(22, y0 + rows * cell + 12, WIDTH - 22, 432)


def _tile(s: Sheet, x: float, y: float, a: float, ground: Colour, fill: Colour) -> None:
    """One tile: wedges and lozenges when angular, arcs and dots when round."""
    s.box(x, y, x + a, y + a, ground)
    arc = s.chance(s.roundness)
    corner = int(s.rng.integers(4))
    cx, cy = x + a * (corner % 2), y + a * (corner // 2)
    kind = s.pick(("corner", "corner", "half", "dot", "plain"))
    if kind == "corner" and arc:
        left, upper = (cx - a) * SCALE, (cy - a) * SCALE
        start = {0: 0, 1: 90, 2: 270, 3: 180}[corner]
        s.pen.pieslice((left, upper, left + 2 * a * SCALE, upper + 2 * a * SCALE), start, start + 90, fill=fill)
    elif kind == "corner":
        s.polygon([(cx, cy), (x + a - (cx - x), cy), (cx, y + a - (cy - y))], fill, 0)
    elif kind == "half":
        if arc:
            s.pen.pieslice(
                (x * SCALE, (y + a / 2) * SCALE, (x + a) * SCALE, (y + a * 1.5) * SCALE), 180, 360, fill=fill
            )
        else:
            s.polygon([(x, y + a), (x + a / 2, y), (x + a, y + a)], fill, 0)
    elif kind == "dot":
        s.disc(x + a / 2, y + a / 2, a * 0.34, fill, 0.0)


@composition("Documentary", "Drama", "Crime", "War", "Mystery")
def torn_bands(s: Sheet) -> Slot:
    """Strips of torn paper, one left for the title."""
    p = s.palette
    s.backdrop()
    n = s.count(2, 9)
    inks = [p.near, p.accent, p.far, p.second, p.mid, p.ink]
    y = 150.0
    for k in range(n):
        h = 270 / n
        _torn(s, y, y + h * s.between(0.6, 1.1), mix(inks[k % 6], p.paper, 0.45))
        _torn(s, y + 3, y + h * s.between(0.5, 0.9), inks[k % 6])
        y += h
    if s.chance(0.6):
        s.figure(s.between(80, 240), 420, s.between(120, 190), p.paper if s.chance(0.5) else p.ink)
    return top(104)


def _torn(s: Sheet, y0: float, y1: float, fill: Colour) -> None:
    """A strip across the sheet with ragged edges."""
    n = s.count(9, 26)
    xs = np.linspace(-30, WIDTH + 30, n)
    tilt = s.between(-12, 12)
    upper = np.stack([xs, y0 + s.rng.uniform(-5, 5, n) + tilt * xs / WIDTH], axis=1)
    lower = np.stack([xs[::-1], y1 + s.rng.uniform(-5, 5, n) + tilt * xs[::-1] / WIDTH], axis=1)
    s.polygon(np.concatenate([upper, lower]), fill)


@composition("Musical", "Documentary", "Comedy", "Drama")
def record(s: Sheet) -> Slot:
    """A record with its grooves."""
    p = s.palette
    s.backdrop()
    x, y, r = s.between(120, 250), s.between(250, 300), s.between(105, 145)
    s.disc(x, y, r, p.near if sum(p.near) < 330 else p.ink, 0.2)
    for k in range(s.count(1, 13)):
        s.ring(x, y, r * (0.95 - 0.045 * k), 0.8, mix(p.near, p.far, 0.6), 0.2)
    s.disc(x, y, r * 0.36, p.accent, 0.2)
    s.disc(x, y, r * 0.2, p.second, 0.2)
    s.disc(x, y, 4, p.paper, 0.2)
    if s.chance(0.6):
        s.line([(40, 150), (60, 260), (x - r * 0.4, y + r * 0.2)], 4, p.paper)
        s.disc(40, 150, 12, p.second)
    return top(92)


# ---- small worlds ----------------------------------------------------------------------------------------------------


@composition("Comedy", "Family", "Animation", "Mystery")
def cat(s: Sheet) -> Slot:
    """A cat that looks straight at you, its whiskers as many as the film is busy."""
    p = s.palette
    s.backdrop()
    x, y, w = s.between(135, 185), s.between(265, 295), s.between(78, 104)
    fur = s.pick((p.near, p.ink, p.accent))
    eyes = p.second if fur == p.accent else p.accent
    s.cutout(mirrored("0,.6 .9,1.1 1.15,3 0,3"), x, y, w, fur, 0.6)
    s.cutout(mirrored("0,-.62 .38,-.62 .86,-1.25 1,-.1 .62,.66 0,.86"), x, y, w, fur, 0.45)
    for side in (-1, 1):
        s.cutout(".5,-.62 .8,-1 .86,-.4", x, y, (side * w, w), mix(fur, p.far, 0.5), 0.4)
        s.cutout(".14,-.06 .4,-.3 .74,-.16 .46,.14", x, y, (side * w, w), eyes, 0.9)
        s.cutout(".4,-.24 .48,-.06 .44,.1 .37,-.06", x, y, (side * w, w), p.ink, 0.7)
        for k in range(s.count(1, 6)):
            rise = (k - 2) * 0.11
            s.line([(x + side * w * 0.3, y + w * 0.36), (x + side * w * 1.35, y + w * (0.3 + rise))], 1.4, p.paper)
    s.cutout(mirrored("0,.24 .11,.24 0,.4"), x, y, w, s.pick((p.second, p.paper)), 0.6)
    return top(96)


@composition("Western", "War", "Thriller", "Mystery", "Romance", "Adventure")
def train(s: Sheet) -> Slot:
    """A locomotive coming straight on, under its own smoke."""
    p = s.palette
    s.backdrop()
    x, y, r = s.between(130, 190), s.between(290, 315), s.between(56, 74)
    for k in range(s.count(3, 12)):
        s.disc(
            x + s.between(-1, 1) * 16 * (k + 1) ** 0.7,
            y - r * 1.5 - 9 * k,
            14 + 3 * k,
            mix(p.far, p.paper, s.between(0.2, 0.7)),
        )
    s.box(0, y + r * 1.3, WIDTH, HEIGHT, p.mid)
    for k in range(s.count(3, 11)):
        t = y + r * 1.3 + 8 + k * 13
        s.box(x - 60 - k * 16, t, x + 60 + k * 16, t + 4, p.near)
    s.box(x - r * 0.2, y - r * 1.75, x + r * 0.2, y - r * 0.6, p.ink, 0.3)
    s.cutout(mirrored("0,-.5 1.08,-.5 1.08,1.3 0,1.3"), x, y, r, p.near, 0.3)
    s.disc(x, y, r, p.ink, 0.2)
    for k in range(s.count(1, 5)):
        s.ring(x, y, r * (0.92 - 0.12 * k), 1.6, mix(p.near, p.far, 0.6), 0.2)
    s.disc(x, y, r * 0.26, p.accent, 0.2)
    s.cutout(mirrored("0,.95 1,.95 1.35,1.7 0,1.8"), x, y, r, p.accent, 0.2)
    return top(88)


@composition("Musical", "Drama", "Romance", "Comedy")
def piano(s: Sheet) -> Slot:
    """A keyboard across the sheet, one key in colour, someone walking on it."""
    p = s.palette
    s.backdrop()
    n, y = s.count(5, 14), s.between(215, 255)
    w, slope = WIDTH / n, s.between(-0.12, 0.12)
    told = int(s.rng.integers(1, n - 1))
    for k in range(-1, n + 1):
        x, drop = k * w, slope * (k * w - 160)
        fill = p.accent if k == told else p.paper
        s.box(x + 1, y + drop, x + w - 1, 436 + drop, fill, 0.5)
        s.box(x + 1, y + drop, x + w - 1, y + drop + w * 0.5, fill)
    for k in range(n + 1):
        if k % 7 not in (0, 3):
            drop = slope * (k * w - 160)
            s.box(k * w - w * 0.3, y + drop - 2, k * w + w * 0.3, y + 118 + drop, p.ink, 0.5)
    s.figure((told + 0.5) * w, y + slope * ((told + 0.5) * w - 160) + 2, s.between(60, 96), p.ink)
    return top(92)


@composition("Family", "Horror", "Comedy", "Drama", "Mystery")
def house(s: Sheet) -> Slot:
    """A house on its own, somebody at home."""
    p = s.palette
    s.backdrop()
    x, base, w = s.between(125, 195), s.between(380, 400), s.between(64, 92)
    s.disc(x + s.between(-90, 90), s.between(180, 215), s.between(26, 62), p.accent)
    s.ridge(base - 26, 22, s.count(1, 5), p.far)
    tall = w * s.between(1.1, 1.7)
    s.box(x + w * 0.3, base - tall - w * 0.9, x + w * 0.55, base - tall, p.ink)
    s.box(x - w, base - tall, x + w, base + 10, p.near)
    s.cutout(mirrored("0,-1.05 1.25,.08 0,.08"), x, base - tall, w, p.ink, 0.35)
    rows, cols = s.count(1, 4), s.count(2, 5)
    for r in range(rows):
        for c in range(cols):
            a, b = x - w * 0.82 + c * w * 1.64 / cols, base - tall + 10 + r * (tall - 14) / rows
            lit = s.chance(0.35) or (r, c) == (0, 0)
            s.box(a + 3, b, a + w * 1.64 / cols - 3, b + (tall - 14) / rows - 7, p.accent if lit else p.mid, 0.8)
    s.ridge(base + 8, 12, s.count(1, 4), p.ink)
    for _ in range(s.count(0, 7)):
        _tree(s, s.pick((s.between(0, 60), s.between(260, 320))), base + 12, s.between(60, 130), p.ink)
    return top(88)
