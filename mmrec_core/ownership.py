"""Who may start work, name files and machines, and delete: the owner of the app, once it listens to more than its own machine.

On localhost the one who looks at the app is its owner, and so is whoever runs the command line or a notebook. Where the server listens wider
(``serve --host``) everybody may look, rate and compare, and the owner is who has the token: it is kept in the home, readable by its owner alone, and is
printed once when the app starts. What is asked here is asked where work is started, so no page has to be trusted with it.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrec_core import settings
from mmrec_core.errors import MMRecError

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
TOKEN_FILE = "owner.token"
MOST_QUEUED = 200
"""Runs that may wait at once (``MMREC_MOST_QUEUED``)."""

_refuse: Callable[[str], None] | None = None
_wide = False


def guard(refuse: Callable[[str], None] | None, wide: bool = False) -> None:
    """Let a server ask for the owner.

    Args:
        refuse: is told what somebody is about to do, and raises where they may not; ``None``: nobody is asked.
        wide: whether it listens to more than its own machine: then paths are confined, too.
    """
    global _refuse, _wide
    _refuse, _wide = refuse, wide


def require(what: str) -> None:
    """Go on only for the owner.

    Args:
        what: what is about to be done, as the end of "Only the owner of this app may …".
    """
    if _refuse is not None:
        _refuse(what)


def is_local(address: str | None) -> bool:
    """Whether a server that listens on an address is reached from its own machine alone; ``None`` and an empty one mean every address."""
    name = (address or "").strip().strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def listens() -> str | None:
    """The address that :func:`mmrec_core.cli.launch.serve` gave its server (``MMREC_LISTENS``); a container whose port is published on its machine alone says localhost."""
    return os.environ.get("MMREC_LISTENS")


def token() -> str:
    """The owner's token, made when it is first needed; its file is readable by its owner alone.

    Raises:
        MMRecError: the home cannot be written.
    """
    from mmrec_core import storage

    file = storage.open_home() / TOKEN_FILE
    with storage.plain_errors(file):
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            kept = file.read_text(encoding="ascii", errors="replace").strip()
            if len(kept) >= 32:
                return kept
            file.unlink()  # cut short when it was made
            return token()
        with os.fdopen(handle, "w", encoding="ascii") as out:
            made = secrets.token_urlsafe(24)
            out.write(made)
        return made


def is_token(given: str) -> bool:
    """Whether this is the owner's token, compared in constant time."""
    return hmac.compare_digest(given.strip().encode(), token().encode())


def places() -> list[Path]:
    """Folders in which a visitor may name files: the sources and the home, its uploads among them."""
    return [*settings.sources(), settings.home()]


def confined(path: Path | str) -> Path:
    """A path that somebody typed, resolved; where a server listens wider only one in :func:`places`.

    Raises:
        MMRecError: it lies elsewhere. What is there is not told.
    """
    found = Path(path).expanduser().resolve()
    if not _wide:
        return found
    if not any(found.is_relative_to(place.resolve()) for place in places()):
        raise MMRecError(
            f"'{path}' lies outside the folders that this app may read. Put the file into a folder of MMREC_SOURCES, or upload it."
        )
    return found


def check_paths(asked: Any) -> None:
    """Refuse paths outside :func:`places` wherever they stand in what is asked for.

    Raises:
        MMRecError: the first of them.
    """
    if not _wide:
        return
    for text in _texts(asked):
        bare = text.removeprefix("file:")
        if bare and (
            Path(bare).expanduser().is_absolute()
            or ".." in Path(bare).parts
            or (os.sep in bare and Path(bare).exists())
        ):
            confined(bare)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple, set)):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, Path):
        yield str(value)


def most_queued() -> int:
    """How many runs may wait at once."""
    named = os.environ.get("MMREC_MOST_QUEUED", "")
    return max(1, int(named)) if named.isascii() and named.isdigit() else MOST_QUEUED
