"""Delete datasets and runs after listing what depends on them, and remove generated files that are not used."""

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
"""Temporary files and uploads older than this, in days, are treated as abandoned."""
BUDGET_MB = 1000.0
"""Budget of map files for the browser. The least recently used are removed first; they are recreated when needed."""


@dataclass(frozen=True)
class Plan:
    """What a deletion would remove and affect."""

    what: str
    """``dataset`` or ``run``."""
    name: str
    folders: tuple[Path, ...]
    """Folders to remove."""
    deleted: tuple[str, ...]
    """What is deleted, one line each."""
    affected: tuple[str, ...]
    """What refers to it and stays, one line each."""

    @property
    def size(self) -> int:
        """Bytes that the deletion frees."""
        return sum(size_of(folder) for folder in self.folders)


def plan_dataset(name: str) -> Plan:
    """The plan to delete a dataset with its vectors, maps and runs (whose models work on no other dataset).

    Raises:
        MMRecError: unknown, or work on it is queued or running.
    """
    folder = settings.home() / "datasets" / name
    if folder.parent != settings.home() / "datasets" or name.startswith(".") or not folder.is_dir():
        raise unknown_name("dataset", name, sorted([*preparation.prepared(), *preparation.damaged()]))
    own = [r for r in runs.all_runs() if name in {r.params["dataset"], *(r.params.get("datasets") or ())}]
    if live := [r.id for r in own if r.status in runs.LIVE]:
        raise MMRecError(
            f"'{name}' is in use by {len(live)} queued or running run{'s' * (len(live) > 1)} ({live[0]}). "
            f"Stop {'them' if len(live) > 1 else 'it'} first."
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
            kept.append(f"{storage.shown(file)} is kept; it applies again once {name} is prepared again.")
    ids = {r.id for r in gone}
    kept += [
        f"run {r.id} started from weights of {r.params['from_run']}; its own weights are kept."
        for r in runs.all_runs()
        if r.id not in ids and r.params.get("from_run") in ids
    ]
    return Plan("dataset", name, (folder, *(r.folder for r in gone)), tuple(deleted), tuple(kept))


def plan_run(run_id: str) -> Plan:
    """The plan to delete a run with the evaluations of its model and its maps. Damaged runs can be deleted, too.

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
    deleted = [
        f"run {run_id}" + (" (damaged)" if run_id in broken else ""),
        *(f"evaluation {r.id}" for r in own if r.id != run_id),
        *(f"map {f.parent.parent.name}/{f.name}" for f in maps),
    ]
    affected = []
    for run in known:
        if run.params.get("from_run") == run_id or run.params.get("from_run") == str(folder / "model"):
            affected.append(f"run {run.id} started from its weights; its own weights are kept.")
        if run.record.get("winner") == run_id:
            affected.append(
                f"search {run.id} loses the training with its best settings; resume the search to repeat that training."
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
        [f"{n} annotated case{'s' * (n != 1)} of {dataset.name} refer{'s' * (n == 1)} to it; tags and notes are kept."]
        if n
        else []
    )


def delete(plan: Plan) -> None:
    """Delete what a plan lists. Each folder is renamed first; :func:`clean` removes leftovers.

    Raises:
        MMRecError: work on it began meanwhile, the visitor may not delete (:mod:`mmrec_core.ownership`), or the home
            cannot be written to.
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
    """Files and folders that :func:`clean` removes, by kind."""

    places: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, kind: str, *places: Path) -> None:
        """Add files or folders of a kind."""
        if places:
            self.places.setdefault(kind, []).extend(places)

    def summary(self) -> dict[str, dict[str, int]]:
        """Number of files or folders, and bytes, by kind."""
        return {
            kind: {"n": len(places), "bytes": sum(size_of(p) for p in places)} for kind, places in self.places.items()
        }


def waste(budget_mb: float = BUDGET_MB, thumbnails: bool = False) -> Waste:
    """Find generated files that are not used.

    These are temporary files of killed processes, uploads that are prepared, schemas of older code, and map files for
    the browser beyond a budget.

    Args:
        budget_mb: megabytes for map files of the browser; the least recently used are removed first.
        thumbnails: also find thumbnails that no catalog of this home uses.

    Raises:
        MMRecError: ``thumbnails`` is set and the catalog of a dataset cannot be read.
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
    current = {registry.schema_file(kind, name) for kind in ("models", "encoders") for name in registry.entries(kind)}
    found.add(
        "schemas of older code", *(f for f in sorted((home / "cache" / "schemas").glob("*.json")) if f not in current)
    )
    maps = sorted((settings.static_dir() / "maps").glob("*.*"), key=lambda f: -f.stat().st_mtime)
    total_bytes = 0
    for file in maps:
        total_bytes += file.stat().st_size
        if total_bytes > budget_mb * 1e6:
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
    """Files that the parameters of a run refer to."""
    named = [run.params.get("source"), run.params.get("from_run")]
    return [Path(str(name)) for name in named if name and Path(str(name)).is_absolute()]


def _thumbnails() -> set[str]:
    """Thumbnails that catalogs of the home use."""
    found: set[str] = set()
    for manifest in (settings.home() / "datasets").glob("[!.]*/manifest.json"):
        catalog = Dataset(manifest.parent).catalog
        if "poster" in catalog:
            found |= {str(p) for p in catalog["poster"].dropna()}
    return found


def clean(found: Waste) -> dict[str, dict[str, int]]:
    """Remove what :func:`waste` found; return what was removed, by kind."""
    ownership.require("clear files")
    removed = found.summary()
    for places in found.places.values():
        for place in places:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                with storage.plain_errors(place):
                    place.unlink(missing_ok=True)
    return removed
