"""Event files for TensorBoard."""

from __future__ import annotations

from pathlib import Path

from mmrec_core import runs, storage
from mmrec_core.errors import MMRecError
from mmrec_core.jobs.tracking.mlflow import _figures


def to_tensorboard(folder: Path) -> int:
    """Write every training run as TensorBoard event files: curves by epoch, test figures at the end.

    Returns:
        How many runs were written.

    Raises:
        MMRecError: tensorboardX is missing, or the folder cannot be written.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise MMRecError("tensorboardX is not installed here; pip install tensorboardX.") from None
    written = 0
    for run in runs.all_runs():
        epochs = run.epochs()
        result = run.result() if run.kind == "train" and run.status == "finished" else None
        if run.kind != "train" or not (epochs or result):
            continue
        with storage.replacing(folder / run.id) as draft, SummaryWriter(str(draft)) as writer:
            for event in epochs:
                for key, value in event.items():
                    if key not in {"time", "kind", "epoch"} and isinstance(value, (int, float)):
                        writer.add_scalar(f"train/{key}", value, event["epoch"], walltime=event["time"])
            for name, value in _figures(result) if result else ():
                place = name.replace("test ", "test/") if name.startswith("test ") else f"cost/{name}"
                writer.add_scalar(place, value, 0, walltime=float(run.record["ended"]))
        written += 1
    return written
