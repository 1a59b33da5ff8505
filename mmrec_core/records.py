"""Validated reading of the files of the home: a file that does not fit its type is reported as damaged.

A type lists the keys that pages and the command line rely on; other keys are kept. Numbers must be finite. :func:`read`
returns JSON as it is in the file; :func:`array`, :func:`arrays` and :func:`table` read the other formats.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mmrec_core import storage
from mmrec_core.errors import DamagedFile

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

NUMPY = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions of numpy and zipfile for bytes that are no array."""

# Kinds of files; the type of each is in _types().
RUN = "run"
RESULT = "result"
OTHER_RESULT = "other result"
CROSSING = "crossing"
TUNED = "tuned"
NEWS = "news"
MANIFEST = "manifest"
CLUSTER = "cluster"
SLICES = "slices"
TRIALS = "trials"
ABLATION = "ablation"
FEATURES = "features"
MAP = "map"
MIRROR = "mirror"
SERVER = "server"
FILM = "film"
SCHEMA = "schema"
MODEL = "model"
LEFT = "left"


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    """A pydantic type adapter by kind of file; made at the first read, so that ``--help`` imports no pydantic."""
    from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter

    class Record(BaseModel):
        """Base type: strict about the keys it lists; other keys are allowed."""

        model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    Moment = Annotated[float, Field(ge=0, le=1e11)]  # seconds since 1970 that a calendar can show
    Figures = dict[str, float | None]
    Spans = dict[str, list[float | None] | None]

    class Params(Record):
        dataset: str = Field(min_length=1)
        model: str | None = None
        models: list[str] | None = None
        datasets: list[str] | None = None
        encoder: str | None = None
        view: str | None = None
        run: str | None = None
        oracle: str | None = None
        reader: str | None = None
        split: str | None = None
        split_seed: int = 0
        seed: int = 0
        protocol: str | None = None
        regime: str | None = None
        relevant_from: float | None = None
        filter_from: float | None = None
        fraction: float = 1.0
        from_run: str | None = None
        modality: str | None = None
        options: dict[str, Any] | None = None
        space: list[dict[str, Any]] | None = None
        trials: int | None = None

    class RunFile(Record):
        kind: str
        params: Params
        lane: str
        status: Literal["queued", "running", "finished", "failed", "stopped"]
        created: Moment
        queued: Moment | None = None
        started: Moment | None = None
        ended: Moment | None = None
        pid: int | None = Field(None, ge=0, le=2**31 - 1)
        pid_started: Moment | None = None
        host: str | None = None
        machine: str | None = None
        place: str | None = None
        stopped_from: str | None = None
        executor: str = "local"
        workers: int = 1
        foreground: bool = False
        resumed: int = 0
        error: str | None = None
        data: str | None = None
        split_checksum: str | None = None
        beyond: str | None = None
        winner: str | None = None
        job: str | None = None

    class Seconds(Record):
        fit: float
        evaluate: float

    class Result(Record):
        model: str
        metrics: Figures
        intervals: Spans
        seconds: Seconds
        split: str
        split_seed: int
        split_checksum: str
        protocol: str
        regime: str
        heads: list[str] | None = None
        seed: int | None = None
        relevant_from: float | None = None
        filter_from: float | None = None
        trained_from: float | None = None
        fraction: float = 1.0
        from_run: str | None = None
        encoder: str | None = None
        modality: str | None = None
        beyond: str | None = None
        settings: dict[str, Any] | None = None
        options: dict[str, Any] | None = None
        vectors: dict[str, dict[str, Any]] | None = None
        groups: dict[str, dict[str, Any]]
        optimistic: Figures | None = None
        parameters: int | None = None
        bytes: int | None = None
        epochs: int | None = None
        best_epoch: int | None = None
        samples_s: float | None = None
        memory: dict[str, float] | None = None
        calibration: dict[str, Any] | None = None

    class OtherResult(Record):
        retrieval: dict[str, Any] | None = None
        weights: str | None = None

    class Known(Record):
        metrics: Figures
        intervals: Spans
        against: dict[str, Any] | None = None

    class Crossing(Record):
        models: dict[str, dict[str, Known]]
        crosses: dict[str, int | None]
        above: dict[str, int | None] | None = None
        ks: list[int] = Field(min_length=1)
        users: int
        seed: int
        split_seed: int

    class Tuned(Record):
        winner: str
        metric: str
        metrics: Figures | None = None
        intervals: Spans | None = None
        seconds: dict[str, float]

    class Progress(Record):
        kind: Literal["progress"]
        time: Moment
        done: int
        total: int
        what: str

    class Tick(Record):
        kind: Literal["tick"]
        time: Moment
        at: float
        loss: float | None
        samples_s: float = 0.0
        host_mib: float = 0.0

    class Epoch(Record):
        kind: Literal["epoch"]
        time: Moment
        epoch: int
        loss: float | None
        samples_s: float = 0.0

    class Note(Record):
        kind: Literal["note"]
        time: Moment
        text: str

    class Coverage(Record):
        films: float
        ratings: float

    class Manifest(Record):
        dataset: str
        reader: str
        ratings: int = Field(ge=0)
        users: int = Field(ge=0)
        films: int = Field(ge=0)
        posters: int = Field(ge=0)
        plots: int = Field(ge=0)
        coverage: dict[str, Coverage]
        has: list[str]
        scale: tuple[float, float] | None = Field(None, strict=False)
        relevant_from: float | None = None
        mean_rating: float | None = None
        first_time: int | None = None
        last_time: int | None = None
        licence: str | None = None
        checksum: str = Field(min_length=1)
        generated: bool
        notes: list[str]
        config: dict[str, Any]
        synthetic: str = ""

    class Cluster(Record):
        address: str = Field(pattern=r"^.+:[0-9]+$")

    class Tried(Record):
        model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

        id: str
        options: dict[str, Any]
        status: str
        curve: list[float | None]
        score: float | None
        best_epoch: int | None
        seconds: float
        error: str | None

    class Trials(Record):
        metric: str | None
        trials: list[Tried]

    class Cell(Record):
        params: dict[str, Any]

    class Ablation(Record):
        dataset: str
        data: str
        model: str
        over: list[str]
        seeds: list[int]
        cells: list[Cell]
        created: Moment

    class Vectors(Record):
        n: int
        width: int
        missing: int
        ids: str
        checksum: str

    class Features(Record):
        encoder: str
        version: int
        options: dict[str, Any]
        offers: list[str]
        joint: bool
        imported: bool
        catalog: str
        modality: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")], Vectors]
        retrieval: dict[str, Any] | None = None
        state: str | None = None

    class Map(Record):
        recipe: int | str
        catalog: str
        vectors: str
        encoder: str
        view: str
        dim: int
        seed: int
        layout: str
        measures: dict[str, Any] = Field(validation_alias=AliasChoices("measures", "told"))  # "told" in earlier maps

    class Mirror(Record):
        store: str
        run_id: str
        events: int
        status: str
        trials: dict[str, Any] | None = None

    class Server(Record):
        store: str
        url: str
        pid: int | None = None
        pid_started: float | None = None
        host: str | None = None
        place: str | None = None

    class Person(Record):
        name: str
        job: str | None = None

    class Credits(Record):
        crew: list[Person] = []
        cast: list[Person] = []

    class Film(Record):
        overview: str | None = None
        poster_path: str | None = None
        credits: Credits | None = None

    class Schema(Record):
        config: dict[str, Any]
        preset: dict[str, Any]
        needs: list[str]
        family: str
        trains: bool
        vectors: bool
        early_stopping_protocol: list[str]
        summary: str

    class Model(Record):
        model: str
        version: int
        config: dict[str, Any]
        schema_: dict[str, Any] = Field(alias="schema")
        side: list[dict[str, Any]]
        seed: int
        catalog: str
        spaces: dict[str, Any] | None = None

    class Left(Record):
        result: dict[str, Any] | None = None
        error: str | None = None
        stopped: bool = False

    event = Annotated[Progress | Tick | Epoch | Note, Field(discriminator="kind")]
    kinds: dict[str, Any] = {
        RUN: RunFile,
        RESULT: Result,
        OTHER_RESULT: OtherResult,
        CROSSING: Crossing,
        TUNED: Tuned,
        NEWS: event,
        MANIFEST: Manifest,
        CLUSTER: Cluster,
        SLICES: dict[str, list[str]],
        TRIALS: Trials,
        ABLATION: Ablation,
        FEATURES: Features,
        MAP: Map,
        MIRROR: Mirror,
        SERVER: Server,
        FILM: Film,
        SCHEMA: Schema,
        MODEL: Model,
        LEFT: Left,
    }
    own = {SLICES: ConfigDict(strict=True)}  # the other types have a config of their own
    return {name: TypeAdapter(kind, config=own.get(name)) for name, kind in kinds.items()}


