"""Content controls, ablations over them, and the verdict on whether a model uses content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmrec_core import features, runs
from mmrec_core.analysis import ablation, content_use
from mmrec_core.data.preparation import open_dataset, prepare
from mmrec_core.errors import MMRecError
from mmrec_core.features import controls
from mmrec_core.jobs import worker
from mmrec_core.types import Array, Dataset
from tests.models.drawn import films_with_vectors


def test_controls_keep_what_they_say() -> None:
    """Shuffled vectors are the same ones, noise has the same moments, a constant is one vector; each by its seed."""
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(size=8), rng.uniform(0.2, 2, 8)
    real = rng.normal(mean, spread, (4000, 8))
    real = (real / np.linalg.norm(real, axis=1, keepdims=True)).astype(np.float16)

    def made(kind: str, seed: int = 1) -> Array:
        found = controls.parse(f"{kind}.{seed}:minilm")
        assert found == controls.Control(kind, seed, "minilm")
        return controls.replaced(found, real, "text").astype(np.float64)

    shuffled, noise, constant = (made(kind) for kind in controls.CONTROLS)
    np.testing.assert_allclose(np.sort(shuffled, 0), np.sort(real, 0), atol=2e-3)
    assert (np.abs(shuffled - real).max(1) > 0.05).mean() > 0.95
    np.testing.assert_allclose(noise.mean(0), real.mean(0), atol=0.03)
    np.testing.assert_allclose(noise.std(0), real.std(0), atol=0.04)
    assert np.ptp(constant, 0).max() == 0 and np.linalg.norm(constant[0]) == pytest.approx(1, abs=1e-3)
    assert not np.array_equal(shuffled, made("shuffled", 2)) and np.array_equal(noise, made("noise"))
    assert controls.parse("minilm") is None and controls.parse("shuffled:minilm") is None


def test_a_control_is_read_like_an_encoder(home: Path, tmp_path: Path) -> None:
    """Modalities, widths and missing films stay; checksums differ from the encoder's and between seeds."""
    dataset = films_with_vectors(tmp_path, {"text": np.arange(30), "image": np.arange(10, 50)})
    name = "shuffled.3:drawn"
    real, made = features.content(dataset, "drawn"), features.content(dataset, name)
    assert [(f.name, f.width, f.place.tolist()) for f in made] == [(f.name, f.width, f.place.tolist()) for f in real]
    assert not np.array_equal(np.asarray(made[0].data), np.asarray(real[0].data))
    sums = {features.checksum_of(dataset, n, "text") for n in ("drawn", name, "shuffled.4:drawn", "noise.3:drawn")}
    assert len(sums) == 4
    assert features.vectors_read(dataset, name, "both")["image"]["encoder"] == name
    with pytest.raises(MMRecError, match="has not encoded"):
        features.content(dataset, "shuffled.3:nobody")


def planted(home: Path, tmp_path: Path, matters: bool) -> Dataset:
    """Users like films of one of four kinds; vectors show the kinds, or nothing."""
    rng = np.random.default_rng(5)
    users, films = 150, 120
    kind, taste = rng.permutation(films) % 4, rng.integers(0, 4, users)
    rows = []
    for user in range(users):
        weight = np.where(kind == taste[user], 12.0, 1.0)
        for place, item in enumerate(rng.choice(films, 8, replace=False, p=weight / weight.sum())):
            rows.append((user, int(item), 1_000_000_000 + user + 86_400 * place))
    pd.DataFrame(rows, columns=["userId", "movieId", "timestamp"]).to_csv(tmp_path / "likes.csv", index=False)
    prepare("csv", source=tmp_path / "likes.csv", name="planted", options={})
    dataset = open_dataset("planted")
    (source := tmp_path / "own").mkdir()
    shown = rng.normal(0, 0.3, (films, 12))
    shown[np.arange(films), kind if matters else rng.permutation(kind)] += 2.0
    np.save(source / "x_text_seen.npy", shown[dataset.items.raw].astype(np.float32))
    np.save(source / "x_text_seen_ids.npy", dataset.items.raw)
    features.import_folder(dataset, source, "seen")
    return dataset


@pytest.mark.parametrize("matters", [True, False])
def test_the_verdict_finds_content_where_it_matters(home: Path, tmp_path: Path, matters: bool) -> None:
    """Where the vectors show what users like, the verdict says so; where they are of other films, it does not."""
    dataset = planted(home, tmp_path, matters)
    base: dict[str, Any] = {"encoder": "seen", "options": {"content": 2.0, "l2": 50.0, "neighbours": 25}}
    study = ablation.load(ablation.save(dataset, "ease_content", ["content=shuffled:noise:none"], [1, 2], base))
    assert [cell["params"]["encoder"] for cell in study["cells"]] == [
        *["seen"] * 2, *[f"shuffled.{s}:seen" for s in (1, 2)], *[f"noise.{s}:seen" for s in (1, 2)], *[None] * 2
    ]  # fmt: skip
    worker.work_all([cell["params"] for cell in study["cells"]])
    name, found = content_use.compare(study)
    assert name == "ndcg@10" and [c.control for c in found] == ["shuffled", "noise", "none"]
    sentence = content_use.verdict(study)
    if matters:
        assert found[0].difference > 0 and found[0].interval[0] > 0 and found[0].p < 0.05
        assert sentence.startswith("ease_content uses content: ndcg@10 +")
    else:
        assert "not shown" in sentence or "is worse" in sentence
    real = ablation.values_by_user(ablation.groups(study)[0].rows)["ndcg@10"]
    other = ablation.values_by_user(ablation.groups(study)[1].rows)["ndcg@10"]
    assert found[0].difference == pytest.approx(np.mean([real[u] - other[u] for u in real]))


def test_the_verdict_says_if_a_model_is_better_without_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real vectors beat shuffled ones, and none beat both: content is used, and harms."""
    found = [
        content_use.Comparison("", "shuffled", 0.07, (0.06, 0.08), 0.001),
        content_use.Comparison("", "none", -0.08, (-0.09, -0.07), 0.001),
    ]
    monkeypatch.setattr(content_use, "compare", lambda study, metric=None: ("ndcg@10", found))
    sentence = content_use.verdict({"cells": [], "model": "vbpr"})
    assert sentence.startswith("vbpr uses content, but is better without any: ndcg@10 +0.0700 [+0.0600, +0.0800]")
    found[1] = content_use.Comparison("", "none", 0.01, (0.005, 0.02), 0.001)
    assert content_use.verdict({"cells": [], "model": "vbpr"}).startswith("vbpr uses content: ndcg@10")


def test_content_is_varied_only_where_it_is_read(home: Path, tmp_path: Path) -> None:
    dataset = films_with_vectors(tmp_path)
    with pytest.raises(MMRecError, match="reads neither"):
        ablation.varied(dataset, "ease", ["content"])
    with pytest.raises(MMRecError, match="Unknown control of content"):
        ablation.varied(dataset, "vbpr", ["content=mixed"])
    levels = ablation.varied(dataset, "vbpr", ["content", "features"])
    assert levels["content"] == ["real", "shuffled", "noise", "constant", "none"]
    labels = [arm.label for arm in ablation.arms(levels)]
    assert labels[0] == "content=real, features=text" and not any("ids" in label for label in labels)
    cells = ablation.plan(dataset, "vbpr", ["content=noise"], [4], {})
    assert [c["params"]["encoder"] for c in cells] == ["drawn", "noise.4:drawn"]
    assert content_use.verdict({"cells": [], "model": "vbpr"}) == "" and runs.all_runs() == []
