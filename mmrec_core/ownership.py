"""Access control: only the owner of the app may start work, name files and machines, or delete.

On localhost every visitor is the owner, and so is whoever runs the command line or a notebook. If the server listens on
other addresses (``serve --host``), every visitor may look, rate and compare, and the owner is who has the token. The
token is a file of the home that only its owner can read; it is printed once when the app starts. The functions that
start work make these checks, so a page cannot forget them.
"""

from __future__ import annotations

import hashlib
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
"""Largest number of queued runs (``MMREC_MOST_QUEUED``)."""

_refuse: Callable[[str], None] | None = None
_visitor: Callable[[], str] = lambda: ""
_wide = False


def guard(refuse: Callable[[str], None] | None, wide: bool = False, visitor: Callable[[], str] = lambda: "") -> None:
    """Set the check that a server makes before owner-only actions.

    Args:
        refuse: called with the action; raises where the visitor may not do it. ``None``: no check.
        wide: whether the server listens on more than localhost; then paths are confined, too.
        visitor: a random name of whoever is served now; empty for the owner.
    """
    global _refuse, _wide, _visitor
    _refuse, _wide, _visitor = refuse, wide, visitor


def visitor() -> str:
    """A random name of the visitor whose request is served; empty for the owner. What a visitor adds bears it."""
    return _visitor()


def require(what: str) -> None:
    """Raise unless the visitor is the owner.

    Args:
        what: the action, as the end of "Only the owner of this app may …".
    """
    if _refuse is not None:
        _refuse(what)


def is_local(address: str | None) -> bool:
    """Whether an address can be reached from this machine only; ``None`` and ``""`` stand for all addresses."""
    name = (address or "").strip().strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def listens() -> str | None:
    """The address under which the server is reached (``MMREC_LISTENS``, set by ``mmrec serve``; :func:`reached`)."""
    return os.environ.get("MMREC_LISTENS")


def reached(host: str, for_class: bool = False) -> str:
    """The address under which a new server is reached; on localhost every visitor is the owner.

    What the environment says of another server never makes this one more open: ``MMREC_LISTENS`` counts only if it is
    not local. A container says by ``MMREC_PUBLISHED=localhost`` that its port is published on its own machine only.

    Args:
        host: address to listen on.
        for_class: whether others are meant to come; then ``MMREC_PUBLISHED`` does not count.
    """
    published, inherited = (os.environ.get(name) for name in ("MMREC_PUBLISHED", "MMREC_LISTENS"))
    if inherited and not is_local(inherited):
        return inherited
    return published if published and not for_class else host


def token() -> str:
    """The owner's token; it is created when first needed, in a file that only its owner can read.

    Raises:
        MMRecError: the home cannot be written.
    """
    from mmrec_core import storage

    file = storage.open_home() / TOKEN_FILE
    with storage.plain_errors(file):
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            saved = file.read_text(encoding="ascii", errors="replace").strip()
            if len(saved) >= 32:
                return saved
            file.unlink()  # it was cut short when it was written
            return token()
        with os.fdopen(handle, "w", encoding="ascii") as out:
            new = secrets.token_urlsafe(24)
            out.write(new)
        return new


def is_token(given: str) -> bool:
    """Whether a text is the owner's token; the comparison takes constant time."""
    return hmac.compare_digest(given.strip().encode("utf-8", "surrogatepass"), token().encode())


def pass_for_browser() -> str:
    """What the owner's browser keeps, so that a reload or a second window is the owner, too.

    It is made from the token, which it does not reveal; another token makes another pass.
    """
    return hmac.new(token().encode(), b"mmrec owner's browser", hashlib.sha256).hexdigest()


def is_pass(given: str) -> bool:
    """Whether a text is :func:`pass_for_browser`; the comparison takes constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), pass_for_browser().encode())


def hashed(secret: str) -> str:
    """What is stored of a secret that somebody's browser holds: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def places() -> list[Path]:
    """Folders whose files a visitor may name: the sources and the home (with its uploads)."""
    return [*settings.sources(), settings.home()]


def confined(path: Path | str) -> Path:
    """Resolve a path that a visitor typed. If the server listens on more than localhost, it must lie in :func:`places`.

    Raises:
        MMRecError: it lies elsewhere. The message does not say whether the file exists.
    """
    found = Path(path).expanduser().resolve()
    if not _wide:
        return found
    if not any(found.is_relative_to(place.resolve()) for place in places()):
        raise MMRecError(
            f"'{path}' lies outside the folders that this app may read. Put the file into a folder of MMREC_SOURCES, "
            "or upload it."
        )
    return found


def check_paths(params: Any) -> None:
    """Refuse paths outside :func:`places` anywhere in the parameters of a request.

    Raises:
        MMRecError: there is such a path; the first one is named.
    """
    if not _wide:
        return
    for text in _texts(params):
        bare = text.removeprefix("file:").removeprefix("urls:")
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
    """Largest number of queued runs (``MMREC_MOST_QUEUED``)."""
    named = os.environ.get("MMREC_MOST_QUEUED", "")
    return max(1, int(named)) if named.isascii() and named.isdigit() else MOST_QUEUED
