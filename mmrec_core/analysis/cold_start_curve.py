"""Cold-start curve: quality for new users with k known ratings, and the k from which a model beats popularity.

The targets are the same for every k.
"""

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
    """Train each model on the ``cold-user`` split and evaluate it with the first k ratings of each new user known.

    Args:
        dataset: the dataset.
        models: names of the models; popularity is added as the baseline.
        ks: numbers of known ratings, ascending.
        seed: training seed.
        split_seed: seed of the split.
        options: settings by model.
        encoder: the encoder whose vectors models of plots and posters read.
        callbacks: callbacks of the training runs; by default they report progress.
        progress: called with the progress over models.

    Returns:
        ``models``: name → k → ``metrics``, ``intervals`` and ``against``, the paired per-user difference of NDCG@10 to
        popularity with the same number of known ratings. ``crosses``: name → the smallest k from which on the 95 %
        interval of that difference lies above zero, or ``None``. ``above``: the same for the means alone.

    Raises:
        MMRecError: no user has enough ratings, or a model does not work on this dataset.
    """
    split = make_split(dataset, "cold-user", split_seed)
    names = [BASELINE, *(m for m in models if m != BASELINE)]
    found: dict[str, Any] = {}
    values: dict[tuple[str, int], dict[int, float]] = {}
    for index, name in enumerate(names):

        def report(done: int, total: int, what: str, index: int = index, name: str = name) -> None:
            progress(index, len(names), f"{name}: {what}")

        reads_content = _reads_content(name)
        fitted = fit(
            name,
            dataset,
            split,
            seed=seed,
            options=(options or {}).get(name),
            encoder=encoder if reads_content else None,
            modality="both" if reads_content else "none",
            callbacks=callbacks or TrainingCallbacks(progress=report),
        )
        found[name] = {}
        for k in ks:
            report(0, 1, f"evaluated with {k} known ratings")
            evaluated = evaluate(fitted.model, dataset, split, reveal=k, groups=False)
            values[name, k] = dict(
                zip(evaluated.queries.tolist(), evaluated.per_query.get(METRIC, np.zeros(0)).tolist(), strict=True)
            )
            found[name][str(k)] = {"metrics": evaluated.metrics, "intervals": evaluated.intervals}
            if name != BASELINE:
                try:
                    found[name][str(k)]["against"] = paired(values[name, k], values[BASELINE, k])
                except MMRecError:
                    found[name][str(k)]["against"] = None
    users = len(np.unique(np.asarray(dataset.interactions.need("user"))[split.test]))
    means = {n: [found[n][str(k)]["metrics"].get(METRIC) or 0.0 for k in ks] for n in names}
    shown = {n: found[n] for n in names if n in models or n == BASELINE}
    compared = [n for n in shown if n != BASELINE]
    return {
        "dataset": dataset.name,
        "split": "cold-user",
        "split_seed": split_seed,
        "seed": seed,
        "users": users,
        "ks": list(ks),
        "split_checksum": split.checksum,
        "models": shown,
        "crosses": {n: crosses(shown[n], ks) for n in compared},
        "above": {n: above(means[n], means[BASELINE], ks) for n in compared},
        "environment": runtime.environment(),
    }


def above(mean: Sequence[float], baseline: Sequence[float], ks: Sequence[int]) -> int | None:
    """The smallest k from which on a model's mean lies above the baseline's, significantly or not; else ``None``."""
    first = None
    for k, own, other in sorted(zip(ks, mean, baseline, strict=True), reverse=True):
        if own <= other:
            break
        first = k
    return first


def _reads_content(model: str) -> bool:
    """Whether a model reads plots or posters."""
    from mmrec_core import registry

    return registry.reads_content(registry.schema("models", model)["needs"])


def crosses(by_k: Mapping[str, Any], ks: Sequence[int]) -> int | None:
    """The smallest k from which on a model is significantly better than the baseline; else ``None``."""
    first = None
    for k in sorted(ks, reverse=True):
        against = by_k[str(k)].get("against")
        if against is None or against["interval"][0] <= 0:
            break
        first = k
    return first
