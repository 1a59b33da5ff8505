"""Registry of datasets, enrichment sources, encoders and models; entries are found by file name.

Each kind (``datasets``, ``enrich``, ``encoders``, ``models``) has a folder. Each ``*.py`` in it that does not start
with an underscore is one entry: the file holds one public class, and the entry is named after the file. A file with a
literal ``PRESETS`` dict has one entry per key instead (``ml-1m`` of ``movielens``). An entry's summary is the first
sentence of the class, or its own in a literal ``SUMMARIES`` dict. Listing a kind parses its files and imports none of
them, so ``--help`` and the first page need no torch. A file that does not parse is listed with its fault and does not
affect other entries.

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

from mmrec_core import docstrings, syntax
from mmrec_core.errors import MMRecError, unknown_name

_PACKAGE = Path(__file__).parent
_INSIDE = {"datasets": "data/datasets", "enrich": "data/enrich"}
"""Folders within the package that are not named after their kind."""
_importing = threading.RLock()
_plugins: dict[str, tuple[str, int, int]] = {}
"""The file of each imported plugin, with the time of its last change (ns) and its size (bytes) at import."""


@dataclass(frozen=True)
class Entry:
    """One entry of the registry, such as a model."""

    kind: str
    name: str
    file: Path
    class_name: str
    summary: str
    """First line of the class's docstring."""
    fault: str | None = None
    """Why it cannot be used, or ``None``."""


@lru_cache(maxsize=512)
def _read(file: Path, modified_ns: int, size: int) -> tuple[str, str, tuple[str, ...], dict[str, str], str | None]:
    """Class name, summary, preset names, their own summaries, and fault of a file, from its text alone."""
    try:
        tree = syntax.parse(file.read_text(encoding="utf-8"), str(file))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        return "", "", (), {}, f"{file.name} does not parse: {error}"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    classes = [node for node in classes if not node.name.endswith("Config")]
    if len(classes) != 1:
        return "", "", (), {}, f"{file.name} must hold exactly one public class (found {len(classes)})."
    presets = tuple(_literal_dict(tree, "PRESETS"))
    own = {k: v.value for k, v in _literal_dict(tree, "SUMMARIES").items() if isinstance(v, ast.Constant)}
    summary = docstrings.summary(ast.get_docstring(classes[0]))
    return classes[0].name, summary, presets, {k: str(v) for k, v in own.items()}, None


def _literal_dict(tree: ast.Module, name: str) -> dict[str, ast.expr]:
    """The values of a module's dict literal by its string keys; empty without one."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(value, ast.Dict) and any(isinstance(t, ast.Name) and t.id == name for t in targets):
            pairs = zip(value.keys, value.values, strict=True)
            return {k.value: v for k, v in pairs if isinstance(k, ast.Constant) and isinstance(k.value, str)}
    return {}


def _own_folder(kind: str) -> Path:
    """The package's own folder of a kind."""
    return _PACKAGE / _INSIDE.get(kind, kind)


def _folders(kind: str) -> list[Path]:
    plugins = [Path(p) / kind for p in os.environ.get("MMREC_PLUGINS", "").split(os.pathsep) if p]
    return [folder for folder in (_own_folder(kind), *plugins) if folder.is_dir()]


State = tuple[tuple[str, int, int], ...]
"""Files with the time of their last change (ns) and their size (bytes): the key of this module's caches."""


