"""Links to what a page shows, so that a finding can be sent to somebody."""

from __future__ import annotations

from urllib.parse import urlencode

from mmrec_core.types import Dataset


def to(page: str, dataset: Dataset, **query: str) -> str:
    """A link within the app; empty parts are left out."""
    return f"/{page}?" + urlencode({"dataset": dataset.name, **{k: v for k, v in query.items() if v}})


def person(dataset: Dataset, who: str, a: str = "", b: str = "") -> str:
    """A person's history and lists."""
    return to("errors", dataset, look="User", who=who, a=a, b=b)


def film(dataset: Dataset, row: int) -> str:
    """A film as a link names it: its title, for people, and its id."""
    return f"{dataset.catalog['title'].iloc[row]} · {dataset.items.raw[row]}"


def films(dataset: Dataset) -> list[str]:
    """Every film as a link names it, in the order of their rows."""
    return [f"{title} · {raw}" for title, raw in zip(dataset.catalog["title"], dataset.items.raw, strict=True)]


def id_of(label: str) -> str:
    """The id in what :func:`film` gives; an id alone is one, too."""
    return label.rpartition(" · ")[2].strip()


def rating(dataset: Dataset, who: str, item: int, a: str = "", b: str = "") -> str:
    """One person and one film (its row)."""
    return to("errors", dataset, look="Case", who=who, what=film(dataset, item), a=a, b=b)
