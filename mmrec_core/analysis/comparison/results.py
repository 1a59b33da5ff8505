"""Finished results, and the key (split, threshold, protocol, regime, …) that must agree for a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import records, registry, runs
from mmrec_core.data.splits import default_split
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.evaluation.protocols import full_name, protocol_label
from mmrec_core.runs import Run
from mmrec_core.types import Array, Dataset

BASELINES = ("popularity", "ease")
"""Models that every comparison should contain: popularity, and a strong linear model."""
NOT_RECORDED = "not recorded (an earlier version)"
"""Value of :attr:`Key.known` for results of a version that did not record which rows a model knows."""


def known_in_words(known: str) -> str:
    """Which rows models know, as part of a sentence."""
    return "training data not recorded" if known == NOT_RECORDED else f"fitted on {known} rows"


@dataclass(frozen=True, order=True)
class Key:
    """What must agree before two results may be compared."""

    split: str
    split_seed: int
    split_checksum: str
    filter_from: float | None
    relevant_from: float | None
    protocol: str
    regime: str
    beyond: str = ""
    """Why the models may have learned from test rows; empty if they have not."""
    known: str = "training"
    """Rows that the models know at test time: ``training``, ``training + validation``, or :data:`NOT_RECORDED`."""

    def __str__(self) -> str:
        """The key in words, in one line."""
        relevant = (
            f"relevant: {self.relevant_from:g} or more" if self.relevant_from is not None else "everything relevant"
        )
        dropped = f", ratings below {self.filter_from:g} dropped" if self.filter_from is not None else ""
        among = protocol_label(self.protocol)
        other = f" · {self.beyond}" if self.beyond else ""
        known = "" if self.regime == "stream" else f" · {known_in_words(self.known)}"
        return f"{self.split} (seed {self.split_seed}){dropped} · {relevant} · {among} · {self.regime}{known}{other}"

    @property
    def fair(self) -> Key:
        """The same key for weights trained on this split alone, as for all baselines."""
        return replace(self, beyond="")

    @property
    def of_oracles(self) -> Key:
        """The same key for oracles, which do not depend on the rows that models know."""
        return replace(self, beyond="", known="training")

    @property
    def rows_key(self) -> tuple[Any, ...]:
        """The part of the key that determines the split and the sampled candidates."""
        return self.split, self.split_seed, self.split_checksum, self.filter_from

    def differs(self, other: Key) -> list[str]:
        """In what the other key differs, in words."""
        found = []
        if self.rows_key != other.rows_key:
            found.append(f"split {other.split} (seed {other.split_seed}{', filtered' if other.filter_from else ''})")
        if other.beyond != self.beyond:
            found.append(other.beyond or "weights from this split alone")
        for name, word in (("relevant_from", "threshold"), ("protocol", "protocol"), ("regime", "regime")):
            if getattr(self, name) != getattr(other, name):
                found.append(f"{word} {getattr(other, name)}")
        found += [known_in_words(other.known)] if self.known != other.known else []
        return found


@dataclass(frozen=True)
class Row:
    """One result: an evaluation of a trained model, or of an oracle."""

    key: Key
    run: Run
    """The run that evaluated it."""
    result: Mapping[str, Any] = field(repr=False)
    name: str = ""
    """Short name among the results of its dataset; if empty, :attr:`description` is used."""

    @property
    def model(self) -> str:
        """The model's name, or ``oracle: …``."""
        return str(self.result["model"])

    @property
    def trained(self) -> str | None:
        """The run whose model this is; ``None`` for an oracle."""
        run = self.result.get("run")
        return None if self.kind == "oracle" or run is None else str(run)

    @property
    def kind(self) -> str:
        """``rating``, ``ranking``, ``click`` or ``oracle``."""
        return "oracle" if self.model.startswith("oracle") else str((self.result.get("heads") or ["ranking"])[0])

    @property
    def content(self) -> str:
        """The encoder whose plot and poster vectors the model reads; empty if it reads none."""
        encoder, modality = self.result.get("encoder"), self.result.get("modality")
        if modality in (None, "none"):
            return "ids only" if modality else ""
        return f"{encoder}{'' if modality == 'both' else ' ' + str(modality)}"

    @property
    def parts(self) -> tuple[str, ...]:
        """What differs from a default training: settings, seed, share of rows, and so on."""
        result = {"changed": changed_settings(self.result), **self.result}
        unusual = [
            f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}"
            for k, v in sorted((result.get("changed") or {}).items())
            if k not in {"device", "checkpoint_s", "snapshots"}
        ]
        unusual += [f"seed {result['seed']}"] if result.get("seed") else []
        unusual += [f"{100 * result['fraction']:g}% of rows"] if result.get("fraction", 1.0) != 1.0 else []
        unusual += [content] if (content := self.content) else []
        unusual += [f"from {Path(result['from_run']).name[:40]}"] if result.get("from_run") else []
        trained = result.get("trained_from", result.get("relevant_from"))
        unusual += [f"trained on {trained:g} or more"] if trained not in {None, self.key.relevant_from} else []
        return tuple(unusual)

    @property
    def usual(self) -> bool:
        """Whether the model was trained with its default settings."""
        return not self.parts

    @property
    def description(self) -> str:
        """The model with all of :attr:`parts`."""
        return self.model + (f" ({', '.join(self.parts)})" if self.parts else "")

    @property
    def label(self) -> str:
        """The name of the result among others of its dataset; see :func:`named`."""
        return self.name or self.description


