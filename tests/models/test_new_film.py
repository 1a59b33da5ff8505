"""A film that nobody has met fares as a film of the catalog with the same content that training never saw."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmrec_core import features
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.serving import new_item
from mmrec_core.serving.new_item import NewFilm
from mmrec_core.training.fit import fit
from mmrec_core.types import Query
from tests.models.drawn import films_with_vectors
from tests.models.test_counterfactuals import READERS, SCHEMAS


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Films with drawn vectors, a tenth of them outside training."""
    folder, threads = tmp_path_factory.mktemp("new"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)
        patch.setenv("MMREC_HOME", str(folder / "home"))
        dataset = films_with_vectors(folder)
        yield dataset, make_split(dataset, "cold-item")
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", READERS)
def test_a_new_film_fares_as_a_cold_one(name: str, films: Any) -> None:
    dataset, split = films
    fields = {"fields": ""} if "fields" in SCHEMAS[name]["config"]["properties"] else {}
    how = {"max_epochs": 1, "device": "cpu", **fields} if "train" in SCHEMAS[name] else {}
    model = fit(name, dataset, split, options=how, encoder="drawn", modality="both").model
    cold = int(split.cold_items[0])
    vectors = {f.name: np.asarray(f.data[f.place[cold]]) for f in model.side if f.kind == "vector"}
    item = model.item_state({m: torch.from_numpy(v).float()[None] for m, v in vectors.items()})
    state = model.user_state(Query(np.arange(6)))
    new = model.score_new(state.tensors, item.tensors)[:, 0]
    torch.testing.assert_close(new, model.score_all(state)[:, cold], rtol=1e-4, atol=1e-5)
    found = new_item.reception(model, dataset, split, vectors)
    assert len(found.users) == len(found.share) and ((found.share >= 0) & (found.share <= 1)).all()
    assert (found.mean_stars is not None) == any(h.kind == "rating" for h in model.scorer_heads())
    real = new_item.observed_reception(dataset, cold, found)
    assert real is not None and real["ratings"] > 0 and 0 <= real["auc"] <= 1


def test_models_of_ids_say_so(films: Any) -> None:
    dataset, split = films
    model = fit("ease", dataset, split).model
    with pytest.raises(MMRecError, match="by their ids alone"):
        new_item.reception(model, dataset, split, {"text": np.ones(12)})


def test_vectors_of_another_encoder_are_refused(films: Any) -> None:
    dataset, split = films
    how = {"max_epochs": 1, "device": "cpu"}
    model = fit("lightgcn_multimodal", dataset, split, options=how, encoder="drawn", modality="both").model
    with pytest.raises(MMRecError, match="another encoder"):
        new_item.reception(model, dataset, split, {"text": np.ones(40)})


def test_a_poster_and_a_plot_are_encoded_and_set_among_neighbours(films: Any) -> None:
    dataset, _ = films
    features.encode(dataset, "classic")
    assert new_item.able(dataset) == ["classic"], "imported vectors cannot read a new film"
    held = io.BytesIO()
    Image.new("RGB", (60, 90), (200, 30, 30)).save(held, "PNG")
    own = new_item.encoded(dataset, "classic", NewFilm("Sorrow", "A sad tale.", ("Drama",), poster=held.getvalue()))
    assert set(own) == {"text", "image"} and np.linalg.norm(own["text"]) == pytest.approx(1, abs=1e-3)
    near = new_item.neighbours(dataset, "classic", {"text": own["text"]}, 5)["text"]
    lines = [dataset.catalog["plot"].iloc[i] for i in near[0]]
    assert lines.count("A sad tale.") >= 4 and (np.diff(near[1]) <= 1e-6).all()
    with pytest.raises(MMRecError, match="nothing to encode"):
        new_item.encoded(dataset, "classic", NewFilm("Nothing told"))
    with pytest.raises(MMRecError):
        new_item.encoded(dataset, "classic", NewFilm("Broken", poster=b"no picture"))
    with pytest.raises(MMRecError, match="imported"):
        new_item.encoded(dataset, "drawn", NewFilm("Told", "A plot."))
