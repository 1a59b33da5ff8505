"""Annotations for error analysis (qualitative coding): a case has tags and a note, stored in one file per dataset.

A *case* names what was inspected: a user, a film, a rating (user and film), a recommendation (user, film, run) or a
slice. Tags are free text; they can be renamed and merged. The file is written atomically.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from mmrec_core import csv_out, ownership, settings, storage
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.types import Dataset

COLUMNS = (
    "kind",
    "user",
    "film",
    "slice",
    "run",
    "model",
    "beside",
    "tags",
    "note",
    "blind",
    "seed",
    "link",
    "made",
    "id",
)
REMEDY = "Repair it, or set it aside to start with an empty one: python -m mmrec_core clean --set-aside"
LONGEST = {"tag": 40, "note": 4000, "tags": 50, "name": 500, "link": 4000}
Name = Annotated[str, StringConstraints(max_length=LONGEST["name"])]
OF_ONE, OF_ALL = 200, 2000
"""Most cases that one visitor, and all visitors together, may keep; the owner has no limit."""


class Case(BaseModel):
    """One annotated case. Ids are raw ids as strings, so that the file can be used elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(max_length=64)
    kind: Literal["user", "film", "rating", "recommendation", "slice"]
    user: Name = ""
    film: Name = ""
    slice: Name = ""
    run: Name = ""
    model: Name = ""
    beside: Name = ""
    """The model it was compared with."""
    tags: tuple[str, ...] = Field((), max_length=LONGEST["tags"])
    note: str = Field("", max_length=LONGEST["note"])
    blind: bool = False
    """Whether the model's name was hidden during annotation."""
    seed: int | None = None
    """Seed of the random sample that contains the case."""
    link: str = Field("", max_length=LONGEST["link"])
    author: str = ""
    """A random name of the visitor who made the case; empty for the owner. It is in no export."""
    made: float = Field(0.0, allow_inf_nan=False)

    @field_validator("tags")
    @classmethod
    def _clean(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        plain = {" ".join("".join(c if c.isprintable() else " " for c in tag).split()) for tag in tags}
        found = tuple(sorted(plain - {""}))
        if any(len(t) > LONGEST["tag"] or ";" in t for t in found):
            raise ValueError(f"a tag has at most {LONGEST['tag']} characters and no semicolon")
        return found

    @field_validator("note")
    @classmethod
    def _printable(cls, note: str) -> str:
        """Without characters that are not drawn, such as those that turn the direction of writing."""
        return "".join(c for c in note if c.isprintable() or c in "\n\r\t")


def file_of(dataset: Dataset) -> Path:
    """The file of a dataset's cases."""
    return settings.home() / "coding" / f"{dataset.name}.json"


def cases(dataset: Dataset) -> list[Case]:
    """All annotated cases, the oldest first.

    Raises:
        DamagedFile: the file is damaged; it is not overwritten.
    """
    file = file_of(dataset)
    return read(file) if file.exists() else []


def read(file: Path) -> list[Case]:
    """Read the cases of a file.

    Raises:
        MMRecError: it is missing.
        DamagedFile: as :func:`cases`.
    """
    try:
        return [Case.model_validate(entry) for entry in storage.read_json(file)]
    except DamagedFile as error:
        raise DamagedFile(error.place, error.fault, REMEDY) from None
    except (ValidationError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        fault = (
            f"'{'.'.join(map(str, first['loc']))}': {first['msg'][0].lower()}{first['msg'][1:]}"
            if first
            else "it is no list of cases"
        )
        raise DamagedFile(storage.shown(file), f"it does not hold coded cases ({fault})", REMEDY) from error


def _write(dataset: Dataset, found: Iterable[Case]) -> None:
    storage.write_json(file_of(dataset), [case.model_dump(mode="json") for case in found])


def name_of(kind: str, user: str = "", film: str = "", slice: str = "", run: str = "", author: str = "") -> str:
    """The id of a case; the same arguments give the same id, and every author has their own."""
    parts = (kind, user, film, slice, run, *([author] if author else []))
    return storage.checksum("\0".join(parts).encode())[:16]


def case(kind: str, *, user: str = "", film: str = "", slice: str = "", run: str = "", **fields: Any) -> Case:
    """Make a case.

    Args:
        kind: ``user``, ``film``, ``rating``, ``recommendation`` or ``slice``.
        user: raw id.
        film: raw id.
        slice: name of the slice.
        run: id of the run.
        fields: other fields of :class:`Case`.

    Raises:
        MMRecError: the kind, a tag or the note is not valid.
    """
    try:
        where = slice if kind == "slice" else ""  # a rating is the same case in every slice
        author = ownership.visitor()
        return Case(
            id=name_of(kind, user, film, where, run, author),
            author=author,
            kind=kind,  # type: ignore[arg-type]
            user=user,
            film=film,
            slice=slice,
            run=run,
            **{"made": time.time(), **fields},
        )
    except ValidationError as error:
        raise MMRecError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error


def put(dataset: Dataset, *coded: Case) -> None:
    """Save cases; one with the same id is replaced. A case without tags, note and sample seed is removed.

    A visitor adds and changes their own cases only, and no more than :data:`OF_ONE`.

    Raises:
        MMRecError: a visitor has too many cases.
    """
    author = ownership.visitor()
    if author:
        coded = tuple(c.model_copy(update={"author": author, "id": _id(c, author)}) for c in coded)
    with storage.locked(f"coding-{dataset.name}"):
        found = {c.id: c for c in cases(dataset)}
        for one in coded:
            if (old := found.get(one.id)) is not None:  # keep when and how the case was first found
                update = {
                    "made": old.made,
                    "blind": old.blind or one.blind,
                    "slice": one.slice or old.slice,
                    "seed": old.seed if one.seed is None else one.seed,
                }
                one = one.model_copy(update=update)
            found[one.id] = one
        kept = [c for c in found.values() if c.tags or c.note or c.seed is not None]
        if author and (sum(c.author == author for c in kept) > OF_ONE or sum(bool(c.author) for c in kept) > OF_ALL):
            raise MMRecError(f"The notebook takes no further cases of visitors (at most {OF_ONE} each).")
        _write(dataset, kept)


def _id(one: Case, author: str) -> str:
    return name_of(one.kind, one.user, one.film, one.slice if one.kind == "slice" else "", one.run, author)


def remove(dataset: Dataset, ids: Iterable[str]) -> None:
    """Delete cases by id."""
    ownership.require("delete cases")
    gone = set(ids)
    with storage.locked(f"coding-{dataset.name}"):
        _write(dataset, (c for c in cases(dataset) if c.id not in gone))


def rename(dataset: Dataset, old: str, new: str) -> int:
    """Rename a tag in every case; if the new tag exists, both are merged. Return how many cases changed.

    Raises:
        MMRecError: the new name is not valid, or the visitor is not the owner.
    """
    ownership.require("rename tags")
    changed = 0
    with storage.locked(f"coding-{dataset.name}"):
        found = cases(dataset)
        for at, one in enumerate(found):
            if old in one.tags:
                fields = {**one.model_dump(), "tags": tuple(new if t == old else t for t in one.tags)}
                try:
                    found[at] = Case.model_validate(fields)
                except ValidationError as error:
                    raise MMRecError(str(error.errors()[0]["msg"])) from error
                changed += 1
        _write(dataset, found)
    return changed


def counts(found: Sequence[Case], by: Literal["model", "slice", "kind", ""] = "") -> dict[str, Counter[str]]:
    """Tag → number of cases by model, slice or kind (under one empty key if ``by`` is empty)."""
    result: dict[str, Counter[str]] = {}
    for one in found:
        for tag in one.tags:
            result.setdefault(tag, Counter())[getattr(one, by) if by else ""] += 1
    return dict(sorted(result.items()))


def as_csv(found: Sequence[Case]) -> str:
    """Cases as CSV; :func:`from_csv` reads the same cases."""
    out = io.StringIO()
    write = csv_out.DictWriter(out, COLUMNS)
    write.writeheader()
    for one in found:
        row = {
            **one.model_dump(include=set(COLUMNS)),
            "tags": ";".join(one.tags),
            "made": repr(one.made),
            "seed": "" if one.seed is None else one.seed,
        }
        write.writerow(row)
    return out.getvalue()


def from_csv(text: str) -> list[Case]:
    """Read cases from CSV.

    Raises:
        MMRecError: a column is missing, or a row is not a case; the message names it.
    """
    read = csv.DictReader(io.StringIO(text))
    try:
        named = read.fieldnames or ()
    except csv.Error as error:
        raise MMRecError(f"The CSV's header cannot be read ({error}). Nothing was imported.") from error
    if missing := {"kind", "tags", "note"} - set(named):
        raise MMRecError(f"The CSV lacks the column{'s' if len(missing) > 1 else ''} {', '.join(sorted(missing))}.")
    found = []
    try:
        rows = list(read)
    except csv.Error as error:
        raise MMRecError(
            f"Line {read.line_num} of the CSV cannot be read ({error}); expected an exported table of cases. "
            "Nothing was imported."
        ) from error
    for at, row in enumerate(rows, 2):
        fields: dict[str, Any] = {k: csv_out.plain(row.get(k) or "") for k in COLUMNS}
        try:
            fields |= {
                "tags": tuple(filter(None, fields["tags"].split(";"))),
                "blind": fields["blind"] == "True",
                "seed": int(fields["seed"]) if fields["seed"] else None,
                "made": float(fields["made"] or 0),
            }
            fields["id"] = fields["id"] or name_of(
                fields["kind"],
                fields["user"],
                fields["film"],
                fields["slice"] if fields["kind"] == "slice" else "",
                fields["run"],
            )
            found.append(Case.model_validate(fields))
        except (ValidationError, ValueError) as error:
            first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise MMRecError(f"Line {at} of the CSV is no case: {first}. Nothing was imported.") from error
    return found


def ours(link: str) -> bool:
    """Whether a link leads to a page of this app; other links, from imported files, are shown as text."""
    return bool(re.fullmatch(r"/[a-z_]+(\?[A-Za-z0-9_.~%+=&:,;@!$'*-]*)?", link))


def as_markdown(found: Sequence[Case], dataset: Dataset) -> str:
    """Cases as a Markdown list with permalinks, grouped by tag."""
    lines = [f"# Coded cases, {dataset.name}", "", f"{len(found)} cases."]
    if dataset.manifest["generated"]:
        lines.append("Generated data: a check of the method, not evidence about films.")
    for tag, count in counts(found).items():
        lines += ["", f"## {_escaped(tag)} ({count.total()})", ""]
        for one in (c for c in found if tag in c.tags):
            lines.append(f"- {_line(one)}")
    rest = [c for c in found if not c.tags]
    if rest:
        lines += ["", f"## without a tag ({len(rest)})", "", *(f"- {_line(c)}" for c in rest)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text in one line in which nothing is Markdown or HTML: it may be a visitor's."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _line(one: Case) -> str:
    about = ", ".join(
        f"{k} {_escaped(v)}"
        for k, v in (("user", one.user), ("film", one.film), ("slice", one.slice), ("model", one.model))
        if v
    )
    text = (
        f"[{one.kind}: {about}]({one.link})"
        if ours(one.link)
        else f"{one.kind}: {about}" + (f" ({_escaped(one.link)})" if one.link else "")
    )
    return text + (f" — {_escaped(one.note)}" if one.note else "")
