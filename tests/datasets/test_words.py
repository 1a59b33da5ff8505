"""Tests for the writer of the embedded demo catalogue: clean English, and traits legible in plots only."""

import re
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from mmrec_core.data.synthetic.reel_world import words

N_FILMS = 1200
N_TRAIN = 800

Floats = npt.NDArray[np.float64]


@cache
def _films() -> tuple[tuple[tuple[str, ...], ...], tuple[int, ...], Floats]:
    """Return the genres, years and traits of a random catalogue."""
    rng = np.random.default_rng(20)
    genres = tuple(
        tuple(str(genre) for genre in rng.choice(words.GENRES, size=int(rng.integers(1, 4)), replace=False))
        for _ in range(N_FILMS)
    )
    years = tuple(int(year) for year in rng.integers(1930, 2025, N_FILMS))
    return genres, years, rng.standard_normal((N_FILMS, len(words.TEXT_TRAITS)))


@cache
def _plots() -> tuple[str, ...]:
    """Return one plot per film of the random catalogue."""
    genres, years, traits = _films()
    return tuple(
        words.write_plot(genres=genres[i], year=years[i], traits=traits[i].tolist(), seed=i) for i in range(N_FILMS)
    )


@cache
def _titles() -> tuple[str, ...]:
    """Return one title per film of the random catalogue."""
    return tuple(words.make_titles(_films()[0], seed=4))


@cache
def _tags() -> tuple[tuple[str, ...], ...]:
    """Return the tags of every film of the random catalogue."""
    genres, years, _ = _films()
    return tuple(tuple(words.make_tags(genres=genres[i], year=years[i], seed=i)) for i in range(N_FILMS))


def _held_out_r2(texts: tuple[str, ...], penalty: float) -> Floats:
    """Return how well a ridge regression on bags of words predicts each trait of unseen films."""
    bags = [set(re.findall(r"\w{2,}", text.lower())) for text in texts]
    vocabulary = {word: column for column, word in enumerate(sorted(set().union(*bags)))}
    counts = np.zeros((len(texts), len(vocabulary)))
    for row, bag in enumerate(bags):
        counts[row, [vocabulary[word] for word in bag]] = 1.0
    traits = np.clip(_films()[2], -2.5, 2.5)
    centre, mean = counts[:N_TRAIN].mean(axis=0), traits[:N_TRAIN].mean(axis=0)
    train, test = counts[:N_TRAIN] - centre, counts[N_TRAIN:] - centre
    dual = np.linalg.solve(train @ train.T + penalty * np.eye(N_TRAIN), traits[:N_TRAIN] - mean)
    truth = traits[N_TRAIN:]
    residual = ((truth - mean - test @ (train.T @ dual)) ** 2).sum(axis=0)
    scores: Floats = 1.0 - residual / ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    return scores


def test_plots_keep_to_length() -> None:
    for plot in _plots():
        assert words.MIN_WORDS <= len(plot.split()) <= words.MAX_WORDS, plot
        assert 3 <= len(re.findall(r"[.?!](?: |$)", plot)) <= 4, plot


def test_plots_are_clean_sentences() -> None:
    for plot in _plots():
        assert not re.search(r"[{}|]|  |\n| [,.;:?!]|[,;:]{2}|\.\.", plot), plot
        assert plot[-1] in ".?!", plot
        assert all(not sentence[0].islower() for sentence in re.split(r"(?<=[.?!]) ", plot)), plot
        assert not re.search(r"\b(\w+) \1\b", plot.lower()), plot


def test_articles_suit_the_next_word() -> None:
    silent_or_glide = ("uni", "use", "eu", "one", "hour", "heir", "honest", "honour", "unin", "unim")
    for text in (*_plots(), *_titles()):
        for article, following in re.findall(r"\b(an?) (\w+)", text, flags=re.IGNORECASE):
            if not following.lower().startswith(silent_or_glide):
                assert (following[0].lower() in "aeiouéáíóúö") == (article.lower() == "an"), text
        assert not re.search(r"\b(an uni(?![nm])|a unin|a hour|an one|a honest|a heir|an? an?\b)", text.lower()), text


