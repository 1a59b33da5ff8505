"""A map of films that people touch: a component of our own in WebGL2, without a build step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
HTML = """
<div class="map" role="group" aria-label="Map">
  <canvas class="draw" tabindex="0" role="img"></canvas><canvas class="over" aria-hidden="true"></canvas>
  <div class="posters" aria-hidden="true"></div>
  <div class="tools" role="toolbar" aria-label="Map tools">
    <button type="button" data-act="pan" aria-pressed="true" title="Move (drag); the wheel zooms">Move</button>
    <button type="button" data-act="lasso" aria-pressed="false"
      title="Draw around films to choose them (or hold Shift)">Lasso</button>
    <button type="button" data-act="box" aria-pressed="false" title="Choose films in a box">Box</button>
    <button type="button" data-act="in" aria-label="Zoom in" title="Zoom in">+</button>
    <button type="button" data-act="out" aria-label="Zoom out" title="Zoom out">−</button>
    <button type="button" data-act="all" title="Show everything (0)">All</button>
    <button type="button" data-act="clear" title="Choose nothing (Esc)">Clear</button>
  </div>
  <div class="card"></div><div class="legend"></div><div class="state"></div><div class="live" aria-live="polite"></div>
</div>
"""
_MAP = st.components.v2.component(
    "mmrec.map",
    html=HTML,
    css=(HERE / "space_map.css").read_text(encoding="utf-8"),
    js=(HERE / "space_map.js").read_text(encoding="utf-8"),
)


def film_map(
    files: Mapping[str, Any],
    colour: Mapping[str, Any],
    *,
    key: str,
    label: str,
    other: Mapping[str, Any] | None = None,
    morph: bool = False,
    polygon: Sequence[Sequence[float]] | None = None,
    hits: Sequence[int] = (),
    lit: Sequence[int] | None = None,
    fly: Mapping[str, Any] | None = None,
    pin: Mapping[str, Any] | None = None,
    pairs: bool = False,
    camera: Sequence[float] | None = None,
    camera_key: str | None = None,
    height: int = 600,
    on_select: Callable[[], None],
    on_open: Callable[[], None],
    on_fallback: Callable[[], None],
) -> Any:
    """Show a map. Triggers: ``select`` is ``{"polygon": [[x, y], …]}`` in the unit square,
    ``open`` is ``{"item": row}``.

    Args:
        files: from :func:`mmrec_core.spaces.publish.publish`.
        colour: ``file`` (a byte a point), ``palette`` and ``names``.
        other: another map's files, to morph to where ``morph`` is on.
        polygon: what is chosen.
        hits: catalog rows ringed as found.
        lit: catalog rows that stay bright while all others fade.
        fly: ``{"items", "key"}``: move there once for each key.
        pin: ``{"at": [x, y], "text"}``: a star with a name.
        pairs: join the two points of each film by a line.
        camera: ``[x, y, zoom]`` to begin with; written back into the address under ``camera_key`` without a rerun.
    """
    data = {
        "files": dict(files),
        "colour": dict(colour),
        "label": label,
        "other": dict(other) if other else None,
        "morph": morph,
        "polygon": [list(p) for p in polygon] if polygon else None,
        "hits": list(hits),
        "lit": list(lit) if lit is not None else None,
        "fly": dict(fly) if fly else None,
        "pin": dict(pin) if pin else None,
        "pairs": pairs,
        "camera": list(camera) if camera else None,
        "cameraKey": camera_key,
        "height": height,
    }
    return _MAP(key=key, data=data, on_select_change=on_select, on_open_change=on_open, on_fallback_change=on_fallback)
