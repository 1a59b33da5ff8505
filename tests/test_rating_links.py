"""Ratings in links: any id and any scale come back as they were said."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec_core.data import preparation
from mmrec_core.serving import recommender
from mmrec_core.serving.rating_links import MOST, quoted, read_items, read_ratings, write_items, write_ratings
from mmrec_core.types import Dataset

IDS = ["7", "film_7", "a:b", "a,b", "50%", "ü b", "x_y:1", "007", "-3", "~."]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ten items whose ids hold every separator, on a scale below zero."""
    folder = tmp_path_factory.mktemp("odd")
    lines = [f'u{u},"{i}",{-5 + (u + at) % 5}' for u in range(3) for at, i in enumerate(IDS)]
    (folder / "r.csv").write_text("userId,movieId,rating\n" + "\n".join(lines) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_HOME", str(folder / "home"))
        preparation.prepare("csv", source=folder / "r.csv", name="odd", options={"scale": "-5:0", "time": ""})
        return preparation.open_dataset("odd")


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ratings=st.dictionaries(st.sampled_from(IDS), st.sampled_from([-5.0, -4.5, -0.5, 0.0]), max_size=len(IDS)))
def test_any_id_and_rating_come_back(odd: Dataset, ratings: dict[str, float]) -> None:
    """Every id keeps its own rating, zero and the lowest included; no other item is rated."""
    back = read_ratings(write_ratings(ratings), odd)
    assert {str(odd.items.raw[row]): stars for row, stars in back.items()} == ratings
    assert [str(odd.items.raw[row]) for row in read_items(write_items(ratings), odd)] == list(ratings)
    ratings_read = recommender.parse_ratings(",".join(f"{quoted(item)}:{stars:g}" for item, stars in ratings.items()))
    assert ratings_read == ratings


def test_a_rating_of_film_7_is_not_one_of_7(odd: Dataset) -> None:
    row = {str(raw): at for at, raw in enumerate(odd.items.raw.tolist())}
    assert read_ratings(write_ratings({"film_7": -1.0}), odd) == {row["film_7"]: -1.0}
    assert read_ratings("7:-2", odd) == {row["7"]: -2.0}, "links of plain ids read as before"
    assert recommender.parse_ratings("a:b:-1") == {"a:b": -1.0}


def test_what_is_no_rating_is_left_out(odd: Dataset) -> None:
    assert read_ratings("nobody:1_7:x_7:-9_:3__7", odd) == {}
    assert read_items("nobody__%ZZ", odd) == []


def test_a_link_holds_so_many_ratings_at_most(demo: Dataset) -> None:
    """Whoever writes all films into a link would keep everybody's recommendations waiting."""
    raw = demo.items.raw.tolist()
    assert len(raw) > MOST
    many = write_ratings(dict.fromkeys(raw, 4.0))
    assert list(read_ratings(many, demo)) == list(range(MOST)) and read_items(write_items(raw), demo) == [*range(MOST)]
    assert read_ratings("x:1_" * 5 * MOST + write_ratings({raw[0]: 3.0}), demo) == {}, "nor is more than that looked at"
