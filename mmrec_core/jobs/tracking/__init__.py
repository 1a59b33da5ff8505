"""Runs in MLflow and TensorBoard."""

from mmrec_core.jobs.tracking.mlflow import BATCH, ENDED, MIRRORED, mirror, open_mlflow, store
from mmrec_core.jobs.tracking.tensorboard import to_tensorboard

__all__ = ["BATCH", "ENDED", "MIRRORED", "mirror", "open_mlflow", "store", "to_tensorboard"]
