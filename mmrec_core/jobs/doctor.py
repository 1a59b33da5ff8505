"""Check a machine or a cluster with a few small training runs whose metrics must agree; it takes a minute or two."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from mmrec_core import runs
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import worker
from mmrec_core.runs import ray_cluster
from mmrec_core.types import Progress, quiet

WORLD = "smoke"
SAME = 1e-6
"""Largest difference in RMSE between one process on the cluster and one process here."""
ALIKE = 1e-4
"""Largest difference between several processes and one with the same global batch, which sum in another order."""


def smoke(workers: int = 2, progress: Progress = quiet) -> list[dict[str, Any]]:
    """Prepare a small generated dataset and train on it: here, on the cluster if one is named, and in several
    processes.

    Returns:
        ``check``, ``passed`` and ``said`` (the message) of each check.
    """
    found: list[dict[str, Any]] = []

    def check(what: str, do: Callable[[], str]) -> None:
        progress(len(found), 5, what)
        try:
            found.append({"check": what, "passed": True, "said": do()})
        except MMRecError as error:
            found.append({"check": what, "passed": False, "said": str(error)})

    results: dict[str, Mapping[str, Any]] = {}

    def train(name: str, executor: str, n: int) -> str:
        params = runs.training_params(WORLD, "mf", seed=1, options={"max_epochs": 3, "patience": 0, "device": "cpu"})
        run = runs.create("train", params, executor=executor, workers=n)
        results[name] = worker.work(run.id, foreground=True).result() or {}
        return f"RMSE {results[name]['metrics']['rmse']:.6f} in {results[name]['seconds']['fit']:.1f} s"

    def against(name: str, bound: float) -> Callable[[], str]:
        def compare() -> str:
            if "here" not in results or name not in results:
                raise MMRecError("There is nothing to compare: one of the training runs failed.")
            one, other = (results[n]["metrics"]["rmse"] for n in ("here", name))
            if not math.isclose(one, other, abs_tol=bound):
                raise MMRecError(
                    f"RMSE {other:.8f} against {one:.8f}: the difference is more than {bound:g}. "
                    "Are the number of threads, the device or the versions different?"
                )
            return f"{abs(one - other):.1g} apart (at most {bound:g})"

        return compare

    def prepared() -> str:
        if WORLD not in preparation.prepared():
            preparation.prepare("demo", name=WORLD, options={"films": 120, "scale": 0.2})
        return f"{preparation.open_dataset(WORLD).manifest['ratings']:,} generated ratings"

    check("a small world", prepared)
    check("a training run here", lambda: train("here", "local", 1))
    if ray_cluster.address() is not None:
        check(
            f"the cluster at {ray_cluster.address()}",
            lambda: ", ".join(
                f"{n.address} ({n.total.get('CPU', 0):g} CPU, {n.total.get('GPU', 0):g} GPU)"
                for n in ray_cluster.nodes()
            ),
        )
        check("a training run there", lambda: train("there", "ray", 1))
        check("the same figures there", against("there", SAME))
    where = "ray" if ray_cluster.address() is not None else "local"
    on_cluster = where == "ray" and found[2]["passed"]
    cpus = sum(n.total.get("CPU", 0) for n in ray_cluster.nodes()) if on_cluster else os.cpu_count() or 1
    if 1 < workers <= cpus:
        check(f"{workers} workers together", lambda: train("together", where, workers))
        check("the same figures together", against("together", ALIKE))
    return found
