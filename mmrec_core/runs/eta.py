"""Remaining and usual seconds of a training run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmrec_core import registry
from mmrec_core.runs.record import Run
from mmrec_core.runs.store import all_runs


def remaining(run: Run, now: float | None = None) -> float | None:
    """Seconds that the current step of a running job probably still takes; ``None`` if unknown.

    It is what the speed so far gives, less the time since progress was last reported; ``None`` once that is used up, as
    the step then takes longer than its speed said. Early stopping may end a training run sooner.

    Args:
        run: the run.
        now: seconds since 1970; ``None``: now.
    """
    steps = [e for e in run.events() if e.get("kind") == "progress" and e.get("total")]
    since = float(run.record.get("started") or 0)
    steps = [e for e in steps if e["time"] >= since]
    if len(steps) < 2 or steps[-1]["what"] != steps[-2]["what"]:
        return None
    same = [e for e in steps[-200:] if e["what"] == steps[-1]["what"]]
    done, spent = same[-1]["done"] - same[0]["done"], same[-1]["time"] - same[0]["time"]
    if done <= 0 or spent <= 0:
        return None
    left = (same[-1]["total"] - same[-1]["done"]) * spent / done
    left -= (time.time() if now is None else now) - same[-1]["time"]
    return left if left > 0 else None


def expected_seconds(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Expected duration of a training run, from finished training runs of the same model on the same dataset.

    Returns:
        ``{"seconds", "most", "runs", "same"}``; ``None`` without such training runs. ``most`` counts all allowed
        epochs; early stopping mostly ends sooner.
    """
    alike = [
        r
        for r in all_runs()
        if r.kind == "train"
        and r.record["status"] == "finished"
        and (r.params["dataset"], r.params["model"]) == (params["dataset"], params["model"])
    ]
    shape = ("dim", "batch_size", "negatives")
    own = params.get("options") or {}
    same = [
        r
        for r in alike
        if all((r.params["options"] or {}).get(k) == own.get(k) for k in shape)
        and r.params["fraction"] == params.get("fraction", 1.0)
    ]
    results = [(r, found) for r in (same or alike)[-5:] if (found := r.result())]
    if not results:
        return None
    # training rows relative to theirs
    share = {r.id: params.get("fraction", 1.0) / r.params["fraction"] for r, _ in results}
    spent = [found["seconds"]["fit"] * share[r.id] + found["seconds"]["evaluate"] for r, found in results]
    estimate = {"seconds": float(np.median(spent)), "most": None, "runs": len(results), "same": bool(same)}
    per_epoch = [found["seconds"]["fit"] * share[r.id] / found["epochs"] for r, found in results if found.get("epochs")]
    if per_epoch:
        trainer = registry.schema("models", params["model"])["train"]["properties"]
        epochs, patience = (int(own.get(k, trainer[k]["default"])) for k in ("max_epochs", "patience"))
        estimate["most"] = float(np.median(per_epoch)) * epochs + float(
            np.median([f["seconds"]["evaluate"] for _, f in results])
        )
        most = float(estimate["most"] or 0.0)
        estimate["seconds"] = most if patience == 0 else min(float(estimate["seconds"] or 0.0), most)
    return estimate
