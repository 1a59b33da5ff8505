"""A database for each test: SQLite in the home, and a PostgreSQL server of the tests' own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmrec_core.classroom import limits


def postgres_program(name: str) -> str | None:
    """A program of PostgreSQL; Debian keeps them out of PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(places[0]) if places else None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server that listens on localhost until the tests end."""
    initdb, server = postgres_program("initdb"), postgres_program("postgres")
    if initdb is None or server is None:
        pytest.skip("needs PostgreSQL; on Debian: apt-get install postgresql")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="mmrec-pg-"))
    own: dict[str, object] = {"cwd": folder}  # a folder that its user may enter
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres")
        own |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    trust = [initdb, "-D", str(folder / "data"), "-U", "mmrec", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run(trust, check=True, **quiet, **own)  # type: ignore[call-overload]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = [server, "-D", str(folder / "data"), "-p", str(port), "-c", "listen_addresses=127.0.0.1",
               "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]  # fmt: skip
    process = subprocess.Popen(started, **quiet, **own)  # type: ignore[call-overload]
    try:
        import psycopg

        for _ in range(100):
            try:
                psycopg.connect(host="127.0.0.1", port=port, user="mmrec", dbname="postgres").close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None, "PostgreSQL did not start"
                time.sleep(0.1)
        yield f"postgresql+psycopg://mmrec@127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)  # at once, without waiting for open connections
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database of each kind; its address."""
    if request.param == "sqlite":
        monkeypatch.delenv("MMREC_DATABASE", raising=False)
        return f"sqlite:///{home / 'people.sqlite'}"
    import psycopg

    server, name = request.getfixturevalue("postgres"), f"t{secrets.token_hex(6)}"
    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    monkeypatch.setenv("MMREC_DATABASE", f"{server}/{name}")
    return f"{server}/{name}"


@pytest.fixture(autouse=True)
def nobody_is_slowed_down() -> Iterator[None]:
    """Every test begins with nothing counted."""
    counted = [one for one in vars(limits).values() if isinstance(one, limits.Throttle)]
    for throttle in counted:
        throttle.forget()
    yield
    for throttle in counted:
        throttle.forget()
