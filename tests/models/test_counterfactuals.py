"""Every counterfactual is what the model says when it is run again on the edited input, for all registered models."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmrec_core import registry
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.models._base import Model, load_model
from mmrec_core.serving import counterfactuals as cf
from mmrec_core.training.fit import fit
from mmrec_core.types import History
from tests.models.drawn import films_with_vectors
from tests.models.test_contract import N_FILMS

SCHEMAS = {name: registry.schema("models", name) for name in registry.names("models")}
ON_FILMS = [n for n, info in SCHEMAS.items() if "labels" not in info["needs"]]
READERS = [n for n in ON_FILMS if registry.reads_content(SCHEMAS[n]["needs"])]
TOLD = History(
    np.array([3, 8, 15, 20]), np.array([5.0, 1.0, 4.5, 2.0], np.float32), 1_200_000_000 + 86_400 * np.arange(4)
)
FILM = 7


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Models after an epoch on films with drawn vectors of plots and posters, by name; some films lack one of them."""
    folder, threads = tmp_path_factory.mktemp("counterfactuals"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)
        patch.setenv("MMREC_HOME", str(folder / "home"))
        rng = np.random.default_rng(1)
        some = {m: np.union1d(rng.permutation(N_FILMS)[:40], [FILM, 8]) for m in ("text", "image")}
        dataset = films_with_vectors(folder, some)
        split = make_split(dataset, "user-temporal")

        @cache
        def model(name: str) -> Model:
            how = {"max_epochs": 1, "device": "cpu"} if SCHEMAS[name]["trains"] else {}
            reads = {"encoder": "drawn", "modality": "both"} if name in READERS else {}
            return fit(name, dataset, split, options=how, **reads).model

        yield model
        torch.set_num_threads(threads)


def rerun(model: Model, folder: Path, modality: str, item: int, vector: np.ndarray | None) -> Model:
    """The saved model with its file of vectors edited, loaded again: the slow way round."""
    model.save(folder)
    tables = load_file(folder / "side.safetensors")
    place = tables[f"item.{modality}.place"]
    if vector is None:
        place[item] = -1
    else:
        held = tables[f"item.{modality}"]
        if place[item] < 0:
            place[item] = len(held)
            tables[f"item.{modality}"] = torch.cat([held, torch.from_numpy(vector).to(held.dtype)[None]])
        else:
            held[place[item]] = torch.from_numpy(vector).to(held.dtype)
    save_file(tables, folder / "side.safetensors")
    return load_model(folder)


@pytest.mark.parametrize("modality", ["text", "image"])
@pytest.mark.parametrize("name", READERS)
def test_other_content_equals_running_the_model_on_it(name: str, modality: str, models: Any, tmp_path: Path) -> None:
    model = models(name)
    vector = np.random.default_rng(4).normal(size=12).astype(np.float16)
    for wanted in (vector, None):
        slow = cf.scores_of(rerun(model, tmp_path / "m", modality, FILM, wanted), [TOLD])[0]
        change = {modality: {FILM: cf.BLANK if wanted is None else wanted}}
        quick = cf.scores_of(cf.edited(model, change), [TOLD])[0]
        np.testing.assert_array_equal(quick, slow)
        answers = cf.content_edits(model, TOLD, FILM, {"edit": change})
        assert answers[1].score == pytest.approx(slow[FILM], abs=0)
    before, after = (
        cf.scores_of(model, [TOLD])[0],
        cf.scores_of(cf.edited(model, {modality: {FILM: vector}}), [TOLD])[0],
    )
    moved = before[FILM] != after[FILM]
    assert moved == model.scores_by_content, (
        "content that changes nothing is not read, or only of films outside training"
    )


