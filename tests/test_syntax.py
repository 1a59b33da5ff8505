"""Parsing in many threads at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmrec_core import syntax

SOURCES = [file.read_text(encoding="utf-8") for file in (Path(__file__).parents[1] / "mmrec_core").glob("*.py")]


def test_many_threads_may_parse_at_once() -> None:
    """As the answers of several models do when a server has just started; ``ast.parse`` alone fails here."""
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    between: Callable[..., Any] = lambda *_: [None for _ in range(30)]  # Python code while a tree is made
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(between)
    gc.set_threshold(50)
    try:
        with ThreadPoolExecutor(4) as threads:
            trees = list(threads.map(syntax.parse, SOURCES * 2))
            values = list(threads.map(syntax.literal, ["[" * 40 + "1" + "]" * 40] * 50))
    finally:
        gc.callbacks.remove(between)
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
    assert all(tree.body for tree in trees) and len(set(map(str, values))) == 1
