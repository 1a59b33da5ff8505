"""What each room holds, found by file name and read without importing it.

A kind (``datasets``, ``enrich``, ``encoders``, ``models``) has a folder; each ``*.py`` in it that does not start with an
underscore holds one public class and is named after it. A file with a literal ``PRESETS`` dict stands under its keys
instead (``ml-1m`` of ``movielens``). Listing a room parses its files and imports none, so ``--help`` and the first page
need no torch; a file that does not parse is listed with its fault, and hurts nobody else.

``MMREC_PLUGINS`` (a path list) adds folders of the same shape: ``PLUGINS/models/my_model.py`` is a model.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmrec_core.errors import MMRecError, unknown_name

ROOMS = ("datasets", "enrich", "encoders", "models")
_PACKAGE = Path(__file__).parent
_INSIDE = {"datasets": "data/datasets", "enrich": "data/enrich"}
"""Folders within the package that do not carry a kind's name."""
_importing = threading.RLock()
_plugins: dict[str, tuple[str, int, int]] = {}
"""The file that each imported plugin came from, as it was then."""


@dataclass(frozen=True)
class Entry:
    """One thing a room offers."""

    room: str
    name: str
    file: Path
    class_name: str
    summary: str
    """First line of the class's docstring."""
    fault: str | None = None
    """Why it cannot be used, or ``None``."""


@lru_cache(maxsize=512)
def _read(file: Path, modified_ns: int, size: int) -> tuple[str, str, tuple[str, ...], str | None]:
    """Class name, summary, preset names and fault of a file, from its text alone."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        return "", "", (), f"{file.name} does not parse: {error}"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    classes = [node for node in classes if not node.name.endswith("Config")]
    if len(classes) != 1:
        return "", "", (), f"{file.name} must hold exactly one public class (found {len(classes)})."
    presets: tuple[str, ...] = ()
    for node in tree.body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id == "PRESETS" and isinstance(value, ast.Dict):
            keys = value.keys
            presets = tuple(k.value for k in keys if isinstance(k, ast.Constant) and isinstance(k.value, str))
    summary = (ast.get_docstring(classes[0]) or "").strip().split("\n")[0]
    return classes[0].name, summary, presets, None


def _own_folder(room: str) -> Path:
    """Where the package keeps its own of a kind."""
    return _PACKAGE / _INSIDE.get(room, room)


def _folders(room: str) -> list[Path]:
    plugins = [Path(p) / room for p in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep) if p]
    return [folder for folder in (_own_folder(room), *plugins) if folder.is_dir()]


State = tuple[tuple[str, int, int], ...]
"""Files with the time of their last change (ns) and their size (bytes): what the memories of this module are keyed by."""


def _state(room: str) -> State:
    """Every ``*.py`` of a room's folders as it is now, folder by folder: one look at each folder and no file read."""
    found: list[tuple[str, int, int]] = []
    for folder in _folders(room):
        with os.scandir(folder) as there:
            files = sorted((entry for entry in there if entry.name.endswith(".py")), key=lambda entry: entry.name)
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                kept = file.stat()
                found.append((file.path, kept.st_mtime_ns, kept.st_size))
    return tuple(found)


@lru_cache(maxsize=64)
def _entries(room: str, state: State) -> dict[str, Entry]:
    found = {}
    for path, modified_ns, size in state:
        file = Path(path)
        if file.stem.startswith("_"):
            continue
        class_name, summary, presets, fault = _read(file, modified_ns, size)
        for name in presets or (file.stem,):
            found[name] = Entry(room, name, file, class_name, summary, fault)
    return dict(sorted(found.items()))


def entries(room: str) -> dict[str, Entry]:
    """Everything in a room by name, in alphabetical order, faulty files included."""
    return dict(_entries(room, _state(room)))


def builtin(room: str) -> set[str]:
    """The names that come with the package, plugins left out."""
    return {name for name, found in entries(room).items() if found.file.parent == _own_folder(room)}


