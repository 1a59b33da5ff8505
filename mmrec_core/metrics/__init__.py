"""Every metric is one public function; its first parameter says of what (``ranking``, ``ratings``, ``clicks``,
``pooled`` or ``lists``).

A second parameter ``k`` makes it a metric at a cut-off, written ``ndcg@10``. A file names those of its metrics of which
lower values are better in ``LOWER_IS_BETTER``. Files of a ``metrics`` folder under ``MMREC_PLUGINS`` count as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from mmrec_core import docstrings
from mmrec_core.errors import unknown_name

KINDS = ("ranking", "ratings", "clicks", "pooled", "lists")


@dataclass(frozen=True)
class Metric:
    """A metric as asked for: its full name, what it judges, how to compute it, and its one-line meaning."""

    name: str
    kind: str
    compute: Callable[[Any], Any]
    k: int | None
    meaning: str
    whole: bool
    """Needs every relevant item's rank, not only those in the top ``k``."""
    lower_is_better: bool = False

    @property
    def better(self) -> str:
        """``higher`` or ``lower``."""
        return "lower" if self.lower_is_better else "higher"


def functions() -> dict[tuple[str, str], Callable[..., Any]]:
    """Every metric function by what it judges and its name; rankings and clicks both have an ``auc``."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    for plugins in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep):
        files += sorted((Path(plugins) / "metrics").glob("[!_]*.py")) if plugins else []
    return _functions(tuple((file, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=4)
def _functions(files: tuple[tuple[Path, int], ...]) -> dict[tuple[str, str], Callable[..., Any]]:
    """The same, read again only where a file was added or changed."""
    found: dict[tuple[str, str], Callable[..., Any]] = {}
    for module in map(_module, (file for file, _ in files)):
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                if (kind := next(iter(inspect.signature(function).parameters), "")) in KINDS:
                    found[kind, name] = function
    return found


def _module(file: Path) -> ModuleType:
    if file.parent == Path(__file__).parent:
        return importlib.import_module(f"mmrec_core.metrics.{file.stem}")
    spec = importlib.util.spec_from_file_location(f"mmrec_plugins.metrics.{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def metric(name: str, kind: str | None = None) -> Metric:
    """The metric of a full name such as ``rmse``, ``ndcg@10`` or, of one label, ``auc:income``.

    Args:
        kind: which of two metrics of one name is meant; a name with a label means the one for clicks.

    Raises:
        MMRecError: unknown, or a cut-off where there is none or the reverse.
    """
    known = functions()
    plain, _, label = name.partition(":")
    base, _, cut = plain.partition("@")
    meant = "clicks" if label else kind
    kinds = [k for k in KINDS if (k, base) in known and meant in {None, k}]
    if not kinds:
        raise unknown_name("metric", name, sorted({n for _, n in known}))
    function = known[kinds[0], base]
    takes_k = "k" in inspect.signature(function).parameters
    if takes_k != cut.isdecimal():
        raise unknown_name("metric", name, [f"{base}@10" if takes_k else base])
    k = int(cut) if takes_k else None
    compute = partial(function, k=k) if takes_k else function
    meaning = docstrings.summary((inspect.getdoc(function) or "").replace("``k``", str(k)))
    meaning = f"{label}: {meaning[:1].lower()}{meaning[1:]}" if label else meaning
    lower = base in function.__globals__.get("LOWER_IS_BETTER", ())
    return Metric(name, kinds[0], compute, k, meaning, whole=not takes_k, lower_is_better=lower)


def usual(kind: str, k: int = 10) -> list[Metric]:
    """Every metric of a kind, at the usual cut-off."""
    own = [(n, f) for (of, n), f in functions().items() if of == kind]
    return [metric(f"{n}@{k}" if "k" in inspect.signature(f).parameters else n, kind) for n, f in own]