def test_pronouns_agree_with_one_protagonist() -> None:
    for plot in _plots():
        assert not (re.search(r"\bshe\b", plot.lower()) and re.search(r"\bhe\b", plot.lower())), plot


def test_plots_differ_from_film_to_film() -> None:
    assert len(set(_plots())) == N_FILMS
    assert len({plot.split(". ")[0] for plot in _plots()}) > 0.95 * N_FILMS


@pytest.mark.parametrize("seed", range(20))
def test_plot_is_deterministic_and_follows_the_traits(seed: int) -> None:
    def write(level: float) -> str:
        return words.write_plot(genres=["Crime", "Comedy"], year=1974, traits=[level] * 4, seed=seed)

    assert write(2.0) == write(2.0)
    assert len({write(-2.0), write(0.0), write(2.0)}) == 3
    assert write(2.5) == write(40.0)


def test_plots_survive_unknown_genres_and_every_single_genre() -> None:
    for genre in (*words.GENRES, "Telenovela"):
        plot = words.write_plot(genres=[genre], year=1999, traits=[0.1, -0.2, 0.3, -0.4], seed=3)
        assert words.MIN_WORDS <= len(plot.split()) <= words.MAX_WORDS
    assert words.write_plot(genres=[], year=1905, traits=[0.0] * 4, seed=3)


def test_plot_refuses_a_wrong_number_of_traits() -> None:
    with pytest.raises(ValueError, match="traits"):
        words.write_plot(genres=["War"], year=1950, traits=[0.0], seed=1)


@pytest.mark.parametrize("level", [-2.5, 0.0, 2.5])
def test_extreme_plots_keep_to_length(level: float) -> None:
    for seed in range(150):
        genre = words.GENRES[seed % len(words.GENRES)]
        plot = words.write_plot(genres=[genre], year=1930 + seed % 95, traits=[level] * 4, seed=seed)
        assert words.MIN_WORDS <= len(plot.split()) <= words.MAX_WORDS, plot


def test_plots_show_every_trait() -> None:
    scores = _held_out_r2(_plots(), penalty=3.0)
    assert scores.min() >= 0.6, dict(zip(words.TEXT_TRAITS, scores.round(3).tolist(), strict=True))


def test_titles_and_tags_show_no_trait() -> None:
    assert _held_out_r2(_titles(), penalty=30.0).max() < 0.05
    assert _held_out_r2(tuple(" ".join(tags) for tags in _tags()), penalty=30.0).max() < 0.05


def test_titles_are_unique_and_short() -> None:
    titles = _titles()
    assert len({title.casefold() for title in titles}) == N_FILMS
    assert titles == tuple(words.make_titles(_films()[0], seed=4))
    assert titles != tuple(words.make_titles(_films()[0], seed=5))
    for title in titles:
        assert 1 <= len(title.split()) <= 6, title
        assert not re.search(r"[{}|]|  ", title), title
        assert not title[0].islower(), title


def test_tags_are_few_short_and_lower_case() -> None:
    for tags in _tags():
        assert 2 <= len(tags) == len(set(tags)) <= 6
        assert all(tag == tag.lower() and len(tag) <= 25 for tag in tags)
    arguments = {"genres": ["War"], "year": 1958}
    assert words.make_tags(**arguments, seed=1) == words.make_tags(**arguments, seed=1)  # type: ignore[arg-type]


def test_people_are_unique_across_roles() -> None:
    directors, actors = words.make_people(200, 1500, seed=8)
    assert (len(directors), len(actors)) == (200, 1500)
    assert len({*directors, *actors}) == 1700
    assert (directors, actors) == words.make_people(200, 1500, seed=8)
    assert all(len(name.split()) >= 2 for name in (*directors, *actors))
