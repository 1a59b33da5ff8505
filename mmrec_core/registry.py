"""What each room holds, found by file name and read without importing it.

A room (``datasets``, ``enrich``, ``encoders``, ``models``) is a folder; each ``*.py`` in it that does not start with an
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
_importing = threading.RLock()


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
def _read(file: Path, modified_ns: int) -> tuple[str, str, tuple[str, ...], str | None]:
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


def _folders(room: str) -> list[Path]:
    plugins = [Path(p) / room for p in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep) if p]
    return [folder for folder in (_PACKAGE / room, *plugins) if folder.is_dir()]


def entries(room: str) -> dict[str, Entry]:
    """Everything in a room by name, in alphabetical order, faulty files included."""
    found = {}
    for folder in _folders(room):
        for file in sorted(folder.glob("*.py")):
            if file.stem.startswith("_"):
                continue
            class_name, summary, presets, fault = _read(file, file.stat().st_mtime_ns)
            for name in presets or (file.stem,):
                found[name] = Entry(room, name, file, class_name, summary, fault)
    return dict(sorted(found.items()))


def builtin(room: str) -> set[str]:
    """The names that come with the package, plugins left out."""
    return {name for name, found in entries(room).items() if found.file.parent == _PACKAGE / room}


def names(room: str) -> list[str]:
    """The usable names of a room."""
    return [name for name, entry in entries(room).items() if entry.fault is None]


def entry(room: str, name: str) -> Entry:
    """One entry.

    Raises:
        MMRecError: unknown name (the known ones are listed), or its file is broken.
    """
    known = entries(room)
    if name not in known:
        raise unknown_name(room.rstrip("s"), name, names(room))
    if (fault := known[name].fault) is not None:
        raise MMRecError(f"{room.rstrip('s').capitalize()} '{name}' cannot be used: {fault}")
    return known[name]


def _module(found: Entry) -> Any:
    if found.file.parent == _PACKAGE / found.room:
        return importlib.import_module(f"mmrec_core.{found.room}.{found.file.stem}")
    name = f"mmrec_plugins.{found.room}.{found.file.stem}"
    with _importing:  # a module stands in sys.modules while it runs, and another thread must not take it for whole
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, found.file)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
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
    found = {}
    for name in names(room):
        with contextlib.suppress(MMRecError):
            found[name] = schema(room, name)
    return found


def faults(room: str) -> dict[str, str]:
    """Why each unusable entry of a room is unusable."""
    told = {name: known.fault for name, known in entries(room).items() if known.fault is not None}
    for name in names(room):
        try:
            schema(room, name)
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
def _digest(files: tuple[tuple[Path, int], ...]) -> bytes:
    """Names the content of some files; a class may inherit from any other of its room."""
    from mmrec_core import storage

    return storage.checksum(b"5", *(file.read_bytes() for file, _ in files)).encode()


def schema_file(room: str, name: str) -> Path:
    """Where the schema of an entry is kept, named by the content of the files that it follows from."""
    from mmrec_core import settings, storage

    found = entry(room, name)
    shared = {*(_PACKAGE / room).glob("*.py"), *found.file.parent.glob("_*.py"), found.file, _PACKAGE / "config.py"}
    parts = [_digest(tuple(sorted((f, f.stat().st_mtime_ns) for f in shared))), found.file.name.encode(), name.encode()]
    return settings.home() / "cache" / "schemas" / f"{storage.checksum(*parts)}.json"


def schema(room: str, name: str) -> dict[str, Any]:
    """The JSON schema of an entry's config and what its class declares, cached by the file's hash so that a form needs no torch."""
    from mmrec_core import records, storage

    found, cached = entry(room, name), schema_file(room, name)
    with contextlib.suppress(MMRecError):  # missing or damaged: it is made again
        return records.read(cached, records.SCHEMA)
    cls = load(room, name)
    made: dict[str, Any] = {
        "config": cls.Config.model_json_schema(),
        "preset": preset(room, name),
        "needs": sorted(getattr(cls, "needs", ())),
        "trains": bool(getattr(cls, "trains", False)),
        "vectors": any("item_vectors" in vars(base) for base in cls.__mro__ if not base.__module__.endswith("._base")),
        "watched": list(getattr(cls, "watched", ("full", "frozen"))),
        "summary": found.summary,
    }
    if made["trains"]:
        how = cls.train_config({})
        made["train"] = type(how).model_json_schema()
        for key, told in made["train"]["properties"].items():
            told["default"] = getattr(how, key)
    with contextlib.suppress(OSError, MMRecError):  # a home that cannot be written only makes the next look slower
        storage.write_json(cached, made)
    return made
