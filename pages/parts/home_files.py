"""Where the browser fetches thumbnails and maps: files of the home, at the addresses of the app's own static files.

Streamlit serves ``static/`` beside ``app.py`` and no other folder; these routes come before its own. All else under
``app/static/`` is still its.
"""

from __future__ import annotations

import os
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from streamlit import config

from pages.parts.classroom import changes

KEPT = "public, max-age=31536000, immutable"
"""Files are named by their content, so a browser that has one need not ask for it again."""


class HomeFiles(StaticFiles):
    """Serves one folder of :func:`mmrec_core.settings.static_dir`; names of any other form are not found
    (:data:`mmrec_core.data.served_files.NAME`)."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file of a name and its state; ``None`` for its state where there is none. Runs in a thread."""
        from mmrec_core.data import served_files  # pandas: not while the server comes up

        found = served_files.find(f"{self.folder}/{path.replace(os.sep, '/')}")
        return ("", None) if found is None else (str(found), found.stat())

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Any:
        """The file, or that the browser's copy is still right; both may be kept."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"], response.headers["X-Content-Type-Options"] = KEPT, "nosniff"
        return response


def _to_start(request: Request) -> RedirectResponse:
    """The first page has no name in its address: ``/home`` leads there."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{_base()}/{query}", status_code=302)


def _base() -> str:
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def routes() -> list[Mount | Route]:
    """The routes, for the server."""
    files = [Mount(f"{_base()}/app/static/{folder}", HomeFiles(folder)) for folder in ("thumbs", "maps")]
    return [*files, Route(f"{_base()}/home", _to_start), *changes.routes(_base())]
