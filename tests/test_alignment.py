"""Joint spaces of two frozen encoders: the heads, what they find of held-out films, and where they can be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmrec_core import features, registry
from mmrec_core.data import preparation
from mmrec_core.encoders._base import unit
from mmrec_core.encoders.aligned import Aligned, parts
from mmrec_core.errors import MMRecError
from mmrec_core.serving import new_item
from mmrec_core.spaces import search
from mmrec_core.training import alignment
from mmrec_core.types import Dataset

NAME = "aligned:classic+mini_clip"
QUICK = {"max_epochs": 12, "batch_size": 64, "held_out": 0.3}


@pytest.fixture
def mine(home: Path, demo: Dataset) -> Dataset:
    """A copy of the small demo that a test may change."""
    shutil.copytree(demo.folder, home / "datasets" / "demo")
    return preparation.open_dataset("demo")


def test_a_name_names_two_encoders() -> None:
    assert parts("aligned:minilm+mobilenet_v1") == {"text": "minilm", "image": "mobilenet_v1"}
    for wrong in ("aligned:", "aligned:minilm", "aligned:+x", "aligned:x+", "aligned:a+b+c", "minilm+mobilenet_v1"):
        with pytest.raises(MMRecError, match=r"aligned:TEXT\+IMAGE"):
            parts(wrong)
    assert features.parts_of(NAME) == [NAME], "it is one encoder, not a pair"


def test_a_head_is_standardising_a_linear_map_and_unit_length() -> None:
    """Against the formula, written out for one vector."""
    made = Aligned(NAME, registry.config("encoders", "aligned", {"width": 2}))
    weight, bias = np.array([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]], np.float32), np.array([0.5, 1.0], np.float32)
    mean, std = np.array([1.0, 0.0, 1.0], np.float32), np.array([2.0, 1.0, 0.5], np.float32)
    made.restore({"text.weight": weight, "text.bias": bias, "text.mean": mean, "text.std": std})
    x = np.array([3.0, 2.0, 2.0])  # standardised: 1, 2, 2; mapped: 1 + 4 + .5 = 5.5, −2 + 2 + 1 = 1
    expected = np.array([5.5, 1.0]) / np.hypot(5.5, 1.0)
    assert made.project(x[None], "text")[0] == pytest.approx(expected, abs=1e-6)


def test_pairs_are_divided_once_each_by_the_seed() -> None:
    learn, stop, test = alignment.divide(200, 0.2, 3)
    assert sorted([*learn, *stop, *test]) == list(range(200)) and (len(learn), len(stop), len(test)) == (144, 16, 40)
    assert [p.tolist() for p in alignment.divide(200, 0.2, 3)] == [learn.tolist(), stop.tolist(), test.tolist()]
    assert alignment.divide(200, 0.2, 4)[2].tolist() != test.tolist()
    assert len(alignment.divide(200, 0.0, 3)[2]) == 0


@pytest.mark.parametrize("loss", ["infonce", "sigmoid"])
def test_what_two_sides_share_is_found_in_held_out_pairs_and_noise_is_not(loss: str) -> None:
    """Two linear views of one hidden vector match after training; two unrelated tables stay at chance."""
    from mmrec_core.callbacks import TrainingCallbacks

    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((600, 6))
    views = [
        unit(hidden @ rng.standard_normal((6, d)) + 0.1 * rng.standard_normal((600, d))).astype(np.float32)
        for d in (20, 30)
    ]
    config = registry.config(
        "encoders", "aligned", {**QUICK, "loss": loss, "width": 16, "max_epochs": 40, "dropout": 0.2}
    )
    made = {
        name: alignment.fit_heads(alignment.VectorPairs(views[0], other), config, TrainingCallbacks(), "cpu")[1]
        for name, other in (("shared", views[1]), ("noise", unit(rng.standard_normal((600, 30))).astype(np.float32)))
    }
    for way in ("text_to_image", "image_to_text"):
        assert made["shared"]["retrieval"][way]["recall@10"] > 0.7
        low, high = made["noise"]["retrieval"][way]["intervals"]["recall@10"]
        assert low <= made["noise"]["retrieval"]["chance@10"] <= high + 0.02
    assert made["shared"]["retrieval"]["pairs"] == 180, "the recall is of held-out pairs alone"


def test_stored_vectors_search_new_films_and_the_same_again(mine: Dataset) -> None:
    """The encoders read the dataset first, texts find posters, a new film is placed, and a second training is equal."""
    found = alignment.align(mine, NAME, options=QUICK)
    stored = features.available(mine)[NAME]
    assert stored["joint"] and set(stored["modality"]) == {"text", "image"}
    assert stored["retrieval"] == json.loads(json.dumps(found["retrieval"])), "not that of the films it learned from"
    assert {"classic", "mini_clip"} <= set(features.available(mine))
    made = features.restore_encoder(mine, NAME)
    own, base = features.load(mine, NAME, "text"), features.load(mine, "classic", "text")
    assert made.project(base.dense, "text") == pytest.approx(own.dense, abs=2e-3)  # stored in half precision
    text = features.rich_text(mine.catalog.iloc[int(own.items[0])].to_dict())
    assert made.encode_text([text])[0] == pytest.approx(own.dense[0], abs=2e-3)
    hits = search.by_text(mine, NAME, "a ship in a storm", 5)
    assert hits.into == "image" and len(hits.items) == 5
    film = new_item.NewFilm(title="A storm", year=1999, genres=("Drama",), plot="A ship in a storm.")
    assert set(new_item.encoded(mine, NAME, film)) == {"text"} and NAME in new_item.able(mine)
    before = own.dense.copy()
    alignment.align(mine, NAME, options=QUICK)
    assert np.array_equal(features.load(mine, NAME, "text").dense, before)


def test_imported_vectors_can_be_aligned_but_read_nothing_new(mine: Dataset, tmp_path: Path) -> None:
    """Text search still works, since the text's encoder is at hand; a picture is refused with the reason."""
    from PIL import Image

    rng = np.random.default_rng(0)
    np.save(tmp_path / "x_image_drawn.npy", rng.standard_normal((len(mine.items), 24)).astype(np.float32))
    np.save(tmp_path / "x_image_drawn_ids.npy", mine.items.raw)
    features.import_folder(mine, tmp_path, "drawn")
    name = "aligned:classic+drawn"
    alignment.align(mine, name, options=QUICK)
    assert search.by_text(mine, name, "a ship", 3).into == "image"
    with pytest.raises(MMRecError, match="reads no pictures"):
        search.by_image(mine, name, Image.new("RGB", (40, 60)), 3)
    made = features.restore_encoder(mine, name)
    with pytest.raises(MMRecError, match="'drawn' must be an encoder"):
        made.encode_images([Image.new("RGB", (40, 60))])


