"""What models make of each film: ranks and neighbours counted by hand, and kept for the next film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import runs
from mmrec_core.analysis import film_views
from mmrec_core.data import preparation
from mmrec_core.types import Dataset, Head, Split
from tests.test_pages import app, text
from tests.test_train_and_compare import mine, trained  # noqa: F401

SCORES = np.array([[9, 4, 3, 2, 1], [1, 1, 3, 2, 5], [2, 5, 1, 4, 3], [5, 4, 3, 2, 1]], np.float64)
"""Four users, five films. The first user's 9 is above the scale, which ends at 5."""
ROWS = [
    # user, film, rating, part
    (0, 0, 5, "train"), (0, 3, 5, "test"),
    (1, 4, 2, "train"), (1, 2, 4, "test"),
    (2, 1, 3, "train"), (2, 3, 4, "validation"), (2, 0, 4, "test"),
    (3, 0, 4, "train"), (3, 1, 1, "test"),
]  # fmt: skip
"""The last user likes no test film, so nobody asks about them."""


class Fixed:
    """A model with given scores."""

    streams = False

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def scorer_heads(self) -> tuple[Head, ...]:
        return (Head("it", self.kind),)

    def score_all(self, query: Any) -> torch.Tensor:
        return torch.from_numpy(SCORES[query.user])


@pytest.fixture
def tiny(home: Path, tmp_path: Path) -> tuple[Dataset, Split]:
    lines = [f"{u + 1},{i + 1},{r},{1000 + at}" for at, (u, i, r, _) in enumerate(ROWS)]
    (tmp_path / "r.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    preparation.prepare("csv", source=tmp_path / "r.csv", name="tiny", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("tiny")
    assert dataset.items.raw.tolist() == [1, 2, 3, 4, 5] and dataset.users.raw.tolist() == [1, 2, 3, 4]
    pairs = list(zip(dataset.interactions.need("user"), dataset.interactions.need("item"), strict=True))
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for user, item, _, part in ROWS:
        parts[part].append(pairs.index((user, item)))
    split = Split("by hand", 0, *(np.array(sorted(parts[p]), np.int64) for p in ("train", "validation", "test")))
    return dataset, split


def test_ranks_by_hand(tiny: tuple[Dataset, Split], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists without hidden films: 1 2 3 4 for the first user; 2, 3, then 0 and 1 tied; 4 0 2."""
    monkeypatch.setattr(film_views, "TOP", 2)
    monkeypatch.setattr(film_views, "BLOCK", 2)
    found = film_views.ranks_of(Fixed("rating"), *tiny, relevant_from=3.5)
    assert found.users == 3
    assert found.in_top.tolist() == [1, 1, 2, 1, 1] and found.ranked.tolist() == [2, 2, 3, 2, 2]
    np.testing.assert_allclose(found.mean, [(3.5 + 2) / 2, (1 + 3.5) / 2, 2, 2.5, 2.5])
    np.testing.assert_allclose(found.median, [2.75, 2.25, 2, 2.5, 2.5])
    np.testing.assert_allclose(found.predicted, [8 / 3, 10 / 3, 7 / 3, 8 / 3, 3])


def test_a_ranking_model_predicts_no_ratings_and_seen_films_may_stay(tiny: tuple[Dataset, Split]) -> None:
    found = film_views.ranks_of(Fixed("ranking"), *tiny, relevant_from=3.5, protocol="full:seen=allow")
    assert np.isnan(found.predicted).all() and found.ranked.tolist() == [3] * 5 and found.in_top.tolist() == [3] * 5
    np.testing.assert_allclose(found.mean, [(1 + 4.5 + 4) / 3, (2 + 4.5 + 1) / 3, (3 + 2 + 5) / 3, 3, 3])


def test_a_film_that_is_hidden_from_everybody_has_no_rank(tiny: tuple[Dataset, Split]) -> None:
    dataset, split = tiny
    only = Split("by hand", 0, split.train, split.validation, split.test[:1])
    found = film_views.ranks_of(Fixed("ranking"), dataset, only, relevant_from=3.5)
    assert found.users == 1 and np.isnan(found.mean[0]) and found.ranked[0] == 0
    assert found.mean[1:].tolist() == [1, 2, 3, 4]


def test_neighbours_by_hand() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)
    items = np.array([2, 5, 7, 9])
    found = film_views._nearest("x", "plot", vectors, items, 5, 2)
    assert found.items.tolist() == [2, 7]
    np.testing.assert_allclose(found.similarity, [0.8, 0.6], atol=1e-6)
    assert not len(film_views._nearest("x", "plot", vectors, items, 3, 2).items), "it has no vector"


def test_ranks_are_those_of_the_evaluation_and_are_kept(
    mine: Dataset,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = trained("bias")
    (row,) = film_views.views(mine)
    first = film_views.film_ranks(mine, row)
    with np.load(run.folder / "first.npz") as saved:
        assert first.users == len(saved["user"])
        lists = saved["items"][:, :10]
        counted = np.bincount(lists[lists >= 0], minlength=len(mine.items))
    assert first.in_top.tolist() == counted.tolist(), "the same lists as the evaluation kept"
    with monkeypatch.context() as patch:
        patch.setattr(film_views, "ranks_of", lambda *_: pytest.fail("it was computed already"))
        again = film_views.film_ranks(mine, row)
    np.testing.assert_allclose(again.mean, first.mean)
    (run.folder / film_views.FILE).write_bytes(b"garbage")
    assert film_views.kept_ranks(mine, row) is None and film_views.film_ranks(mine, row).users == first.users


def test_a_film_shows_what_each_model_thinks(mine: Dataset) -> None:  # noqa: F811
    film = str(mine.items.raw[3])
    shown = app("browse")
    shown.query_params["film"] = film
    shown.run()
    assert "No model that ranks films is trained on mine yet" in text(shown) and not shown.exception
    for model in ("popularity", "bias"):
        trained(model)
    for epochs in (1, 2):
        trained("bpr", options={"max_epochs": epochs, "device": "cpu"})
    shown.run()
    assert not shown.exception and not shown.error
    assert any(toggle.label == "Also other training runs (1)" for toggle in shown.toggle)
    table = shown.dataframe[0].value.set_index("Model")
    assert set(table.index) == {"popularity", "bias", "bpr (max_epochs=2)"}
    ranks = {row.label: film_views.kept_ranks(mine, row) for row in film_views.views(mine)}
    assert ranks["bias"] is not None and table.loc["bias", "Median rank"] == ranks["bias"].median[3]
    assert table.loc["bias", "Predicted rating"] == f"★ {ranks['bias'].predicted[3]:.2f}"
    assert table.loc["popularity", "Predicted rating"] == "—"
    shown.toggle(key="all_views").set_value(True).run()
    assert len(shown.dataframe[0].value) == 4 and "Nearest films in each space" in " ".join(
        m.value for m in shown.markdown
    )
    (spaces,) = [e for e in shown.get("bidi_component") if e.key == "near-0"]
    assert spaces.proto.json.count('"title"') == 5


def test_a_damaged_model_is_named_and_the_others_are_shown(mine: Dataset) -> None:  # noqa: F811
    for model in ("popularity", "ease"):
        trained(model)
    (runs.finished(mine)["ease"].folder / "model" / "model.safetensors").write_bytes(b"garbage")
    shown = app("browse")
    shown.query_params["film"] = str(mine.items.raw[0])
    shown.run()
    assert not shown.exception and "Train it again" in text(shown)
    assert shown.dataframe[0].value["Model"].tolist() == ["popularity"]
