"""Connections and schema migrations (SQLAlchemy, Alembic).

The default is ``MMREC_HOME/people.sqlite`` in WAL mode with full synchronisation: what was answered is on the disk
before the page says so. ``MMREC_DATABASE`` names another database by a SQLAlchemy address, such as
``postgresql+psycopg://user:password@host/mmrec``.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock

from mmrec_core import settings, storage
from mmrec_core.errors import MMRecError

FILE = "people.sqlite"
WAIT_S = 20
"""Seconds that a write waits for another one."""
_MIGRATIONS = Path(__file__).with_name("migrations")
_engines: dict[str, sa.Engine] = {}
_lock = threading.Lock()
_one_writer = threading.Lock()
"""SQLite has one writer at a time. The threads of this process wait for each other here, since SQLite would look again
only after pauses of up to a tenth of a second."""


def address() -> str:
    """The address of the database: ``MMREC_DATABASE``, else a file of the home."""
    return os.environ.get("MMREC_DATABASE") or f"sqlite:///{settings.home() / FILE}"


def connected() -> sa.Engine:
    """The engine of :func:`address`, with its schema brought up to date once a process.

    Raises:
        MMRecError: the database cannot be opened, or a newer version of MMRec made it.
    """
    where = address()
    with _lock:
        if where not in _engines:
            storage.open_home()
            with _plain():
                engine = _engine(where)
                with FileLock(settings.home() / ".people.lock", timeout=60):  # one process brings the schema up to date
                    _upgrade(engine)
            _engines[where] = engine
        return _engines[where]


def _engine(where: str) -> sa.Engine:
    try:
        parsed = sa.make_url(where)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise MMRecError("MMREC_DATABASE names a database that is neither SQLite nor PostgreSQL.")
        server = parsed.get_backend_name() == "postgresql"  # a connection to a server may have ended meanwhile
        engine = sa.create_engine(parsed, **({"pool_size": 8, "pool_pre_ping": True} if server else {}))
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise MMRecError(
            "The driver of the database in MMREC_DATABASE is not installed: pip install 'mmrec[postgres]'."
            if missing
            else "MMREC_DATABASE is not an address of a database, such as postgresql+psycopg://user:password@host/name."
        ) from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, record: Any) -> None:
    with contextlib.suppress(OSError, sa.exc.ArgumentError):
        os.chmod(str(sa.make_url(address()).database), 0o600)  # SQLite gives its other files the same permissions
    connection.isolation_level = None  # SQLAlchemy's own BEGIN decides, see _begin_sqlite
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={1000 * WAIT_S}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    """A write takes its lock at the beginning: one that read first could not get it later."""
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading() -> Iterator[sa.Connection]:
    """A connection for reading; all reads of the block see one state."""
    engine = connected().execution_options(reads=True)
    with _plain(), engine.connect() as connection, connection.begin():
        yield connection


@contextlib.contextmanager
def writing() -> Iterator[sa.Connection]:
    """A transaction: all of it is written, or nothing.

    Raises:
        MMRecError: the database cannot be written.
    """
    engine = connected()
    alone = _one_writer if engine.dialect.name == "sqlite" else contextlib.nullcontext()
    with _plain(), alone, engine.begin() as connection:
        yield connection


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    """Errors of the database in words; constraint violations stay what they are, for whoever expects them."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except UnicodeEncodeError:
        raise MMRecError("This text holds characters that cannot be stored.") from None
    except sa.exc.DBAPIError as error:
        cause = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
        where = "MMREC_DATABASE" if os.environ.get("MMREC_DATABASE") else f"MMREC_HOME/{FILE}"
        damaged = any(word in cause for word in ("malformed", "not a database", "corrupt"))
        remedy = (
            "It is damaged. Move it aside; a new one is made." if damaged else "Check that it runs and can be written."
        )
        raise MMRecError(
            f"The database of classes and studies ({where}) did not answer: {_without_password(cause)}. {remedy}"
        ) from None


def _without_password(text: str) -> str:
    """The text without the password of the database's address."""
    password = sa.make_url(address()).password
    return text.replace(str(password), "…") if password else text


def _alembic(connection: sa.Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def newest() -> str:
    """The schema version that this code reads and writes."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return str(ScriptDirectory.from_config(config).get_current_head())


def schema_version(engine: sa.Engine) -> str | None:
    """The schema version of a database; ``None`` for an empty one."""
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _upgrade(engine: sa.Engine) -> None:
    found = schema_version(engine)
    if found == newest():
        return
    from alembic import command
    from alembic.util import CommandError

    with engine.begin() as connection:
        try:
            command.upgrade(_alembic(connection), "head")
        except CommandError:
            raise MMRecError(
                f"The database of classes and studies was made by a newer MMRec (schema {found}). Update MMRec, or"
                " name another database in MMREC_DATABASE."
            ) from None
