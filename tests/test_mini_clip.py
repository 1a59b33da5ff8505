"""The built-in dual encoders: losses checked by hand, retrieval on unseen films and words, training on new films."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmrec_core import features, runs
from mmrec_core.data import preparation
from mmrec_core.data.datasets.demo import film_seeds_of
from mmrec_core.data.synthetic.reel_world import words
from mmrec_core.data.synthetic.reel_world.motifs import MOTIFS
from mmrec_core.data.synthetic.reel_world.posters import composition_of
from mmrec_core.data.synthetic.reel_world.world import World
from mmrec_core.encoders._dual import infonce, sigmoid_loss, tokens
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.training import contrastive
from mmrec_core.types import Dataset
from tests.queries import LOOK, QUERIES

ASSETS = Path(__file__).resolve().parents[1] / "assets" / "encoders"


def test_losses_are_those_of_their_papers() -> None:
    rng = torch.Generator().manual_seed(0)
    text, image = (torch.nn.functional.normalize(torch.randn(5, 8, generator=rng), dim=1) for _ in range(2))
    scale, bias = torch.tensor(2.0), torch.tensor(-3.0)
    logits = (scale.exp() * text @ image.T).double().numpy()
    rows = -np.log(np.exp(np.diag(logits)) / np.exp(logits).sum(1))
    columns = -np.log(np.exp(np.diag(logits)) / np.exp(logits).sum(0))
    assert infonce(text, image, scale).numpy() == pytest.approx((rows + columns) / 2, abs=1e-5)
    expected = [
        sum(np.log1p(np.exp(-(1 if i == j else -1) * (logits[i, j] - 3.0))) for j in range(5)) for i in range(5)
    ]
    assert sigmoid_loss(text, image, scale, bias).numpy() == pytest.approx(expected, abs=1e-4)
    same = torch.eye(4)
    assert float(infonce(same, same, torch.tensor(4.6)).mean()) < 1e-3, (
        "pairs that are apart from all others cost nothing"
    )


def test_both_share_towers_and_are_small() -> None:
    shapes = []
    for name in ("mini_clip", "mini_siglip"):
        file = ASSETS / f"{name}.safetensors"
        assert file.stat().st_size <= 10_000_000
        shapes.append({key: value.shape for key, value in load_file(file).items()})
        retrieval = features.make_encoder(name).record
        assert retrieval["loss"] == {"mini_clip": "infonce", "mini_siglip": "sigmoid"}[name]
        assert not {"demo", "world-0"} & set(retrieval["datasets"]), "the default world was not learned from"
    assert shapes[0] == shapes[1]


def test_words_begin_alike() -> None:
    one, other, third = (set(tokens(word).tolist()) for word in ("robot", "robots", "flower"))
    assert len(one & other) >= 2 and not one & third
    assert len(tokens("")) == 1


@pytest.fixture(scope="module")
def unseen(shared_home: Path) -> Dataset:
    """A world that no weights were trained on, under a name of its own."""
    import os

    before = os.environ.get("MMREC_HOME")
    os.environ["MMREC_HOME"] = str(shared_home)
    try:
        if "world-302" not in preparation.prepared():
            preparation.prepare("demo", name="world-302", options={"world_seed": 302, "films": 600, "scale": 0.02})
        return preparation.open_dataset("world-302")
    finally:
        if before is None:
            del os.environ["MMREC_HOME"]
        else:
            os.environ["MMREC_HOME"] = before


def test_the_queries_use_words_the_plots_do_not(unseen: Dataset) -> None:
    written = {w for plot in unseen.catalog["plot"] for w in re.findall(r"[a-z]{3,}", plot.lower())}
    written |= set(
        re.findall(r"[a-z]{3,}", Path(words.__file__).with_name("_lexicon.py").read_text(encoding="utf-8").lower())
    )
    filler = {"the", "and", "with", "through", "for"}
    asked = {w for query, _ in QUERIES for w in re.findall(r"[a-z]{3,}", query)} - filler
    assert len(QUERIES) == 50 and not asked & written


@pytest.mark.parametrize("name", ["mini_clip", "mini_siglip"])
def test_words_find_posters_of_a_world_never_seen(
    name: str, unseen: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    retrieval = features.encode(unseen, name)["retrieval"]
    assert retrieval["text_to_image"]["recall@10"] >= 18 * retrieval["chance@10"], (
        "of 600 films; of 1,200 it is over 20 times chance"
    )
    own, catalog = features.load(unseen, name, "image"), unseen.catalog
    truth, seeds = World.load(unseen.folder / "world.npz"), film_seeds_of(302, len(catalog))
    shows = [
        composition_of(
            year=int(film.year), genres=list(film.genres), traits=truth.film[row, 1].tolist(), seed=seeds[row]
        )  # type: ignore[arg-type, call-overload]
        for row, film in enumerate(catalog.itertuples())
    ]
    assert set(shows) <= set(MOTIFS)

    def fits(row: int, needs: dict) -> bool:  # type: ignore[type-arg]
        return (
            ("motif" not in needs or shows[row] in needs["motif"])
            and ("genre" not in needs or bool(set(needs["genre"]) & set(catalog["genres"].iloc[row])))
            and all(truth.film[row, 1, LOOK.index(trait)] * side > 0 for trait, side in needs.get("look", {}).items())
        )

    made = features.make_encoder(name)
    asked = made.encode_text([query for query, _ in QUERIES])
    best = own.items[np.argsort(-(asked @ own.dense.T), 1)[:, :5]]
    precision = np.mean(
        [[fits(int(row), needs) for row in rows] for rows, (_, needs) in zip(best, QUERIES, strict=True)]
    )
    assert precision >= 0.6, f"precision@5 is {precision:.3f}"


def test_training_on_ones_own_films_resumes_and_reports(
    demo: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(demo.folder, home / "datasets" / "demo")
    options = {"max_epochs": 3, "batch_size": 64, "device": "cpu", "checkpoint_s": 0.0}
    asked = runs.encoder_training_params(["demo"], "mini_siglip", options=options)
    whole = worker.work(runs.create("train-encoder", asked).id, foreground=True)
    run = runs.create("train-encoder", asked)
    real = contrastive.vectors
    calls: list[int] = []

    def dies(*given: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(5, "the machine went down")
        return real(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(contrastive, "vectors", dies)
        with pytest.raises(MMRecError, match="Input/output error"):
            worker.work(run.id, foreground=True)
    runs.resume(run.id, background=False)
    again = worker.work(run.id, foreground=True)
    one, other = whole.result(), again.result()
    assert one is not None and other is not None
    assert one["retrieval"] == other["retrieval"] and one["retrieval"]["pairs"] == 40
    weights = [load_file(retrieval["weights"]) for retrieval in (one, other)]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    assert features.make_encoder("mini_siglip", {"weights": one["weights"]}).width("text") == 128
    assert json.loads(json.dumps(one))["environment"]["packages"]["torch"]


def test_what_cannot_be_learned_from_is_refused(ratings_csv: Path, home: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    with pytest.raises(MMRecError, match="both a poster and a plot"):
        contrastive.fit([preparation.open_dataset("mine")], "mini_clip", home / "w.safetensors")
    with pytest.raises(MMRecError, match="has no setting 'depth'"):
        contrastive.train_config({"depth": 3})
