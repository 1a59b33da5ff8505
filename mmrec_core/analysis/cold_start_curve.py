"""Where a model begins to beat popularity: how good it is for people of whom it knows k ratings, on the same targets for every k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmrec_core import runtime
from mmrec_core.callbacks import TrainingCallbacks
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.stats import paired
from mmrec_core.training.fit import fit
from mmrec_core.types import Dataset, Progress, quiet

BASELINE = "popularity"
METRIC = "ndcg@10"


def crossing(
    dataset: Dataset,
    models: Sequence[str],
    ks: Sequence[int],
    seed: int = 0,
    split_seed: int = 0,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    encoder: str | None = None,
    callbacks: TrainingCallbacks | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Fit each model on the ``cold-user`` split and judge it with the first k ratings of each new person known.

    Args:
        ks: numbers of ratings, ascending.
        options: settings by model.
        encoder: whose vectors models of plots and posters are given.

    Returns:
        ``models``: name → k → ``metrics``, ``intervals`` and ``against``, the paired per-user difference of NDCG@10 to popularity with as many ratings
        known; ``crosses``: name → the smallest k from which on that difference lies above zero beyond its 95 % interval, or ``None``; ``above`` the same of the means alone.

    Raises:
        MMRecError: no person has enough ratings, or a model does not work on these data.
    """
    split = make_split(dataset, "cold-user", split_seed)
    names = [BASELINE, *(m for m in models if m != BASELINE)]
    found: dict[str, Any] = {}
    values: dict[tuple[str, int], dict[int, float]] = {}
    for at, name in enumerate(names):

        def told(done: int, total: int, what: str, at: int = at, name: str = name) -> None:
            progress(at, len(names), f"{name}: {what}")

        fitted = fit(name, dataset, split, seed=seed, options=(options or {}).get(name), encoder=encoder if _reads(name) else None,
                     modality="both" if _reads(name) else "none", callbacks=callbacks or TrainingCallbacks(progress=told))  # fmt: skip
        found[name] = {}
        for k in ks:
            told(0, 1, f"judged with {k} ratings known")
            judged = evaluate(fitted.model, dataset, split, reveal=k, groups=False)
            values[name, k] = dict(
                zip(judged.queries.tolist(), judged.per_query.get(METRIC, np.zeros(0)).tolist(), strict=True)
            )
            found[name][str(k)] = {"metrics": judged.metrics, "intervals": judged.intervals}
            if name != BASELINE:
                try:
                    found[name][str(k)]["against"] = paired(values[name, k], values[BASELINE, k])
                except MMRecError:
                    found[name][str(k)]["against"] = None
    users = len(np.unique(np.asarray(dataset.interactions.need("user"))[split.test]))
    means = {n: [found[n][str(k)]["metrics"].get(METRIC) or 0.0 for k in ks] for n in names}
    shown = {n: found[n] for n in names if n in models or n == BASELINE}
    return {"dataset": dataset.name, "split": "cold-user", "split_seed": split_seed, "seed": seed, "users": users, "ks": list(ks),
            "split_checksum": split.checksum, "models": shown, "crosses": {n: crosses(shown[n], ks) for n in shown if n != BASELINE},
            "above": {n: above(means[n], means[BASELINE], ks) for n in shown if n != BASELINE},
            "environment": runtime.environment()}  # fmt: skip


def above(mean: Sequence[float], baseline: Sequence[float], ks: Sequence[int]) -> int | None:
    """The smallest k from which on a model's mean lies above popularity's, sure or not; ``None`` if there is none."""
    first = None
    for k, own, other in sorted(zip(ks, mean, baseline, strict=True), reverse=True):
        if own <= other:
            break
        first = k
    return first


def _reads(model: str) -> bool:
    """Whether a model reads plots or posters."""
    from mmrec_core import registry

    return bool({m for need in registry.schema("models", model)["needs"] for m in need.split("|")} & {"text", "image"})


def crosses(by_k: Mapping[str, Any], ks: Sequence[int]) -> int | None:
    """The smallest k from which on a model's paired difference to popularity lies above zero beyond its interval; ``None`` if there is none."""
    first = None
    for k in sorted(ks, reverse=True):
        against = by_k[str(k)].get("against")
        if against is None or against["interval"][0] <= 0:
            break
        first = k
    return first
