"""The summary of a docstring, for help texts."""

from __future__ import annotations


def summary(text: str | None) -> str:
    """The first paragraph of a docstring in one line, without the double backquotes of code; empty without one."""
    paragraph = (text or "").strip().split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "")
