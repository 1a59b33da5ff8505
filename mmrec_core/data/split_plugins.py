"""Split strategies from plugins: each is one file ``PLUGINS/splits/NAME.py`` with a function ``split``."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mmrec_core import docstrings
from mmrec_core.errors import MMRecError
from mmrec_core.types import Array, Dataset, Split

SplitFunction = Callable[[Dataset, Array, str, int, float | None], Split]
"""``split(dataset, rows, argument, seed, relevance_threshold)``: the rows ``[N]`` to divide (those that
``--filter-from`` kept),
what follows ``NAME:``, the split's seed, and from which rating on an item is relevant; returns row numbers of each
part."""


BUILT_IN = (
    "user-temporal", "random", "random-global", "chronological", "leave-one-out", "cold-user", "cold-item", "folds",
    "official", "file",
)  # fmt: skip
"""Names of the package's own strategies (:mod:`mmrec_core.data.splits`), which no plugin replaces."""


@dataclass(frozen=True)
class SplitStrategy:
    """A way to divide a dataset."""

    name: str
    function: SplitFunction
    needs_time: bool
    """Whether it needs times of events (``NEEDS_TIME = True`` in its file)."""
    meaning: str
    """First line of the function's docstring."""


def strategies() -> dict[str, SplitStrategy]:
    """The strategies of the folders in ``MMREC_PLUGINS`` by name; a file that cannot be read is left out.

    Names are the file's with ``-`` for ``_``: ``half_and_half.py`` is ``half-and-half``.
    """
    found: dict[str, SplitStrategy] = {}
    for folder in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep):
        for file in sorted((Path(folder) / "splits").glob("[!_]*.py")) if folder else []:
            try:
                strategy = _load(file, file.stat().st_mtime_ns)
            except MMRecError:
                continue
            found[strategy.name] = strategy
    return {name: found[name] for name in found if name not in BUILT_IN}


@lru_cache(maxsize=64)
def _load(file: Path, modified_ns: int) -> SplitStrategy:
    """One file's strategy, run again where the file changed.

    Raises:
        MMRecError: the file cannot be run or has no function ``split``.
    """
    spec = importlib.util.spec_from_file_location(f"mmrec_plugins.splits.{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        function = module.split
    except Exception as error:  # whatever a plugin raises must not end the list
        raise MMRecError(f"{file.name} cannot be used as a split ({type(error).__name__}: {error}).") from error
    meaning = docstrings.summary(function.__doc__)
    return SplitStrategy(file.stem.replace("_", "-"), function, bool(getattr(module, "NEEDS_TIME", False)), meaning)