def named(found: Sequence[Row]) -> list[Row]:
    """The same results with short names, unique within a key.

    The name is the one that a user gave, else that of :func:`short_names`.
    """
    out: list[Row] = []
    taken: set[tuple[Key, str]] = set()
    for row, short in zip(found, short_names(found), strict=True):
        own = given_name(row) or short
        own = own if (row.key, own) not in taken else row.description
        taken.add((row.key, own))
        out.append(replace(row, name=own))
    return out


def changed_settings(result: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a training run that differ from the defaults.

    Results hold every setting with its value (``settings``), and those that differed from the defaults at that time
    (``options``). Results of earlier versions hold only the latter, as ``settings``.

    Args:
        result: content of ``result.json``.
        defaults: today's defaults, :func:`mmrec_core.registry.defaults`; ``None``: those at the time of the training
            run.
    """
    settings, options = result.get("settings") or {}, result.get("options")
    if options is None or defaults is None:
        return dict(settings if options is None else options)
    changed = {k: v for k, v in settings.items() if k in defaults and v != defaults[k]}
    return changed | {k: v for k, v in options.items() if k not in defaults}


def short_names(found: Sequence[Row]) -> list[str]:
    """The model of each result, with those of its :attr:`Row.parts` in which it differs from another of its model."""
    by_model: dict[str, list[Row]] = {}
    for row in found:
        by_model.setdefault(row.model, []).append(row)
    shared = {
        model: set.intersection(*(set(r.parts) for r in own)) if len({r.parts for r in own}) > 1 else set()
        for model, own in by_model.items()
    }
    names = []
    for row in found:
        differing = [part for part in row.parts if part not in shared[row.model]]
        names.append(row.model + (f" ({', '.join(differing)})" if differing else ""))
    return names


def given_name(row: Row) -> str:
    """The name that a user gave to a result's run, or to its training; empty for none."""
    return str(row.run.record.get("name") or _name_of(row.trained) or "")


def rename(found: Sequence[Row], row: Row, name: str) -> Run:
    """Rename a result's run (:func:`mmrec_core.runs.rename`).

    Args:
        found: every result of the dataset.

    Raises:
        MMRecError: the name is not valid, or another of these results has it.
    """
    name = " ".join(name.split())
    if any(name in {other.label, other.description} and other.trained != row.trained for other in found):
        raise MMRecError(f"Another result is called '{name}' already; choose another name.")
    return runs.rename(str(row.trained), name)


def _name_of(run_id: str | None) -> str | None:
    """The name that a user gave to a training run."""
    try:
        return runs.get(run_id).record.get("name") if run_id else None
    except MMRecError:
        return None


def find(found: Sequence[Row], query: str) -> Row | None:
    """The result that a link or a command names: by label, by description, or by run."""
    for attribute in ("label", "description", "trained"):
        for row in found:
            if getattr(row, attribute) == query:
                return row
    return next((row for row in found if row.run.id == query), None)


def rows(dataset: Dataset) -> list[Row]:
    """Every finished result on the current data; the newest of those with the same description and key."""
    found: dict[tuple[Key, str], Row] = {}
    defaults: dict[str, dict[str, Any] | None] = {}
    for run in runs.all_runs():
        if run.kind not in {"train", "evaluate"} or run.record["status"] != "finished":
            continue
        if run.record.get("data") != dataset.checksum or run.params["dataset"] != dataset.name:
            continue
        result = run.result()
        if result is None or "split_checksum" not in result:
            continue
        threshold = result.get("relevant_from")
        threshold = dataset.manifest.get("relevant_from") if threshold is None else threshold
        key = row_of(run, {**result, "relevant_from": threshold}).key
        usual = (
            result.get("filter_from")
            if result.get("filter_from") is not None
            else dataset.manifest.get("relevant_from")
        )
        trained = result.get("trained_from")
        model = str(result["model"])
        if model not in defaults:
            defaults[model] = _defaults(model)
        row = Row(
            key,
            run,
            {
                **result,
                "trained_from": usual if trained is None else trained,
                "changed": changed_settings(result, defaults[model]),
            },
        )
        found[key, row.description] = row
    return named(list(found.values()))


def _defaults(model: str) -> dict[str, Any] | None:
    """Today's defaults of a model; ``None`` for an oracle, or a model that is not there any more."""
    try:
        return None if model.startswith("oracle") else registry.defaults("models", model)
    except MMRecError:
        return None


def row_of(run: Run, result: Mapping[str, Any]) -> Row:
    """A finished run as a row."""
    key = Key(
        split=result["split"],
        split_seed=result["split_seed"],
        split_checksum=result["split_checksum"],
        filter_from=result.get("filter_from"),
        relevant_from=result.get("relevant_from"),
        protocol=result["protocol"],
        regime=result["regime"],
        beyond=result.get("beyond") or "",
        known=result.get("known") or NOT_RECORDED,
    )
    return Row(key, run, result)


def keys(found: Iterable[Row]) -> list[Key]:
    """The keys of these results, those with most models first."""
    count: dict[Key, int] = {}
    for row in found:
        count[row.key] = count.get(row.key, 0) + (row.kind != "oracle")
    return sorted(count, key=lambda k: (-count[k], k.split != "user-temporal", str(k)))


def outdated(dataset: Dataset) -> list[Run]:
    """Finished training runs on an earlier version of this dataset: their metrics belong to other data."""
    return [
        r
        for r in runs.all_runs()
        if r.kind == "train"
        and r.record["status"] == "finished"
        and r.params["dataset"] == dataset.name
        and r.record.get("data") not in {None, dataset.checksum}
    ]


def usual_key(dataset: Dataset, found: Sequence[Row]) -> Key | None:
    """The key of training runs with the default evaluation setup, if there are any."""
    full = full_name("full", dataset)
    split = default_split(dataset)
    able = [k for k in keys(found) if k.split == split and k.protocol == full and not k.beyond]
    return next((k for k in able if k.known == "training"), next(iter(able), None))


def can_be_evaluated_like(row: Row, key: Key) -> bool:
    """Whether evaluating the trained model again can give a result with this key; another split needs a training
    run."""
    return (
        row.trained is not None
        and row.key.rows_key == key.rows_key
        and row.key.beyond == key.beyond
        and row.key.known == key.known
        and _is_there(row.trained)
    )


def _is_there(run_id: str) -> bool:
    """Whether a finished run can still be opened."""
    try:
        return runs.get(run_id).status == "finished"
    except MMRecError:
        return False


def missing_baselines(dataset: Dataset, found: Sequence[Row], key: Key) -> list[str]:
    """Baselines without a result under a key, of those that work on this dataset."""
    if key.known == NOT_RECORDED:
        return []
    there = {row.model for row in found if row.key == key.fair and row.usual}
    return [name for name in BASELINES if name not in there and name in runs.usable_models(dataset)]


def baseline_params(dataset: Dataset, key: Key, model: str) -> dict[str, Any]:
    """Parameters of the training that gives a model a result under a key."""
    return runs.training_params(
        dataset.name,
        model,
        split=key.split,
        split_seed=key.split_seed,
        filter_from=key.filter_from,
        relevant_from=_requested_threshold(dataset, key),
        protocol=key.protocol,
        regime=key.regime,
        refit=key.known == "training + validation",
    )


def missing_oracles(dataset: Dataset, found: Sequence[Row], key: Key) -> list[str]:
    """Oracles without a result under a key; real datasets have no oracles."""
    there = {row.model for row in found if row.key == key.of_oracles}
    return [name for name in runs.oracle_names(dataset) if name not in there and key.regime == "frozen"]


def oracle_params(dataset: Dataset, key: Key, name: str) -> dict[str, Any]:
    """Parameters of the evaluation that gives an oracle a result under a key."""
    return runs.oracle_params(
        dataset.name,
        name,
        split=key.split,
        split_seed=key.split_seed,
        filter_from=key.filter_from,
        relevant_from=_requested_threshold(dataset, key),
        protocol=key.protocol,
        regime=key.regime,
    )


def _requested_threshold(dataset: Dataset, key: Key) -> float | None:
    """The relevance threshold to request: ``None`` if it is the default one, or that of dropped ratings."""
    usual = key.filter_from if key.filter_from is not None else dataset.manifest.get("relevant_from")
    return None if key.relevant_from == usual else key.relevant_from


def values(row: Row) -> dict[str, dict[int, float]]:
    """Per-user values of a result: metric → user row → value; ``squared_error`` is each user's mean.

    A damaged file gives no values; see :mod:`mmrec_core.maintenance.damage`.
    """
    found: dict[str, dict[int, float]] = {}
    file = "cold_items.npz" if row.result.get("among") == AMONG_COLD else "per_query.npz"
    if (stored := arrays(row.run, file)) is not None:
        found = {m: dict(zip(stored["user"].tolist(), stored[m].tolist(), strict=True)) for m in stored if m != "user"}
    if (stored := arrays(row.run, "row_errors.npz")) is not None:
        found["squared_error"] = _mean_by_user(stored["user"], stored["squared_error"])
    return found


def absolute_errors(row: Row) -> dict[int, float]:
    """Mean absolute error of each user's test ratings: user row → value; empty for a model that predicts none."""
    stored = arrays(row.run, "row_errors.npz")
    return {} if stored is None else _mean_by_user(stored["user"], np.sqrt(stored["squared_error"]))


AMONG_COLD = "cold items"
"""``among`` of results that :func:`mmrec_core.analysis.cold_items.among_cold_items` gives."""
ARRAYS = {
    "per_query.npz": ("user",),
    "cold_items.npz": ("user",),
    "row_errors.npz": ("user", "squared_error"),
    "first.npz": ("user", "items"),
}
"""Array files beside a result, and the arrays that each file must contain."""


def read_arrays(run: Run, name: str) -> dict[str, Array] | None:
    """Read one of :data:`ARRAYS`; ``None`` if the run has no such file.

    Raises:
        DamagedFile: it cannot be read, or lacks an array.
    """
    file = run.folder / name
    if not file.exists():
        return None
    command = f"python -m mmrec_core evaluate {run.params.get('run') or run.id}"
    remedy = f"What rests on it is left out. Evaluate the model again: {command}"
    stat = file.stat()
    if stat.st_size > LARGE_BYTES:
        return records.arrays(file, ARRAYS[name], remedy)
    return dict(_read_arrays(file, ARRAYS[name], remedy, stat.st_mtime_ns, stat.st_size))


LARGE_BYTES = 500_000
"""Larger files are read again each time; of smaller ones the last 64 are kept in memory."""


@lru_cache(maxsize=64)
def _read_arrays(file: Path, needed: tuple[str, ...], remedy: str, modified_ns: int, size: int) -> dict[str, Array]:
    found = records.arrays(file, needed, remedy)
    for array in found.values():
        array.flags.writeable = False  # they are shared
    return found


def arrays(run: Run, name: str) -> dict[str, Array] | None:
    """As :func:`read_arrays`, but ``None`` if the file is damaged."""
    try:
        return read_arrays(run, name)
    except DamagedFile:
        return None


def _mean_by_user(user: Array, value: Array) -> dict[int, float]:
    users, at = np.unique(user, return_inverse=True)
    return dict(zip(users.tolist(), (np.bincount(at, value) / np.bincount(at)).tolist(), strict=True))
