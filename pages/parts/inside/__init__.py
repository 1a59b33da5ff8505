"""The views of the page Inside; each file with a ``TITLE`` is one view."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType


@dataclass(frozen=True)
class View:
    """A view of the page Inside."""

    name: str
    """Name of its file, by which links know it."""
    title: str
    question: str
    """The question that it answers, in a few words."""
    look: str
    """What to look for, in a sentence."""
    models: tuple[str, ...]
    """Models whose runs it opens; empty: it needs none."""
    module: ModuleType


@lru_cache(maxsize=1)
def views() -> tuple[View, ...]:
    """All views, in their order."""
    found = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        if hasattr(module, "TITLE"):
            found.append((module.ORDER, info.name, module))
    return tuple(
        View(name, own.TITLE, own.QUESTION, own.LOOK, tuple(getattr(own, "MODELS", ())), own)
        for _, name, own in sorted(found, key=lambda view: view[:2])
    )


def opened_by(model: str) -> View | None:
    """The view that is made for a model: of those that open it, the one that opens the fewest models."""
    return min((view for view in views() if model in view.models), key=lambda view: len(view.models), default=None)
