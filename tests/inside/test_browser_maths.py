"""What the scripts of Inside compute in the browser equals what the package computes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec_core import registry
from mmrec_core.encoders._dual import infonce, sigmoid_loss
from mmrec_core.metrics import ranking as metrics
from mmrec_core.types import Interactions, Query, Ranking, Schema, TrainSet
from pages.parts.javascript import bundle

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "pages" / "parts" / "inside" / "js"
ENTRIES = sorted(file for file in SCRIPTS.glob("*.mjs") if "export default" in file.read_text(encoding="utf-8"))
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


def node(module: str, code: str, given: Any) -> Any:
    """The value of ``code``, in which ``m`` is the module and ``given`` the data."""
    script = f"""import * as m from {json.dumps(str(SCRIPTS / module))}
    const given = JSON.parse(process.argv[1])
    console.log(JSON.stringify({code}, (key, value) => Number.isNaN(value) ? null : value))"""
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script, json.dumps(given)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ranking_of(liked: list[bool]) -> Ranking:
    """One query whose candidates are a list without ties."""
    ranks = np.flatnonzero(liked)
    n = len(ranks)
    ones = np.ones(n, np.int64)
    return Ranking(np.zeros(n, np.int64), np.ones(n), np.arange(n), ranks, ones, ones, np.array([len(liked)]))


def test_terms_sum_to_the_metrics_of_the_package() -> None:
    rng = np.random.default_rng(0)
    lists = [(rng.random(10) < share).tolist() for share in (0.1, 0.3, 0.5, 0.8) for _ in range(8)]
    cases = [[liked, k] for liked in lists for k in (1, 3, 5, 10) if any(liked)]
    found = node("metric_terms.mjs", "given.map(([liked, k]) => m.metricTerms(liked, k))", cases)
    for (liked, k), own in zip(cases, found, strict=True):
        ranking = ranking_of(liked)
        expected = [
            metrics.ndcg(ranking, k), metrics.recall(ranking, k), metrics.precision(ranking, k), metrics.hr(ranking, k),
            metrics.mrr(ranking), metrics.auc(ranking), metrics.ap(ranking),
        ]  # fmt: skip
        for metric, value in zip(own, expected, strict=True):
            if np.isnan(value[0]):
                assert metric["value"] is None
                continue
            assert metric["value"] == pytest.approx(float(value[0]), abs=1e-12), metric["name"]
            assert sum(term["value"] for term in metric["terms"]) == pytest.approx(metric["value"], abs=1e-12)


def test_without_a_liked_film_no_metric_is_defined() -> None:
    found = node("metric_terms.mjs", "m.metricTerms(given, 10)", [False] * 10)
    assert all(metric["value"] is None for metric in found)


def test_ndcg_with_ties_and_rmse_are_the_packages() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        scores, liked = rng.integers(0, 4, 8).astype(float), rng.random(8) < 0.4
        if not liked.any():
            continue
        above = np.array([(scores > own).sum() for own in scores[liked]])
        tied = np.array([(scores == own).sum() for own in scores[liked]])
        both = np.array([(scores[liked] == own).sum() for own in scores[liked]])
        n = int(liked.sum())
        ranking = Ranking(np.zeros(n, np.int64), np.ones(n), np.arange(n), above, tied, both, np.array([8]))
        found = node("metric_terms.mjs", "m.ndcgOfScores(...given)", [scores.tolist(), liked.tolist(), 5])
        assert found == pytest.approx(float(metrics.ndcg(ranking, 5)[0]), abs=1e-12)
    assert node("metric_terms.mjs", "m.rmse(...given)", [[4, 3, 5], [3, 3, 3]]) == pytest.approx((5 / 3) ** 0.5)


@pytest.mark.parametrize("scale, bias", [(1.0, 0.0), (13.5, -6.0), (80.0, 2.0)])
def test_losses_and_gradients_are_torchs(scale: float, bias: float) -> None:
    similarity = torch.rand(8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1
    similarity.requires_grad_(True)
    eye, log_scale = torch.eye(8, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64).log()
    for name, loss, given in (
        ("clipLoss", infonce(similarity, eye, log_scale).mean(), [scale]),
        ("siglipLoss", sigmoid_loss(similarity, eye, log_scale, torch.tensor(bias)).mean(), [scale, bias]),
    ):
        (gradient,) = torch.autograd.grad(loss, similarity, retain_graph=True)
        found = node("contrastive_terms.mjs", f"m.{name}(...given)", [similarity.tolist(), *given])
        assert found["loss"] == pytest.approx(float(loss.detach()), rel=1e-9)
        assert np.allclose(found["gradient"], gradient.numpy(), atol=1e-12)
        if name == "clipLoss":
            assert np.allclose(np.sum(found["rows"], 1), 1) and np.allclose(np.sum(found["columns"], 0), 1)


def test_ease_in_the_browser_is_the_packages() -> None:
    rng = np.random.default_rng(2)
    x = (rng.random((30, 12)) < 0.3).astype(float)
    user, item = np.nonzero(x)
    schema = Schema(n_users=30, n_items=12, has=frozenset({"ids"}))
    model = registry.load("models", "ease")(registry.config("models", "ease", {"l2": 5.0}), schema)
    rows = Interactions(user=user.astype(np.int32), item=item.astype(np.int32))
    model.mark_known(rows)
    model.fit(TrainSet(rows, schema))
    found = node("factorisation.mjs", "m.ease(given, 5)", x.tolist())
    assert np.allclose(np.diag(found), 0)
    assert np.allclose(x @ np.array(found), model.score_all(Query(np.arange(30))).numpy(), atol=1e-4)


def test_an_epoch_of_mf_is_stochastic_gradient_descent() -> None:
    """One rating, one step: b += η(e − λb), p += η(e·q − λp), q += η(e·p − λq)."""
    world = {"users": 1, "items": 1, "train": [{"u": 0, "i": 0, "stars": 4}], "held": []}
    weights = {"p": [[0.2, -0.1]], "q": [[0.5, 0.3]], "bu": [0.1], "bi": [-0.2], "mean": 3.0}
    code = "(() => { const w = { ...given[0], draw: () => 0 }; m.epochMf(w, given[1], 0.1, 0.01); return w })()"
    found = node("factorisation.mjs", code, [weights, world])
    p, q = np.array([0.2, -0.1]), np.array([0.5, 0.3])
    error = 4 - (3 + 0.1 - 0.2 + p @ q)
    assert found["bu"][0] == pytest.approx(0.1 + 0.1 * (error - 0.01 * 0.1))
    assert np.allclose(found["p"][0], p + 0.1 * (error * q - 0.01 * p))
    assert np.allclose(found["q"][0], q + 0.1 * (error * p - 0.01 * q))


def test_the_playground_overfits_as_its_lesson_says() -> None:
    """In the world that it begins with, 8 factors lose about a third of a star after their best epoch, 2 hardly any;
    a world is repeatable."""
    code = """given.map((dim) => {
      const settings = { tastes: 3, noise: 0.8, density: 0.4, seed: 1 }
      const world = m.makeWorld(settings), again = m.makeWorld(settings)
      const w = m.startWeights(world, dim, 1), course = []
      for (let epoch = 0; epoch <= 400; epoch++) {
        course.push([m.rmseOf(w, world.train), m.rmseOf(w, world.held)])
        m.epochMf(w, world, 0.02, 0)
      }
      const share = world.held.length / (world.held.length + world.train.length)
      return { same: JSON.stringify(world) === JSON.stringify(again), course, share }
    })"""
    lost = []
    for found in node("factorisation.mjs", code, [2, 8]):
        train, held = np.array(found["course"]).T
        assert found["same"] and 0.1 < found["share"] < 0.3
        assert train[-1] < 1.01 * train.min() and 10 < held.argmin() < 400
        lost.append(held[-1] - held.min())
    assert lost[0] < 0.05 and 0.25 < lost[1] < 0.45


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda file: file.stem)
def test_the_joined_script_parses(entry: Path, tmp_path: Path) -> None:
    """Also fails where two files have the same name at the top level."""
    file = tmp_path / "view.mjs"
    file.write_text(bundle(entry), encoding="utf-8")
    done = subprocess.run(["node", "--check", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