@pytest.mark.parametrize("name", READERS)
def test_a_swapped_poster_is_the_other_films_vector(name: str, models: Any) -> None:
    model = models(name)
    field = next(f for f in model.side if f.name == "image")
    by_row = cf.scores_of(cf.edited(model, {"image": {FILM: 8}}), [TOLD])
    by_vector = cf.scores_of(cf.edited(model, {"image": {FILM: np.asarray(field.data[field.place[8]])}}), [TOLD])
    np.testing.assert_allclose(by_row, by_vector, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", READERS)
def test_ids_only_is_every_vector_blank(name: str, models: Any, tmp_path: Path) -> None:
    model = models(name)
    found = {a.edit: a for a in cf.views(model, TOLD, FILM)}
    assert set(found) == {"as it is", "ids only", "text only", "image only", "text and image only"}
    model.save(tmp_path / "m")
    tables = load_file(tmp_path / "m" / "side.safetensors")
    for modality in ("text", "image"):
        tables[f"item.{modality}.place"][:] = -1
    save_file(tables, tmp_path / "m" / "side.safetensors")
    slow = cf.scores_of(load_model(tmp_path / "m"), [TOLD])[0]
    assert found["ids only"].score == pytest.approx(float(slow[FILM]), abs=1e-12)
    assert cf.dominant_modality([*found.values()]) in {"ids", "text", "image"}


@pytest.mark.parametrize("name", ON_FILMS)
def test_edited_histories_equal_histories_told_that_way(name: str, models: Any) -> None:
    """Leaving a rating out, or changing it, is folding in what is left, alone."""
    model = models(name)
    slow = [cf.scores_of(model, [cf.without(TOLD, at)])[0] for at in range(len(TOLD))]
    answers = cf.leave_one_out(model, TOLD, FILM)
    assert [a.edit for a in answers] == ["as it is", "0", "1", "2", "3"]
    for answer, scores in zip(answers[1:], slow, strict=True):
        assert answer.score == pytest.approx(float(scores[FILM]), rel=1e-4, abs=1e-5)
    changed = cf.with_rating(TOLD, 1, 5.0)
    assert changed.ratings is not None and changed.ratings.tolist() == [5.0, 5.0, 4.5, 2.0]
    both = cf.history_edits(model, TOLD, FILM, {"5 stars": changed})
    assert both[1].score == pytest.approx(float(cf.scores_of(model, [changed])[0][FILM]), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", [n for n in ON_FILMS if "sequence" in SCHEMAS[n]["needs"]])
def test_two_events_the_other_way_round(name: str, models: Any) -> None:
    """The film of event 1 comes after that of event 2; moments stay; models of sequences hear the difference."""
    changed = cf.swapped(TOLD, 1)
    assert changed.items.tolist() == [TOLD.items[at] for at in (0, 2, 1, 3)]
    assert (changed.times is None) == (TOLD.times is None) and (
        TOLD.times is None or changed.times.tolist() == TOLD.times.tolist()
    )  # type: ignore[union-attr]
    model = models(name)
    found = cf.history_edits(model, TOLD, FILM, {"swap": changed})
    assert found[1].score == pytest.approx(float(cf.scores_of(model, [changed])[0][FILM]), rel=1e-4, abs=1e-5)
    liked = History(TOLD.items, np.full(4, 5.0, np.float32), TOLD.times)
    assert not np.allclose(cf.scores_of(model, [cf.swapped(liked, 2)]), cf.scores_of(model, [liked])), (
        "the latest event is another then"
    )
    with pytest.raises(MMRecError, match="Nothing comes after"):
        cf.swapped(TOLD, 3)


def test_places_share_ties_and_leave_out_what_is_hidden() -> None:
    scores = np.array([3.0, 2.0, 2.0, 9.0, 1.0])
    assert cf.score_and_rank(scores, 1, np.array([3])) == (2.0, 2.5)
    assert cf.score_and_rank(scores, 3, np.array([3])) == (9.0, 1.0), "the film itself always counts"


def test_the_model_asked_about_is_left_as_it_is(models: Any) -> None:
    model = models(READERS[0])
    before = cf.scores_of(model, [TOLD])
    cf.edited(model, {"text": {-1: cf.BLANK}}, [FILM])
    np.testing.assert_array_equal(before, cf.scores_of(model, [TOLD]))


def test_nonsense_is_refused(models: Any) -> None:
    model = models(READERS[0])
    with pytest.raises(MMRecError, match="12 numbers"):
        cf.edited(model, {"text": {FILM: np.zeros(5)}})
    with pytest.raises(MMRecError, match="no vector"):
        cf.edited(model, {"text": {FILM: "rewritten"}})
    with pytest.raises(MMRecError, match="does not read"):
        cf.edited(models("ease"), {"text": {FILM: cf.BLANK}})


@pytest.mark.parametrize("name", READERS)
def test_what_a_film_has_not_got_is_not_looked_at_alone(name: str, models: Any) -> None:
    """A film without a poster has no "image only", nor "text and image only"; one with neither has "ids only" alone."""
    model = models(name)
    bare = cf.edited(model, {"image": {FILM: cf.BLANK}})
    assert cf.has(model, FILM) == ("text", "image") and cf.has(bare, FILM) == ("text",)
    assert [a.edit for a in cf.views(bare, TOLD, FILM)] == ["as it is", "ids only", "text only"]
    barer = cf.edited(bare, {"text": {FILM: cf.BLANK}})
    assert cf.has(barer, FILM) == () and [a.edit for a in cf.views(barer, TOLD, FILM)] == ["as it is", "ids only"]
