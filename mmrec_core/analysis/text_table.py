"""A table of text cells with a caption, written as LaTeX (booktabs) or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

WIDE = 8
"""A LaTeX table with more columns is shrunk to the width of the text."""
_SYMBOLS = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "—": "---",
    "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "·": r"$\cdot$", "≥": r"$\geq$", "≤": r"$\leq$", "<": "$<$",
    ">": "$>$", "|": "$|$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "Δ": r"$\Delta$",
    "…": r"\ldots{}", "“": "``", "”": "''", '"': "''", "†": r"\dag{}", "\u00a0": "~",
}  # fmt: skip
_ESCAPES = {**{c: "\\" + c for c in "_&%#${}"}, **_SYMBOLS}


@dataclass(frozen=True)
class Cell:
    """A cell: its text, how it is set, and what follows it."""

    text: str
    bold: bool = False
    underlined: bool = False
    mark: str = ""
    """``+`` or ``−`` behind the text, raised in LaTeX; empty for none."""
    after: str = ""
    """Text behind the value that is neither bold nor underlined, such as ``± 0.0012``."""


@dataclass(frozen=True)
class TextTable:
    """A table: column heads, rows of cells, a caption, and comments on its origin."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    label: str
    """Label for references in LaTeX, without ``tab:``."""
    comments: Sequence[str] = ()
    """Lines about its origin that are not printed: comments in LaTeX."""
    rules: frozenset[int] = field(default_factory=frozenset)
    """Rows before which a rule stands."""


def escape(text: str) -> str:
    """Text with the special characters of LaTeX escaped."""
    return "".join(_ESCAPES.get(c, c) for c in text)


def as_latex(table: TextTable) -> str:
    """A LaTeX ``table`` with rules of booktabs."""
    body = []
    for at, row in enumerate(table.rows):
        body += [r"\midrule"] if at in table.rules else []
        body.append(" & ".join(_latex_cell(cell) for cell in row) + r" \\")
    wide = len(table.head) > WIDE
    lines = [
        *(f"% {' '.join(line.split())}" for line in table.comments),
        r"% Needs in the preamble: \usepackage{booktabs}" + (r", \usepackage{graphicx}" if wide else ""),
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{escape(table.caption)}}}",
        r"\smallskip",
        rf"\label{{tab:{''.join(c if c.isalnum() or c in '-:.' else '-' for c in table.label)}}}",
        *([r"\resizebox{\linewidth}{!}{%"] if wide else []),
        r"\begin{tabular}{l" + "r" * (len(table.head) - 1) + "}",
        r"\toprule",
        " & ".join(map(escape, table.head)) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}" + ("}" if wide else ""),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell) -> str:
    text = escape(cell.text)
    text = rf"\underline{{{text}}}" if cell.underlined else text
    text = rf"\textbf{{{text}}}" if cell.bold else text
    mark = f"$^{{{cell.mark.replace('−', '-')}}}$" if cell.mark else ""
    return text + mark + (f" {escape(cell.after)}" if cell.after else "")


def as_markdown(table: TextTable) -> str:
    """A Markdown table with its caption below; underlined cells are set as ``<u>``."""
    lines = ["| " + " | ".join(map(_markdown, table.head)) + " |", "|---" + "|---:" * (len(table.head) - 1) + "|"]
    lines += ["| " + " | ".join(map(_markdown_cell, row)) + " |" for row in table.rows]
    return "\n".join([*lines, "", _markdown(table.caption)]) + "\n"


def _markdown(text: str) -> str:
    return "".join("\\" + c if c in "\\`*_|<>[]" else c for c in text)


def _markdown_cell(cell: Cell) -> str:
    text = _markdown(cell.text)
    text = f"<u>{text}</u>" if cell.underlined else text
    text = f"**{text}**" if cell.bold else text
    return text + cell.mark + (f" {_markdown(cell.after)}" if cell.after else "")
