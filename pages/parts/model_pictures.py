"""A small drawing for each family of models. Lines are in the colour of the text, what matters in the accent."""

from __future__ import annotations

from html import escape


def _svg(inside: str) -> str:
    """Line drawings on a canvas of 64 × 40."""
    return (
        '<svg viewBox="0 0 64 40" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.6"'
        f' stroke-linecap="round" stroke-linejoin="round">{inside}</svg>'
    )


def _dots(places: str, radius: float = 3.2, mark: str = "") -> str:
    """Circles at places written ``x,y x,y``."""
    spots = (place.split(",") for place in places.split())
    return "".join(f'<circle cx="{x}" cy="{y}" r="{radius}"{mark}/>' for x, y in spots)


def _grid(left: int, top: int, columns: int, rows: int, side: int, lit: str = "") -> str:
    """Cells of a matrix; those in ``lit`` (``column,row``) are filled."""
    chosen = set(lit.split())
    return "".join(
        f'<rect x="{left + c * side}" y="{top + r * side}" width="{side}" height="{side}"'
        f"{_MARK if f'{c},{r}' in chosen else ''}/>"
        for c in range(columns)
        for r in range(rows)
    )


_MARK = ' class="mark"'

PICTURES: dict[str, str] = {
    # bars from the most popular item on
    "baseline": _svg(
        f'<rect x="8" y="6" width="9" height="28"{_MARK}/><rect x="21" y="14" width="9" height="20"/>'
        '<rect x="34" y="21" width="9" height="13"/><rect x="47" y="27" width="9" height="7"/>'
    ),
    # a matrix of users and items as the product of a tall one and a wide one
    "matrix factorisation": _svg(
        _grid(3, 5, 4, 4, 7, "1,2") + '<path d="M35.5 17.5h5M35.5 21.5h5"/>'
        f'<rect x="45" y="13" width="5" height="24"{_MARK}/><rect x="53" y="4" width="9" height="5"{_MARK}/>'
    ),
    # one item, and the items beside it
    "item-item": _svg(
        '<path d="M32 20L13 9M32 20L13 31M32 20L51 9M32 20L51 31"/>'
        + "".join(
            f'<rect x="{x}" y="{y}" width="9" height="12" rx="1.5" class="{kind}"/>'
            for x, y, kind in ((8, 3, "paper"), (8, 25, "paper"), (47, 3, "paper"), (47, 25, "paper"), (27, 14, "mark"))
        )
    ),
    # users on one side, items on the other
    "graph": _svg(
        '<path d="M14 8L50 14M14 8L50 28M14 20L50 14M14 32L50 14M14 32L50 36"/>'
        + _dots("14,8 14,32", mark=' class="paper"')
        + _dots("14,20", mark=_MARK)
        + "".join(f'<rect x="47" y="{y}" width="6" height="6" class="paper"/>' for y in (3, 11, 25, 33))
    ),
    # what was seen, in order, and what comes next
    "sequence": _svg(
        "".join(f'<rect x="{x}" y="18" width="9" height="13" rx="1.5" class="paper"/>' for x in (4, 18, 32))
        + f'<rect x="50" y="18" width="9" height="13" rx="1.5"{_MARK}/>'
        '<path d="M8 15C14 4 50 4 55 14M23 15C30 8 48 8 53 15M37 15C42 11 48 11 52 15"/>'
    ),
    # a network whose links come one after another, and a clock
    "temporal": _svg(
        '<path d="M10 32L24 24L36 32M24 24L20 9"/>'
        + _dots("10,32 36,32 20,9", mark=' class="paper"')
        + _dots("24,24", mark=_MARK)
        + '<circle cx="50" cy="15" r="10"/><path d="M50 9v6l4 3"/>'
    ),
    # columns of a table into a small network
    "features": _svg(
        _grid(4, 5, 2, 5, 6, "1,1 0,3")
        + '<path d="M16 8L34 12M16 20L34 12M16 20L34 28M16 32L34 28M34 12L54 20M34 28L54 20"/>'
        + _dots("34,12 34,28", mark=' class="paper"')
        + _dots("54,20", mark=_MARK)
    ),
    # a poster and a text, joined
    "multimodal": _svg(
        '<rect x="4" y="3" width="13" height="17" rx="1.5"/><path d="M5 17l4-5 3 3 2-2 3 4"/>'
        '<path d="M4 27h14M4 32h11M4 37h14M20 11C32 11 30 20 40 20M22 32C32 32 30 20 40 20"/>'
        + f'<circle cx="49" cy="20" r="8"{_MARK}/>'
    ),
}
"""Drawings by family. They are ours, so they may be used as markup; texts of users may not."""
OTHER = _svg('<rect x="14" y="8" width="36" height="24" rx="4" class="paper"/><path d="M24 20h16M34 15l6 5-6 5" />')
"""For a family of a plugin's own."""


def picture(family: str) -> str:
    """The drawing of a family."""
    return PICTURES.get(family, OTHER)


def place(family: str) -> tuple[int, str]:
    """Where a family stands in a list: known ones from simple to rich, others after them by name."""
    known = list(PICTURES)
    return (known.index(family) if family in known else len(known), escape(family))
