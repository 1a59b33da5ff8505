"""Links to what a page shows, so that a finding can be sent to somebody."""

from __future__ import annotations

from urllib.parse import urlencode

from mmrec_core.types import Dataset


def to(page: str, dataset: Dataset, **query: str) -> str:
    """A link within the app; empty parts are left out."""
    return f"/{page}?" + urlencode({"dataset": dataset.name, **{k: v for k, v in query.items() if v}})


def person(dataset: Dataset, who: str, a: str = "", b: str = "") -> str:
    """A person's history and lists."""
    return to("errors", dataset, look="Person", who=who, a=a, b=b)


def rating(dataset: Dataset, who: str, what: str, a: str = "", b: str = "") -> str:
    """One person and one film."""
    return to("errors", dataset, look="Case", who=who, what=what, a=a, b=b)