def names(room: str) -> list[str]:
    """The usable names of a room."""
    return [name for name, entry in entries(room).items() if entry.fault is None]


def entry(room: str, name: str) -> Entry:
    """One entry.

    Raises:
        MMRecError: unknown name (the known ones are listed), or its file is broken.
    """
    return _usable(room, name, entries(room))


def _usable(room: str, name: str, known: Mapping[str, Entry]) -> Entry:
    """The entry of a name, where it can be used."""
    if name not in known:
        raise unknown_name(room.rstrip("s"), name, [n for n, found in known.items() if found.fault is None])
    if (fault := known[name].fault) is not None:
        raise MMRecError(f"{room.rstrip('s').capitalize()} '{name}' cannot be used: {fault}")
    return known[name]


def _module(found: Entry) -> Any:
    if found.file.parent == _own_folder(found.room):
        inside = _INSIDE.get(found.room, found.room).replace("/", ".")
        return importlib.import_module(f"mmrec_core.{inside}.{found.file.stem}")
    name, kept = f"mmrec_plugins.{found.room}.{found.file.stem}", found.file.stat()
    state = (str(found.file), kept.st_mtime_ns, kept.st_size)
    with _importing:  # a module stands in sys.modules while it runs, and another thread must not take it for whole
        if name not in sys.modules or _plugins.get(name) != state:  # new, changed, or another folder's of the same name
            spec = importlib.util.spec_from_file_location(name, found.file)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            _plugins[name] = state
        return sys.modules[name]


def load(room: str, name: str) -> Any:
    """The class behind a name, imported now.

    Raises:
        MMRecError: unknown, or its file fails to import; the reason is given, the other entries go on working.
    """
    found = entry(room, name)
    try:
        return getattr(_module(found), found.class_name)
    except MMRecError:
        raise
    except Exception as error:
        raise MMRecError(f"{found.file.name} failed to import ({type(error).__name__}: {error}).") from error


def unmet(needs: Iterable[str], has: Iterable[str]) -> list[str]:
    """Those of a model's needs that nothing of ``has`` meets; a need written ``a|b`` is met by either."""
    there = set(has)
    return sorted(need for need in needs if not set(need.split("|")) & there)


def in_words(needs: Iterable[str]) -> str:
    """Needs for people: ``ids, rating or labels``."""
    return ", ".join(" or ".join(need.split("|")) for need in needs)


def schemas(room: str) -> dict[str, dict[str, Any]]:
    """The schemas of everything in a room that can be used, by name; what fails to import is left out (see :func:`faults`)."""
    found, state = {}, _state(room)
    for name in _entries(room, state):
        with contextlib.suppress(MMRecError):
            found[name] = _schema(room, name, state)
    return found


def faults(room: str) -> dict[str, str]:
    """Why each unusable entry of a room is unusable."""
    state = _state(room)
    told = {name: known.fault for name, known in _entries(room, state).items() if known.fault is not None}
    for name in sorted(_entries(room, state).keys() - told.keys()):
        try:
            _schema(room, name, state)
        except MMRecError as error:
            told[name] = str(error)
    return told


def preset(room: str, name: str) -> dict[str, Any]:
    """The settings that a preset name stands for; empty for a plain name."""
    found = entry(room, name)
    load(room, name)
    return dict(getattr(_module(found), "PRESETS", {}).get(name, {}))


def config(room: str, name: str, settings: Mapping[str, Any]) -> Any:
    """A checked config: the class's own ``Config`` with its preset's values, then the given ones.

    Raises:
        MMRecError: an unknown key or a value out of range, with what was expected.
    """
    from pydantic import ValidationError

    cls = load(room, name).Config
    values = {k: v for k, v in preset(room, name).items() if k in cls.model_fields}
    try:
        return cls.model_validate({**values, **settings})
    except ValidationError as error:
        raise MMRecError(explain(error, name, sorted(cls.model_fields))) from None


