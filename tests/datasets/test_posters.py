"""The poster artist: same film, same pixels; every title readable; every trait visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrec_core.data.synthetic.reel_world import posters
from mmrec_core.data.synthetic.reel_world._compositions import COMPOSITIONS, SUITS

SEEDS = range(14)
GENRES = sorted({genre for genres in SUITS.values() for genre in genres})


def film(number: int, **changes: Any) -> dict[str, Any]:
    """An ordinary film, with whatever a test wants different."""
    plain: dict[str, Any] = {
        "title": ["The Last Orchard", "Dust", "Night Train to Gdańsk", "Waltz for a Stranger"][number % 4],
        "year": 1960 + (number * 17) % 66,
        "genres": [GENRES[(number * 5) % len(GENRES)], GENRES[(number * 3 + 1) % len(GENRES)]],
        "director": "Ingrid Løvås",
        "cast": ["Tomás Rivera", "Wen Li", "Agnieszka Wójcik"],
        "traits": np.random.default_rng(number).standard_normal(4).tolist(),
        "seed": number,
    }
    return {**plain, **changes}


def pixels(image: Image.Image) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A poster as numbers."""
    return np.asarray(image).astype(np.float64)


def with_trait(which: int, value: float) -> list[float]:
    """Average traits but one."""
    traits = [0.0] * 4
    traits[which] = value
    return traits


def sweep(which: int, values: Sequence[float], measure: Any) -> list[float]:
    """A picture statistic, averaged over seeds, as one trait moves."""
    return [
        float(np.mean([measure(pixels(posters.draw_poster(**film(s, traits=with_trait(which, v))))) for s in SEEDS]))
        for v in values
    ]


def test_size_and_mode() -> None:
    poster = posters.draw_poster(**film(1))
    assert poster.mode == "RGB"
    assert poster.size == (posters.WIDTH, posters.HEIGHT) == (320, 480)


def test_same_film_same_pixels_and_another_seed_another_poster() -> None:
    first, again = (posters.draw_poster(**film(5)).tobytes() for _ in range(2))
    assert first == again
    assert first != posters.draw_poster(**film(5, seed=6)).tobytes()


def test_every_genre_has_several_compositions() -> None:
    assert len(COMPOSITIONS) >= 14
    for genre in GENRES:
        assert sum(genre in suits for suits in SUITS.values()) >= 3, genre


@pytest.mark.parametrize("name", sorted(COMPOSITIONS))
@pytest.mark.parametrize("extreme", [-2.5, 2.5])
def test_every_composition_survives_extreme_traits(name: str, extreme: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posters, "choose_composition", lambda rng, genres: name)
    poster = posters.draw_poster(**film(3, traits=[extreme] * 4))
    assert pixels(poster).std() > 4


@pytest.mark.parametrize(
    "title",
    [
        "A",
        "",
        "Les Misérables",
        "Łódź",
        "ÅÉÎÕÜ ÿžŵ",
        "Supercalifragilisticexpialidociousness",
        "The Unbearable Quiet of the Lighthouse Keeper's Third Daughter, Part 2",
        "To be or not to be or to go or to do so if it is as it is or so I say",
    ],
)
def test_hard_titles_stay_inside_the_sheet(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[posters.Lettering, tuple[int, int]]] = []
    ink_title = posters.ink_title

    def spy(rng: Any, art: Image.Image, *rest: Any) -> posters.Lettering:
        seen.append((ink_title(rng, art, *rest), art.size))
        return seen[-1][0]

    monkeypatch.setattr(posters, "ink_title", spy)
    for seed in SEEDS:
        posters.draw_poster(**film(seed, title=title))
    for lettering, (width, height) in seen:
        assert " ".join(line.text for line in lettering.lines).casefold() == (title or "·").casefold()
        for line in lettering.lines:
            assert line.size >= 7
            assert line.x >= 8 and line.x + line.width <= width - 8
            assert 8 < line.y < height


def test_titles_read_against_what_lies_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ratios: list[float] = []
    choose_ink = posters.choose_ink

    def spy(art: Image.Image, box: tuple[int, int, int, int], *rest: Any) -> tuple[int, int, int]:
        ink = choose_ink(art, box, *rest)
        behind = np.asarray(art.crop(box)).reshape(-1, 3)
        level = float(posters.luminance(np.array(ink, dtype=np.uint8)))
        ratios.append(posters.contrast(level, float(posters.luminance(behind).mean())))
        return ink

    monkeypatch.setattr(posters, "choose_ink", spy)
    for seed in range(60):
        posters.draw_poster(**film(seed))
    assert len(ratios) == 120
    assert min(ratios) >= posters.READABLE


def test_the_title_is_printed() -> None:
    for seed in SEEDS:
        bare, titled = (pixels(posters.draw_poster(**film(seed, title=title))) for title in (".", "Iron Harvest"))
        assert (np.abs(bare - titled).max(axis=2) > 60).mean() > 0.01


def test_credits_may_be_missing() -> None:
    assert posters.draw_poster(**film(2, director="", cast=[])).size == (320, 480)


@pytest.mark.parametrize("genres", [[], ["Mumblecore"], ["Opera", "Western"]])
def test_unknown_genres_are_welcome(genres: list[str]) -> None:
    assert posters.draw_poster(**film(4, genres=genres)).size == (320, 480)


def test_light_films_are_lighter() -> None:
    values = sweep(1, (-2.0, -0.7, 0.7, 2.0), lambda p: p.mean())
    assert values == sorted(values) and values[-1] - values[0] > 50


def test_warm_films_are_redder() -> None:
    values = sweep(0, (-2.0, -0.7, 0.7, 2.0), lambda p: p[:, :, 0].mean() - p[:, :, 2].mean())
    assert values == sorted(values) and values[-1] - values[0] > 40


def test_dense_films_have_more_detail() -> None:
    values = sweep(2, (-2.0, 0.0, 2.0), lambda p: np.abs(np.diff(p.mean(axis=2), axis=0)).mean())
    assert values == sorted(values)


def test_round_films_have_fewer_slanted_strokes() -> None:
    def slant(p: np.ndarray[Any, np.dtype[np.float64]]) -> float:
        grey = p.mean(axis=2)
        down, across = np.diff(grey, axis=0)[:, 1:], np.diff(grey, axis=1)[1:]
        return float(np.corrcoef(down.ravel(), across.ravel())[0, 1])

    values = sweep(3, (-2.0, 0.0, 2.0), slant)
    assert values == sorted(values, reverse=True)
