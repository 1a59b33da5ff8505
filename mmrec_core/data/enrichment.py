"""Filling of missing posters, plots and credits of a catalog from the sources of :mod:`mmrec_core.data.enrich`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmrec_core import registry
from mmrec_core.errors import MMRecError
from mmrec_core.types import Progress

log = logging.getLogger(__name__)

ONLINE = ("urls", "wikipedia")
"""Sources that fetch posters and plots from the network without an account."""


ARTICLE = re.compile(r"https://[a-z-]+\.wikipedia\.org/wiki/[\w%.,~!'-]+", re.ASCII)


def article_of(record: Mapping[str, Any]) -> str | None:
    """The address of the Wikipedia article that a film's plot is from, or ``None``.

    Args:
        record: a row of the catalog.
    """
    address = record.get("plot_source")
    return address if isinstance(address, str) and ARTICLE.fullmatch(address) else None


@dataclass
class Enriched:
    """Notes and licences of the sources that were used."""

    notes: list[str] = field(default_factory=list)
    licence: str = ""


def fill(catalog: Any, requested: Sequence[str], id_space: str, progress: Progress, *, offered: bool) -> Enriched:
    """Fill missing posters, plots and credits of the catalog in place.

    Args:
        catalog: one row per item.
        requested: sources that the user requested: ``NAME``, or ``NAME:VALUE`` with the value of its argument.
        id_space: see :attr:`RawData.id_space`.
        progress: progress callback.
        offered: whether the default sources are used, too; not for generated films, whose titles may match real films.

    Returns:
        Notes for users, and the licences of what was found.
    """
    result = Enriched()
    if catalog.empty:
        return result
    notes = result.notes
    for name, source in _sources(requested, offered):
        try:
            found = source.find(catalog, id_space, progress)
        except MMRecError:
            raise
        except Exception as error:  # a bad file of one source must not stop the preparation
            log.exception("%s failed", name)
            notes.append(f"The source '{name}' could not be used ({type(error).__name__}: {error}).")
            continue
        notes += found.notes
        if found.licence and found.values:
            result.licence = " ".join(text for text in (result.licence, found.licence) if text)
        for column, values in found.values.items():
            filled = catalog[column].tolist() if column in catalog else [None] * len(catalog)
            gained = 0
            for row, value in values.items():
                if filled[row] is None or (isinstance(filled[row], list) and not filled[row]) or filled[row] == "":
                    filled[row], gained = value, gained + 1
            catalog[column] = filled
            log.info("%s gave %s for %d of %d films", name, column, gained, len(catalog))
    return result


def check_sources(requested: Sequence[str]) -> None:
    """Check the names of requested sources.

    Raises:
        MMRecError: an unknown source, or a value for a source that takes none.
    """
    _sources(requested, offered=False)


def _sources(requested: Sequence[str], offered: bool) -> list[tuple[str, Any]]:
    """The sources to use, in their order, with their names.

    Args:
        requested: see :func:`fill`.
        offered: whether the default sources are used, too.
    """
    given = {name: value for name, _, value in (text.partition(":") for text in requested)}
    found = []
    for name in dict.fromkeys([*registry.names("enrich"), *given]):
        cls = registry.load("enrich", name)
        if name not in given and (cls.on_request or not offered):
            continue
        if given.get(name) and not cls.argument:
            raise MMRecError(f"The source '{name}' takes no value; write --enrich {name}, not {name}:{given[name]}.")
        chosen = {cls.argument: given[name]} if given.get(name) else {}
        found.append((name, cls(registry.config("enrich", name, chosen))))
    return sorted(found, key=lambda pair: int(type(pair[1]).order))