def test_too_few_pairs_and_unknown_encoders_are_refused(mine: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "x_image_few.npy", np.ones((5, 8), np.float32))
    np.save(tmp_path / "x_image_few_ids.npy", mine.items.raw[:5])
    features.import_folder(mine, tmp_path, "few")
    with pytest.raises(MMRecError, match="5 films of demo have both a plot and a poster"):
        alignment.align(mine, "aligned:classic+few")
    with pytest.raises(MMRecError, match="nothing"):
        alignment.align(mine, "aligned:nothing+mini_clip")
    with pytest.raises(MMRecError, match="width"):
        alignment.align(mine, NAME, options={"width": 0})


def test_imported_vectors_of_a_public_encoder_take_queries_if_it_gives_the_same(
    mine: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder that they are named after is compared with them on a few films."""
    made = features.make_encoder("mini_clip")
    monkeypatch.setattr(features.encoding, "make_encoder", lambda *_: made)
    texts = [features.rich_text(row) for row in mine.catalog.to_dict("records")]
    for name, vectors in (("same", made.encode_text(texts)), ("other", made.encode_text(texts[::-1]))):
        folder = tmp_path / name
        folder.mkdir()
        np.save(folder / "x_text_minilm.npy", vectors)
        np.save(folder / "x_text_minilm_ids.npy", mine.items.raw)
        features.import_folder(mine, folder, "minilm")
        if name == "same":
            assert features.restore_encoder(mine, "minilm") is made
        else:
            with pytest.raises(MMRecError, match="gives other vectors"):
                features.restore_encoder(mine, "minilm")
