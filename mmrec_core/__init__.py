"""The core of MMRec: datasets, encoders, models, evaluation and cold start, without any user interface.

Names are imported when they are first used, so ``import mmrec_core`` is fast.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# OpenMP's threads spin while they wait for each other. Beside another busy process each wait then lasts a time slice: a
# step of a small network took up to eight times as long. Waiting passively costs up to a quarter where the machine is
# idle. It is read once, when torch is loaded, so it is set here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

_WHERE = {
    "prepare": "data.preparation",
    "open_dataset": "data.preparation",
    "prepared": "data.preparation",
    "make_split": "data.splits",
    "fit": "training.fit",
    "train": "api",
    "open_run": "api",
    "evaluate": "evaluation.evaluate",
    "load_model": "models._base",
    "MMRecError": "errors",
}
__all__ = [
    "MMRecError", "evaluate", "fit", "load_model", "make_split", "open_dataset", "open_run", "prepare", "prepared",
    "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"mmrec_core.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mmrec_core' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
