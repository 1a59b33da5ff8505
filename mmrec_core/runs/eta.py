"""Remaining and usual seconds of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmrec_core import registry
from mmrec_core.runs.record import Run
from mmrec_core.runs.store import all_runs


def remaining(run: Run) -> float | None:
    """Seconds a running training may still take, at most: early stopping may end it sooner. ``None`` while nobody knows."""
    steps = [e for e in run.events() if e.get("kind") == "progress" and e.get("total")]
    since = float(run.record.get("started") or 0)
    steps = [e for e in steps if e["time"] >= since]
    if len(steps) < 2 or steps[-1]["what"] != steps[-2]["what"]:
        return None
    same = [e for e in steps[-200:] if e["what"] == steps[-1]["what"]]
    done, spent = same[-1]["done"] - same[0]["done"], same[-1]["time"] - same[0]["time"]
    return (same[-1]["total"] - same[-1]["done"]) * spent / done if done > 0 and spent > 0 else None


def usual_seconds(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """What earlier finished trainings say of how long this one takes: ``{"seconds", "most", "runs"}``; ``None`` where there
    are none of this model on this dataset. ``most`` counts every allowed epoch; early stopping mostly ends sooner."""
    alike = [r for r in all_runs() if r.kind == "train" and r.record["status"] == "finished"
             and (r.params["dataset"], r.params["model"]) == (params["dataset"], params["model"])]  # fmt: skip
    shape = ("dim", "batch_size", "negatives")
    own = params.get("options") or {}
    same = [r for r in alike if all((r.params["options"] or {}).get(k) == own.get(k) for k in shape)
            and r.params["fraction"] == params.get("fraction", 1.0)]  # fmt: skip
    results = [(r, found) for r in (same or alike)[-5:] if (found := r.result())]
    if not results:
        return None
    share = {
        r.id: params.get("fraction", 1.0) / r.params["fraction"] for r, _ in results
    }  # rows to learn from, against theirs
    spent = [found["seconds"]["fit"] * share[r.id] + found["seconds"]["evaluate"] for r, found in results]
    told = {"seconds": float(np.median(spent)), "most": None, "runs": len(results), "same": bool(same)}
    per_epoch = [found["seconds"]["fit"] * share[r.id] / found["epochs"] for r, found in results if found.get("epochs")]
    if per_epoch:
        trainer = registry.schema("models", params["model"])["train"]["properties"]
        epochs, patience = (int(own.get(k, trainer[k]["default"])) for k in ("max_epochs", "patience"))
        told["most"] = float(np.median(per_epoch)) * epochs + float(
            np.median([f["seconds"]["evaluate"] for _, f in results])
        )
        most = float(told["most"] or 0.0)
        told["seconds"] = most if patience == 0 else min(float(told["seconds"] or 0.0), most)
    return told