def fault_of(value: Any, kind: str) -> str | None:
    """What is wrong with a value that should be the content of a kind of file; ``None`` if it is valid."""
    from pydantic import ValidationError

    try:
        _types()[kind].validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            return f"'{place}' is missing"
        if first["type"] in {"model_type", "model_attributes_type", "dict_type"}:
            given = {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(
                type(first["input"]), "a number"
            )
            return f"{f'{place!r}' if place else 'it'} is {given}, expected an object with named values"
        message = (first["msg"][0].lower() + first["msg"][1:]).removeprefix("input ")
        return f"'{place}' is {repr(first['input'])[:60]}, and it {message}" if place else f"it {message}"
    return None


def read(path: Path, kind: str, remedy: str = storage.MAKE_AGAIN) -> dict[str, Any]:
    """Read and validate a JSON file of the home.

    Args:
        path: the file.
        kind: one of the constants of this module.
        remedy: what to do if it is damaged, one sentence.

    Raises:
        MMRecError: it is missing.
        DamagedFile: it is not JSON, or a key is missing or of another type.
    """
    try:
        value: dict[str, Any] = storage.read_json(path)
    except DamagedFile as error:
        raise DamagedFile(error.place, error.fault, remedy) from None
    if (fault := fault_of(value, kind)) is not None:
        raise DamagedFile(storage.shown(path), fault, remedy)
    return value


def array(
    path: Path, remedy: str, *, length: int | None = None, ndim: int | None = None, kinds: str = "", mapped: bool = True
) -> np.ndarray[Any, Any]:
    """Read and check a ``.npy`` file.

    Args:
        path: the file.
        remedy: what to do if it is damaged, one sentence.
        length: rows it must have.
        ndim: dimensions it must have.
        kinds: NumPy's dtype kinds that it may have, such as ``iu``; empty: any.
        mapped: whether it is memory-mapped instead of read into memory.

    Returns:
        The array.

    Raises:
        DamagedFile: it cannot be read, or has another shape or type.
    """
    import numpy as np

    try:
        found: np.ndarray[Any, Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError("it is an archive of arrays")
    except NUMPY as error:
        raise DamagedFile(storage.shown(path), _fault_of_error(path, error, "an array"), remedy) from None
    if ndim is not None and found.ndim != ndim or length is not None and (not found.ndim or len(found) != length):
        rows = "" if length is None else f"{length:,} rows"
        dimensions = "" if ndim is None else f" in {ndim} dimension" + "s" * (ndim != 1)
        expected = f"{rows}{dimensions}".strip()
        raise DamagedFile(storage.shown(path), f"its shape is {list(found.shape)}, expected {expected}", remedy)
    if kinds and found.dtype.kind not in kinds:
        raise DamagedFile(storage.shown(path), f"it holds {found.dtype}, not what is expected there", remedy)
    return found


def archive(path: Path, remedy: str) -> dict[str, np.ndarray[Any, Any]]:
    """Read a ``.npz`` file of any arrays into memory.

    Raises:
        DamagedFile: it cannot be read.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (*NUMPY, AttributeError) as error:  # a single array is no archive
        raise DamagedFile(storage.shown(path), _fault_of_error(path, error, "an archive of arrays"), remedy) from None


def arrays(path: Path, names: Sequence[str], remedy: str) -> dict[str, np.ndarray[Any, Any]]:
    """Read a ``.npz`` file whose arrays are numeric and have the same number of rows.

    Args:
        path: the file.
        names: arrays that it must have.
        remedy: what to do if it is damaged, one sentence.

    Raises:
        DamagedFile: it cannot be read, lacks one of the arrays, or their lengths differ.
    """
    found = archive(path, remedy)
    if lacking := [name for name in names if name not in found]:
        raise DamagedFile(storage.shown(path), f"it holds no '{lacking[0]}'", remedy)
    lengths = {len(value) if value.ndim else -1 for value in found.values()}
    if len(lengths) > 1 or -1 in lengths:
        raise DamagedFile(storage.shown(path), "its arrays are not of one length", remedy)
    if wrong := [name for name, value in found.items() if value.dtype.kind not in "iufb"]:
        raise DamagedFile(storage.shown(path), f"'{wrong[0]}' does not hold numbers", remedy)
    return found


def table(path: Path, columns: Sequence[str], remedy: str, length: int | None = None) -> pd.DataFrame:
    """Read and check a Parquet file.

    Args:
        path: the file.
        columns: columns that it must have.
        remedy: what to do if it is damaged, one sentence.
        length: rows it must have.

    Returns:
        The table.

    Raises:
        DamagedFile: it cannot be read, lacks one of the columns, or has another number of rows.
    """
    import pandas as pd

    try:
        found: pd.DataFrame = pd.read_parquet(path)
    except Exception as error:  # Arrow and pandas raise many types of exceptions for bytes that are no table
        raise DamagedFile(storage.shown(path), _fault_of_error(path, error, "a Parquet table"), remedy) from None
    _check_columns(path, list(map(str, found.columns)), len(found), columns, remedy, length)
    return found


def check_table(path: Path, columns: Sequence[str], remedy: str, length: int | None = None) -> None:
    """Check a Parquet file by its footer, without reading its rows.

    Args:
        path: the file.
        columns: columns that it must have.
        remedy: what to do if it is damaged, one sentence.
        length: rows it must have.

    Raises:
        DamagedFile: as :func:`table`.
    """
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        names, rows = list(footer.schema.to_arrow_schema().names), int(footer.num_rows)
    except Exception as error:  # as above
        raise DamagedFile(storage.shown(path), _fault_of_error(path, error, "a Parquet table"), remedy) from None
    _check_columns(path, names, rows, columns, remedy, length)


def _check_columns(
    path: Path, names: Sequence[str], rows: int, columns: Sequence[str], remedy: str, length: int | None
) -> None:
    """Raise if a table lacks a column or has another number of rows.

    Args:
        path: the file, for the message.
        names: columns that the table has.
        rows: rows that the table has.
        columns: columns that it must have.
        remedy: what to do if it is damaged, one sentence.
        length: rows it must have; ``None``: any number.
    """
    if lacking := [name for name in columns if name not in names]:
        raise DamagedFile(storage.shown(path), f"it has no column '{lacking[0]}'", remedy)
    if length is not None and rows != length:
        raise DamagedFile(storage.shown(path), f"it has {rows:,} rows, expected {length:,}", remedy)


def _fault_of_error(path: Path, error: BaseException, what: str) -> str:
    """Why a file cannot be read, in a few words."""
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return f"it cannot be read ({error.strerror})"
    return "it is empty" if path.is_file() and path.stat().st_size == 0 else f"it cannot be read as {what}"
