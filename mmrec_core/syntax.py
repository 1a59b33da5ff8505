"""Parsing of Python source and of Python literals, one thread at a time."""

from __future__ import annotations

import ast
import threading
from typing import Any

_parsing = threading.Lock()
"""``ast.parse`` in two threads at once fails in Python 3.11 and 3.12: both count the depth of their trees in one place
(SystemError: AST constructor recursion depth mismatch)."""


def parse(source: str, name: str = "<unknown>") -> ast.Module:
    """The syntax tree of a Python file.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it has null bytes.
    """
    with _parsing:
        return ast.parse(source, name)


def literal(text: str) -> Any:
    """The value of a Python literal, such as a list of texts.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it is more than a literal.
    """
    with _parsing:
        return ast.literal_eval(text)
