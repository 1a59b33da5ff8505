"""Files of a home that the browser can fetch: only its own thumbnails and maps; missing ones are recreated."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp

from mmrec_core import settings, storage
from mmrec_core.data import preparation, served_files
from mmrec_core.spaces import publish
from mmrec_core.types import Dataset
from pages.parts import home_files as routes


def get(app: ASGIApp, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the routes as a server would, with the path as it came: nothing is tidied on the way."""
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()  # whoever asks stays until the answer is there

    async def send(message: Any) -> None:
        sent.append(message)

    asked = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": asked,
        "http_version": "1.1",
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture
def app() -> Starlette:
    return Starlette(routes=routes.routes())


@pytest.fixture
def films(home: Path, demo: Dataset) -> Dataset:
    """A dataset in a home that has no thumbnails, as one of an older version."""
    shutil.copytree(demo.folder, home / "datasets" / "demo")
    storage.open_home()
    return preparation.open_dataset("demo")


def test_a_thumbnail_that_is_missing_is_made_of_its_poster(app: Starlette, films: Dataset, shared_home: Path) -> None:
    thumb = films.catalog["poster"].dropna().iloc[0]
    status, headers, body = get(app, f"/app/static/{thumb}")
    assert (
        status == 200
        and headers["content-type"] == "image/jpeg"
        and "immutable" in headers["cache-control"]
        and headers["x-content-type-options"] == "nosniff"
    )
    assert body == (settings.static_dir() / thumb).read_bytes() == (shared_home / "static" / thumb).read_bytes()
    assert get(app, f"/app/static/{thumb}", if_none_match=headers["etag"])[0] == 304


def test_a_thumbnail_of_an_older_checkout_is_taken_over(
    app: Starlette, films: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thumb = films.catalog["poster"].dropna().iloc[0]
    monkeypatch.setattr(settings, "ROOT", tmp_path / "checkout")
    storage.write_bytes(tmp_path / "checkout" / "static" / thumb, b"as it was")
    assert get(app, f"/app/static/{thumb}")[2] == b"as it was" == (settings.static_dir() / thumb).read_bytes()


def test_a_thumbnail_that_cannot_be_made_is_not_found(app: Starlette, films: Dataset) -> None:
    shutil.rmtree(films.folder / "posters", ignore_errors=True)
    posters = films.catalog[["poster", "poster_file"]].dropna()
    for file in posters["poster_file"]:
        if Path(file).is_relative_to(settings.home()):
            Path(file).unlink(missing_ok=True)
    assert served_files.find("thumbs/ab/ab" + "0" * 14 + ".jpg") is None
    (films.folder / "catalog.parquet").write_bytes(b"damaged")
    assert get(app, f"/app/static/{posters['poster'].iloc[0]}")[0] == 404


def test_files_of_a_map_are_bytes_and_of_one_home_alone(
    app: Starlette, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    name = publish.colours(np.arange(5))
    assert (home / "static" / name).is_file() and not (settings.ROOT / "static" / name).exists()
    status, headers, body = get(app, f"/app/static/{name}")
    assert (status, body, headers["content-type"]) == (200, bytes(range(5)), "application/octet-stream")
    monkeypatch.setenv("MMREC_HOME", str(tmp_path / "other"))
    assert get(app, f"/app/static/{name}")[0] == 404


def test_no_address_leads_out_of_the_folder(app: Starlette, home: Path, tmp_path: Path) -> None:
    storage.open_home()
    (tmp_path / "secret.json").write_text("{}")
    (home / "owner.token").write_text("secret")
    maps = settings.static_dir() / "maps"
    maps.mkdir(parents=True)
    inside = "points-" + "0" * 16 + ".json"
    (maps / inside).symlink_to(tmp_path / "secret.json")
    (maps / "notes.json").write_text("{}")
    (maps / "points-1234567890abcdef.json").mkdir()
    for path in (
        "maps/../../owner.token",
        "maps/..%2f..%2fowner.token",
        "thumbs/../maps/" + inside,
        "maps/" + inside,
        "maps/notes.json",
        "maps",
        "maps/",
        "maps//etc/passwd",
        "maps/" + str(home / "owner.token"),
        "maps/..\\..\\owner.token",
        "maps/points-1234567890abcdef.json",
        "maps/\x00.json",
        "maps/" + "a" * 5000,
        "thumbs/ab/../../../owner.token",
        "thumbs/AB/AB00000000000000.jpg",
        "maps/./../format.json",
        "maps/" + inside + "\n",
    ):
        assert get(app, f"/app/static/{path}")[0] in {307, 404}, path
