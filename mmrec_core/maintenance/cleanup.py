"""Delete datasets and runs, with what depends on them named first; clear away generated files that nothing refers to any more."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmrec_core import ownership, registry, runs, settings, storage
from mmrec_core.analysis import error_annotations
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError, unknown_name
from mmrec_core.types import Dataset

DAY_S = 86_400.0
LEFT_DAYS = 1.0
"""Drafts and uploads older than this, in days, belong to nobody any more."""
BUDGET_MB = 1000.0
"""How much files of maps for the browser may take before those used longest ago go; they are made again when they are looked at."""


@dataclass(frozen=True)
class Plan:
    """What a deletion takes along, named before anything is deleted."""

    what: str
    """``dataset`` or ``run``."""
    name: str
    folders: tuple[Path, ...]
    """Folders that are removed."""
    deleted: tuple[str, ...]
    """What goes, in words, a line each."""
    affected: tuple[str, ...]
    """What stays but refers to it, and what that means."""

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(size_of(folder) for folder in self.folders)


def plan_dataset(name: str) -> Plan:
    """What deleting a dataset takes along: its vectors and maps, and its runs, whose models answer about no other data.

    Raises:
        MMRecError: unknown, or work on it is queued or running.
    """
    folder = settings.home() / "datasets" / name
    if folder.parent != settings.home() / "datasets" or name.startswith(".") or not folder.is_dir():
        raise unknown_name("dataset", name, sorted([*preparation.prepared(), *preparation.damaged()]))
    own = [r for r in runs.all_runs() if name in {r.params["dataset"], *(r.params.get("datasets") or ())}]
    if live := [r.id for r in own if r.status in runs.LIVE]:
        raise MMRecError(
            f"'{name}' is in use by {len(live)} queued or running run{'s' * (len(live) > 1)} ({live[0]}). Stop {'them' if len(live) > 1 else 'it'} first."
        )
    gone = [r for r in own if r.params["dataset"] == name]
    deleted = [f"dataset {name}", *(f"run {r.id} ({r.kind}, {r.status})" for r in gone)]
    for part in ("features", "maps"):
        deleted += [
            f"{'vectors' if part == 'features' else 'map'} {f.name}" for f in sorted((folder / part).glob("[!.]*"))
        ]
    kept = []
    for kind in ("slices", "coding"):
        if (file := settings.home() / kind / f"{name}.json").exists():
            kept.append(f"{storage.shown(file)} is kept; it counts again once {name} is prepared again.")
    ids = {r.id for r in gone}
    kept += [f"run {r.id} began with weights of {r.params['from_run']}; it keeps its own." for r in runs.all_runs()
             if r.id not in ids and r.params.get("from_run") in ids]  # fmt: skip
    return Plan("dataset", name, (folder, *(r.folder for r in gone)), tuple(deleted), tuple(kept))


def plan_run(run_id: str) -> Plan:
    """What deleting a run takes along: evaluations of its model and maps of its films. A damaged run can be deleted, too.

    Raises:
        MMRecError: unknown, or it or an evaluation of it is queued or running.
    """
    folder = runs.runs_folder() / run_id
    known, broken = runs.all_runs(), runs.damaged_runs()
    if folder.parent != runs.runs_folder() or run_id not in {*(r.id for r in known), *broken}:
        raise unknown_name("run", run_id, [*(r.id for r in known), *broken][-8:])
    own = [r for r in known if r.id == run_id or (r.kind == "evaluate" and r.params.get("run") == run_id)]
    if live := [r.id for r in own if r.status in runs.LIVE]:
        raise MMRecError(f"Run '{live[0]}' is queued or running. Stop it first: python -m mmrec_core stop {live[0]}")
    maps = [
        f
        for f in sorted((settings.home() / "datasets").glob("[!.]*/maps/[!.]*"))
        if f.name.startswith(f"run__{run_id}.")
    ]
    deleted = [f"run {run_id}" + (" (damaged)" if run_id in broken else ""), *(f"evaluation {r.id}" for r in own if r.id != run_id),
               *(f"map {f.parent.parent.name}/{f.name}" for f in maps)]  # fmt: skip
    affected = []
    for run in known:
        if run.params.get("from_run") == run_id or run.params.get("from_run") == str(folder / "model"):
            affected.append(f"run {run.id} began with its weights; it keeps its own.")
        if run.record.get("winner") == run_id:
            affected.append(
                f"search {run.id} loses the training with its best settings; resume the search to train it again."
            )
    for name in preparation.prepared():
        affected += _noted(preparation.open_dataset(name), run_id)
    folders = (folder, *(r.folder for r in own if r.id != run_id), *maps)
    return Plan("run", run_id, folders, tuple(deleted), tuple(affected))


def _noted(dataset: Dataset, run_id: str) -> list[str]:
    try:
        n = sum(case.run == run_id for case in error_annotations.cases(dataset))
    except MMRecError:
        return []
    return (
        [f"{n} coded case{'s' * (n != 1)} of {dataset.name} name{'s' * (n == 1)} it; tags and notes are kept."]
        if n
        else []
    )


def delete(plan: Plan) -> None:
    """Delete what a plan names. Each folder vanishes at once; what a kill leaves of it is cleared by :func:`clean`.

    Raises:
        MMRecError: work on it began meanwhile, nobody who may (:mod:`mmrec_core.ownership`), or the home cannot be written to.
    """
    ownership.require("delete datasets and runs")
    with storage.locked("start"):
        now = plan_dataset(plan.name) if plan.what == "dataset" else plan_run(plan.name)
        if plan.what == "dataset":
            with storage.locked(f"dataset-{plan.name}"):
                _remove(now.folders)
        else:
            _remove(now.folders)


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        gone = folder.with_name(f".deleted-{uuid.uuid4().hex[:8]}")
        with storage.plain_errors(folder):
            if folder.exists():
                folder.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)


def size_of(place: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if place.is_file():
        return place.stat().st_size
    return sum(f.stat().st_size for f in place.rglob("*") if f.is_file() and not f.is_symlink())


# Generated files


@dataclass
class Waste:
    """What :func:`clean` would remove, by kind."""

    places: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, kind: str, *places: Path) -> None:
        """One more."""
        if places:
            self.places.setdefault(kind, []).extend(places)

    def summary(self) -> dict[str, dict[str, int]]:
        """Files or folders and bytes by kind."""
        return {
            kind: {"n": len(places), "bytes": sum(size_of(p) for p in places)} for kind, places in self.places.items()
        }


def waste(budget_mb: float = BUDGET_MB, thumbnails: bool = False) -> Waste:
    """Generated files that nothing refers to any more: drafts of killed processes, uploads that are prepared, schemas of older code, maps of the
    browser beyond a budget.

    Args:
        budget_mb: megabytes that maps for the browser may take; those used longest ago go first.
        thumbnails: also those that no catalog of this home names.

    Raises:
        MMRecError: a dataset whose catalog cannot be read, where thumbnails are asked for.
    """
    found, home = Waste(), settings.home()
    for parent in (
        home / "datasets",
        *(home / "datasets").glob("[!.]*/features"),
        *(home / "datasets").glob("[!.]*/maps"),
        home / "runs",
        *(home / "runs").glob("[!.]*"),
    ):
        if not parent.is_dir():
            continue
        found.add(
            "left by killed processes",
            *(left for left, owner, old in storage.leftovers(parent) if _old(left) and (owner.exists() or not old)),
        )
        found.add("left by deletions", *(p for p in parent.glob(".deleted-*") if _old(p, 0.0)))
    needed = {path for run in runs.all_runs() if run.status != "finished" for path in _named(run)}
    for upload in (home / "uploads").glob("*") if (home / "uploads").is_dir() else ():
        if _old(upload) and not any(path == upload or path.is_relative_to(upload) for path in needed):
            found.add("uploads", upload)
    current = {registry.schema_file(room, name) for room in ("models", "encoders") for name in registry.entries(room)}
    found.add(
        "schemas of older code", *(f for f in sorted((home / "cache" / "schemas").glob("*.json")) if f not in current)
    )
    maps = sorted((settings.static_dir() / "maps").glob("*.*"), key=lambda f: -f.stat().st_mtime)
    held = 0
    for file in maps:
        held += file.stat().st_size
        if held > budget_mb * 1e6:
            found.add("maps for the browser", file)
    if thumbnails:
        named = _thumbnails()
        found.add(
            "thumbnails",
            *(
                f
                for f in sorted((settings.static_dir() / "thumbs").glob("*/*.jpg"))
                if f.relative_to(settings.static_dir()).as_posix() not in named and _old(f)
            ),
        )
    return found


def _old(place: Path, days: float = LEFT_DAYS) -> bool:
    try:
        return (
            time.time() - max(place.stat().st_mtime, place.stat().st_ctime if place.is_dir() else 0.0) >= days * DAY_S
        )
    except OSError:
        return False


def _named(run: runs.Run) -> list[Path]:
    """Files that a run was asked to read."""
    named = [run.params.get("source"), run.params.get("from_run")]
    return [Path(str(name)) for name in named if name and Path(str(name)).is_absolute()]


def _thumbnails() -> set[str]:
    """Thumbnails that catalogs of the home name."""
    found: set[str] = set()
    for manifest in (settings.home() / "datasets").glob("[!.]*/manifest.json"):
        catalog = Dataset(manifest.parent).catalog
        if "poster" in catalog:
            found |= {str(p) for p in catalog["poster"].dropna()}
    return found


def clean(found: Waste) -> dict[str, dict[str, int]]:
    """Remove what :func:`waste` found; how much went, by kind."""
    ownership.require("clear files")
    told = found.summary()
    for places in found.places.values():
        for place in places:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                with storage.plain_errors(place):
                    place.unlink(missing_ok=True)
    return told
