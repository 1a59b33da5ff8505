"""Find damaged files of the home, with their faults and remedies; files of user input can be set aside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from mmrec_core import features, ownership, records, runs, settings, spaces, storage
from mmrec_core.analysis import ablation, comparison, error_annotations
from mmrec_core.data import preparation
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.runs import ray_cluster
from mmrec_core.tuning import sweep
from mmrec_core.types import Dataset

OWN = ("slices", "coding", "cluster")
"""Kinds of files that can be set aside; an empty file takes their place."""


@dataclass(frozen=True)
class Damage:
    """One damaged file."""

    about: Literal[
        "run", "result", "dataset", "vectors", "map", "slices", "coding", "cluster", "trials", "ablation", "home"
    ]
    name: str
    """The run, dataset or file that it belongs to."""
    place: str
    fault: str
    remedy: str

    @property
    def line(self) -> str:
        """The damage as one line."""
        return f"{self.place} is damaged: {self.fault}. It was left as it is. {self.remedy}"


def survey() -> list[Damage]:
    """Every damaged file of the home. Files that did not change since the last call are not read again."""
    found = [_one("run", name, fault) for name, fault in runs.damaged_runs().items()]
    found += [_one("dataset", name, fault) for name, fault in preparation.damaged().items()]
    for run in runs.all_runs():
        found += [_one("result", run.id, fault) for fault in of_run(run)]
        if run.kind == "tune" and (fault := _fault(partial(sweep.trials_of, run))) is not None:
            found.append(_one("trials", run.id, fault))
    for name in preparation.prepared():
        try:
            dataset = preparation.open_dataset(name)
        except MMRecError:  # it is being prepared anew
            continue
        found += [_one("vectors", name, fault) for fault in features.damaged(dataset)]
        found += [_one("map", name, fault) for fault in spaces.damaged(dataset)]
    for file in sorted((settings.home() / "slices").glob("[!.]*.json")):
        if (fault := _fault(partial(records.read, file, records.SLICES, error_annotations.REMEDY))) is not None:
            found.append(_one("slices", file.stem, fault))
    for file in sorted((settings.home() / "coding").glob("[!.]*.json")):
        if (fault := _fault(partial(error_annotations.read, file))) is not None:
            found.append(_one("coding", file.stem, fault))
    if (fault := _fault(ray_cluster.address)) is not None:
        found.append(_one("cluster", "cluster", fault))
    found += [_one("ablation", Path(fault.place).stem, fault) for fault in ablation.damaged()]
    marker = settings.home() / "format.json"
    if marker.exists() and storage.home_format(marker) is None:
        remedy = f'Write {{"format": {settings.FORMAT}}} into it, or remove it: it is then written again.'
        found.append(
            Damage(
                "home",
                "format.json",
                storage.shown(marker),
                "it does not name the version of the home's layout",
                remedy,
            )
        )
    return found


def of_run(run: runs.Run) -> list[DamagedFile]:
    """Faults of a run's result files."""
    own = [fault] if (fault := run.damage) is not None else []
    return own + (_arrays(run) if run.kind in {"train", "evaluate"} else [])


def of_results(dataset: Dataset) -> list[DamagedFile]:
    """Faults of finished results on the current data; pages leave out what depends on them."""
    own = [
        r
        for r in runs.all_runs()
        if r.record["status"] == "finished"
        and r.record.get("data") == dataset.checksum
        and r.params["dataset"] == dataset.name
    ]
    return [fault for run in own for fault in of_run(run)]


def _one(about: str, name: str, fault: DamagedFile) -> Damage:
    return Damage(about, name, fault.place, fault.fault, fault.remedy)  # type: ignore[arg-type]


def _fault(read: Callable[[], object]) -> DamagedFile | None:
    try:
        read()
    except DamagedFile as error:
        return error
    except MMRecError:  # missing by now
        return None
    return None


_arrays_of: dict[Path, tuple[tuple[int, int], DamagedFile | None]] = {}


def _arrays(run: runs.Run) -> list[DamagedFile]:
    """Faults of the array files beside a result."""
    found = []
    for name in comparison.ARRAYS:
        file = run.folder / name
        try:
            status = file.stat()
        except OSError:
            continue
        stamp = (status.st_mtime_ns, status.st_size)
        if _arrays_of.get(file, (None,))[0] != stamp:
            _arrays_of[file] = (stamp, _fault(partial(comparison.read_arrays, run, name)))
        if (fault := _arrays_of[file][1]) is not None:
            found.append(fault)
    return found


def set_aside(about: str, name: str) -> Path:
    """Rename a damaged file of slices, annotated cases or the cluster's address, to start with an empty one.

    Raises:
        MMRecError: there is no damaged file of that kind, or it cannot be renamed.
    """
    ownership.require("set files aside")
    if about not in OWN or not any(d.about == about and d.name == name for d in survey()):
        raise MMRecError(f"There is no damaged file of {about} '{name}' to set aside.")
    file = settings.home() / ("cluster.json" if about == "cluster" else f"{about}/{name}.json")
    return storage.set_aside(file)