def _state(kind: str) -> State:
    """Every ``*.py`` in a kind's folders as it is now; scans each folder once and reads no file."""
    found: list[tuple[str, int, int]] = []
    for folder in _folders(kind):
        with os.scandir(folder) as scan:
            files = sorted((entry for entry in scan if entry.name.endswith(".py")), key=lambda entry: entry.name)
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                stat = file.stat()
                found.append((file.path, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


@lru_cache(maxsize=64)
def _entries(kind: str, state: State) -> dict[str, Entry]:
    found = {}
    for path, modified_ns, size in state:
        file = Path(path)
        if file.stem.startswith("_"):
            continue
        class_name, summary, presets, summaries, fault = _read(file, modified_ns, size)
        for name in presets or (file.stem,):
            found[name] = Entry(kind, name, file, class_name, summaries.get(name, summary), fault)
    return dict(sorted(found.items()))


def entries(kind: str) -> dict[str, Entry]:
    """All entries of a kind by name, in alphabetical order, with those that have a fault."""
    return dict(_entries(kind, _state(kind)))


def builtin(kind: str) -> set[str]:
    """The names that come with the package, without plugins."""
    return {name for name, found in entries(kind).items() if found.file.parent == _own_folder(kind)}


def names(kind: str) -> list[str]:
    """The names of the entries of a kind that can be used."""
    return [name for name, entry in entries(kind).items() if entry.fault is None]


def entry(kind: str, name: str) -> Entry:
    """One entry.

    Raises:
        MMRecError: unknown name (the known ones are listed), or its file is broken.
    """
    return _usable(kind, name, entries(kind))


def _usable(kind: str, name: str, known: Mapping[str, Entry]) -> Entry:
    """The entry of a name, if it can be used."""
    if name not in known:
        raise unknown_name(kind.rstrip("s"), name, [n for n, found in known.items() if found.fault is None])
    if (fault := known[name].fault) is not None:
        raise MMRecError(f"{kind.rstrip('s').capitalize()} '{name}' cannot be used: {fault}")
    return known[name]


def _module(found: Entry) -> Any:
    if found.file.parent == _own_folder(found.kind):
        inside = _INSIDE.get(found.kind, found.kind).replace("/", ".")
        return importlib.import_module(f"mmrec_core.{inside}.{found.file.stem}")
    name, stat = f"mmrec_plugins.{found.kind}.{found.file.stem}", found.file.stat()
    state = (str(found.file), stat.st_mtime_ns, stat.st_size)
    with _importing:  # a module is in sys.modules while it is imported; another thread must wait for it
        if name not in sys.modules or _plugins.get(name) != state:  # new, changed, or from another folder
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


def load(kind: str, name: str) -> Any:
    """The class behind a name, imported now.

    Raises:
        MMRecError: unknown name, or its file fails to import; the message gives the reason. Other entries still work.
    """
    found = entry(kind, name)
    try:
        return getattr(_module(found), found.class_name)
    except MMRecError:
        raise
    except Exception as error:
        raise MMRecError(f"{found.file.name} failed to import ({type(error).__name__}: {error}).") from error


def unmet(needs: Iterable[str], has: Iterable[str]) -> list[str]:
    """A model's needs that are not in ``has``; a need written ``a|b`` is met by either of them."""
    there = set(has)
    return sorted(need for need in needs if not set(need.split("|")) & there)


CONTENT_NEEDS = frozenset({"content", "text", "image", "audio", "video"})
"""Needs that vectors of items' content meet: any modality (``content``), or one by its name."""


def reads_content(needs: Iterable[str]) -> bool:
    """Whether a model with these needs reads vectors of items' content, such as plots and posters."""
    return any(CONTENT_NEEDS & set(need.split("|")) for need in needs)


def in_words(needs: Iterable[str]) -> str:
    """Needs as text for messages: ``user and item ids, rating or labels``."""
    words = {"ids": "user and item ids", "content": "content (encoded plots, posters or other vectors of items)"}
    return ", ".join(" or ".join(words.get(part, part) for part in need.split("|")) for need in needs)


def schemas(kind: str) -> dict[str, dict[str, Any]]:
    """The schemas of all entries of a kind that can be used, by name; those with a fault are in :func:`faults`."""
    found, state, folder = {}, _state(kind), _cache_folder()
    for name in _entries(kind, state):
        with contextlib.suppress(MMRecError):
            found[name] = _schema(kind, name, state, folder)
    return found


def needs(kind: str) -> dict[str, tuple[str, ...]]:
    """What each usable entry of a kind needs, by name: as in :func:`schemas`, but each schema is parsed once."""
    found, state, folder = {}, _state(kind), _cache_folder()
    for name in _entries(kind, state):
        with contextlib.suppress(MMRecError):
            found[name] = _needs_in(_schema_text(kind, name, state, folder))
    return found


def versions(kind: str, wanted: Iterable[str]) -> dict[str, int]:
    """Today's version of each wanted entry that can be used; others are left out. The folders are scanned once."""
    state, folder = _state(kind), _cache_folder()
    found = {}
    for name in set(wanted):
        with contextlib.suppress(MMRecError):
            found[name] = _version_in(_schema_text(kind, name, state, folder))
    return found


def faults(kind: str) -> dict[str, str]:
    """Why an entry cannot be used, by name, for all entries of a kind that cannot be used."""
    state, folder = _state(kind), _cache_folder()
    found = {name: known.fault for name, known in _entries(kind, state).items() if known.fault is not None}
    for name in sorted(_entries(kind, state).keys() - found.keys()):
        try:
            _schema_text(kind, name, state, folder)
        except MMRecError as error:
            found[name] = str(error)
    return found


def preset(kind: str, name: str) -> dict[str, Any]:
    """The settings that a preset name stands for; empty for a plain name."""
    found = entry(kind, name)
    load(kind, name)
    return dict(getattr(_module(found), "PRESETS", {}).get(name, {}))


def config(kind: str, name: str, settings: Mapping[str, Any]) -> Any:
    """Build the config of an entry: the class's ``Config`` with the preset's values, then the given settings.

    Args:
        kind: kind of the entry, such as ``models``.
        name: name of the entry.
        settings: values by setting name.

    Returns:
        The validated config.

    Raises:
        MMRecError: an unknown key or a value out of range, with what was expected.
    """
    from pydantic import ValidationError

    cls = load(kind, name).Config
    values = {k: v for k, v in preset(kind, name).items() if k in cls.model_fields}
    try:
        return cls.model_validate({**values, **settings})
    except ValidationError as error:
        raise MMRecError(explain(error, name, sorted(cls.model_fields))) from None


def explain(error: Any, name: str, known: list[str]) -> str:
    """The first fault of a pydantic validation error, in one line for users."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "value"
    if first["type"] == "extra_forbidden":
        return f"'{name}' has no setting '{key}'. It has: {', '.join(known) or 'none'}."
    return f"Setting '{key}' of '{name}' is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


@lru_cache(maxsize=64)
def _digest(files: State) -> bytes:
    """A checksum of the content of some files; a class may inherit from any other class of its kind."""
    from mmrec_core import storage

    return storage.checksum(b"9", *(Path(path).read_bytes() for path, _, _ in files)).encode()


@lru_cache(maxsize=1024)
def _schema_key(kind: str, name: str, state: State) -> str:
    """A checksum of the content of all files that an entry's schema depends on."""
    config = _PACKAGE / "config.py"
    stat = config.stat()
    return _key_of_files(kind, name, state, (str(config), stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=512)
def _key_of_files(kind: str, name: str, state: State, config: tuple[str, int, int]) -> str:
    from mmrec_core import storage

    found, shared = _entries(kind, state)[name], {config}
    for file in state:
        path = Path(file[0])
        beside = path.parent == found.file.parent and path.stem.startswith("_")
        if path.parent == _own_folder(kind) or beside or path == found.file:
            shared.add(file)
    return storage.checksum(_digest(tuple(sorted(shared))), found.file.name.encode(), name.encode())


def schema_file(kind: str, name: str) -> Path:
    """The cache file of an entry's schema, named by a checksum of the files that the schema depends on."""
    entry(kind, name)
    return _cache_folder() / f"{_schema_key(kind, name, _state(kind))}.json"


def schema(kind: str, name: str) -> dict[str, Any]:
    """The JSON schema of an entry's config and what its class declares; cached, so that a form needs no torch."""
    return _schema(kind, name, _state(kind), _cache_folder())


def defaults(kind: str, name: str) -> dict[str, Any]:
    """The default of each setting of an entry and of its trainer, with the values of its preset.

    Raises:
        MMRecError: unknown name, or the entry cannot be used.
    """
    made = schema(kind, name)
    known = {**made.get("train", {}).get("properties", {}), **made["config"].get("properties", {})}
    return {k: made["preset"].get(k, field["default"]) for k, field in known.items() if "default" in field}


@lru_cache(maxsize=512)
def _read_schema(path: Path, modified_ns: int, size: int) -> str:
    """The checked schema in a file, as JSON text, so that every caller parses a copy of its own.

    Raises:
        MMRecError: the file is missing or damaged.
    """
    from mmrec_core import records

    return json.dumps(records.read(path, records.SCHEMA))


@lru_cache(maxsize=256)
def _make_schema(kind: str, name: str, key: str) -> str:
    """The schema made from the class, as JSON text; ``key`` is the checksum of the files it depends on."""
    found, cls = entry(kind, name), load(kind, name)
    made: dict[str, Any] = {
        "config": cls.Config.model_json_schema(),
        "preset": preset(kind, name),
        "needs": sorted(getattr(cls, "needs", ())),
        "family": str(getattr(cls, "family", "other")),
        "trains": bool(getattr(cls, "trains", False)),
        "version": int(getattr(cls, "version", 1)),
        "vectors": any("item_vectors" in vars(base) for base in cls.__mro__ if not base.__module__.endswith("._base")),
        "early_stopping_protocol": list(getattr(cls, "early_stopping_protocol", ("full", "frozen"))),
        "summary": found.summary,
    }
    if made["trains"]:
        how = cls.train_config({})
        made["train"] = type(how).model_json_schema()
        for setting, field in made["train"]["properties"].items():
            field["default"] = getattr(how, setting)
    return json.dumps(made)


def _cache_folder() -> Path:
    """Where the schemas are kept."""
    from mmrec_core import settings

    return settings.home() / "cache" / "schemas"


def _schema_text(kind: str, name: str, state: State, folder: Path) -> str:
    """An entry's schema as JSON text, from the cache ``folder`` or made anew."""
    from mmrec_core import storage

    _usable(kind, name, _entries(kind, state))
    key = _schema_key(kind, name, state)
    cached = folder / f"{key}.json"
    with contextlib.suppress(MMRecError, OSError):  # missing or damaged: it is made again
        stat = cached.stat()
        return _read_schema(cached, stat.st_mtime_ns, stat.st_size)
    made = _make_schema(kind, name, key)
    with contextlib.suppress(OSError, MMRecError):  # if the home cannot be written, the next call makes it again
        storage.write_json(cached, json.loads(made))
    return made


def _schema(kind: str, name: str, state: State, folder: Path) -> dict[str, Any]:
    """An entry's schema; a copy of the caller's own."""
    read: dict[str, Any] = json.loads(_schema_text(kind, name, state, folder))
    return read


@lru_cache(maxsize=512)
def _version_in(text: str) -> int:
    """The version of the entry in a schema's JSON text."""
    return int(json.loads(text)["version"])


@lru_cache(maxsize=512)
def _needs_in(text: str) -> tuple[str, ...]:
    """What the schema in a JSON text says that the entry needs."""
    return tuple(json.loads(text)["needs"])