def explain(error: Any, name: str, known: list[str]) -> str:
    """The first fault of a pydantic error, as one line a person can act on."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "value"
    if first["type"] == "extra_forbidden":
        return f"'{name}' has no setting '{key}'. It has: {', '.join(known) or 'none'}."
    return f"Setting '{key}' of '{name}' is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


@lru_cache(maxsize=64)
def _digest(files: State) -> bytes:
    """Names the content of some files; a class may inherit from any other of its room."""
    from mmrec_core import storage

    return storage.checksum(b"6", *(Path(path).read_bytes() for path, _, _ in files)).encode()


@lru_cache(maxsize=1024)
def _schema_key(room: str, name: str, state: State) -> str:
    """Names the content of the files that an entry's schema follows from."""
    from mmrec_core import storage

    found, config = _entries(room, state)[name], _PACKAGE / "config.py"
    shared = {(str(config), config.stat().st_mtime_ns, config.stat().st_size)}
    for file in state:
        path = Path(file[0])
        beside = path.parent == found.file.parent and path.stem.startswith("_")
        if path.parent == _own_folder(room) or beside or path == found.file:
            shared.add(file)
    return storage.checksum(_digest(tuple(sorted(shared))), found.file.name.encode(), name.encode())


def schema_file(room: str, name: str) -> Path:
    """Where the schema of an entry is kept, named by the content of the files that it follows from."""
    from mmrec_core import settings

    entry(room, name)
    return settings.home() / "cache" / "schemas" / f"{_schema_key(room, name, _state(room))}.json"


def schema(room: str, name: str) -> dict[str, Any]:
    """The JSON schema of an entry's config and what its class declares, cached by the file's hash so that a form needs no torch."""
    return _schema(room, name, _state(room))


@lru_cache(maxsize=512)
def _read_schema(path: Path, modified_ns: int, size: int) -> str:
    """The checked schema in a file, as JSON text: whoever asks gets a copy of its own.

    Raises:
        MMRecError: the file is missing or damaged.
    """
    from mmrec_core import records

    return json.dumps(records.read(path, records.SCHEMA))


@lru_cache(maxsize=256)
def _make_schema(room: str, name: str, key: str) -> str:
    """The schema from the class itself, as JSON text; ``key`` names the content it follows from."""
    found, cls = entry(room, name), load(room, name)
    made: dict[str, Any] = {
        "config": cls.Config.model_json_schema(),
        "preset": preset(room, name),
        "needs": sorted(getattr(cls, "needs", ())),
        "trains": bool(getattr(cls, "trains", False)),
        "vectors": any("item_vectors" in vars(base) for base in cls.__mro__ if not base.__module__.endswith("._base")),
        "early_stopping_protocol": list(getattr(cls, "early_stopping_protocol", ("full", "frozen"))),
        "summary": found.summary,
    }
    if made["trains"]:
        how = cls.train_config({})
        made["train"] = type(how).model_json_schema()
        for setting, told in made["train"]["properties"].items():
            told["default"] = getattr(how, setting)
    return json.dumps(made)


def _schema(room: str, name: str, state: State) -> dict[str, Any]:
    from mmrec_core import settings, storage

    _usable(room, name, _entries(room, state))
    key = _schema_key(room, name, state)
    cached = settings.home() / "cache" / "schemas" / f"{key}.json"
    with contextlib.suppress(MMRecError, OSError):  # missing or damaged: it is made again
        kept = cached.stat()
        read: dict[str, Any] = json.loads(_read_schema(cached, kept.st_mtime_ns, kept.st_size))
        return read
    made: dict[str, Any] = json.loads(_make_schema(room, name, key))
    with contextlib.suppress(OSError, MMRecError):  # a home that cannot be written only makes the next look slower
        storage.write_json(cached, made)
    return made
