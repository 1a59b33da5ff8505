"""An interactive map of films: a WebGL2 component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts.javascript import bundle

HERE = Path(__file__).parent
HTML = """
<div class="map" role="group" aria-label="Map">
  <canvas class="draw" tabindex="0" role="img"></canvas><canvas class="over" aria-hidden="true"></canvas>
  <div class="posters" aria-hidden="true"></div>
  <div class="tools" role="toolbar" aria-label="Map tools">
    <button type="button" data-act="pan" aria-pressed="true" title="Move (drag); the wheel zooms">Move</button>
    <button type="button" data-act="lasso" aria-pressed="false"
      title="Draw around films to select them (or hold Shift)">Lasso</button>
    <button type="button" data-act="box" aria-pressed="false" title="Select films in a box">Box</button>
    <button type="button" data-act="in" aria-label="Zoom in" title="Zoom in">+</button>
    <button type="button" data-act="out" aria-label="Zoom out" title="Zoom out">−</button>
    <button type="button" data-act="all" title="Show the whole map (0)">All</button>
    <button type="button" data-act="clear" title="Select nothing (Esc)">Clear</button>
  </div>
  <div class="card"></div><div class="legend"></div><div class="state"></div><div class="live" aria-live="polite"></div>
</div>
"""
_MAP = st.components.v2.component(
    "mmrec.map",
    html=HTML,
    css=(HERE / "map.css").read_text(encoding="utf-8"),
    js=bundle(HERE / "js" / "view.mjs"),
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
    linked: bool = False,
    selected: int = 0,
    fly: Mapping[str, Any] | None = None,
    pin: Mapping[str, Any] | None = None,
    pairs: bool = False,
    camera: Sequence[float] | None = None,
    camera_key: str | None = None,
    height: str = "600px",
    on_select: Callable[[], None],
    on_open: Callable[[], None],
    on_fallback: Callable[[], None],
) -> Any:
    """Show a map.

    Triggers: ``select`` is ``{"polygon": [[x, y], …]}`` in the unit square (empty: nothing), ``open`` is
    ``{"item": row}``, ``fallback`` is set where the browser has no WebGL2.

    Args:
        files: from :func:`mmrec_core.spaces.publish.publish`.
        colour: ``file`` (a byte per point), ``palette`` and ``names``.
        key: key of the component.
        label: what a screen reader says.
        other: files of a second map, whose places the points move to while ``morph`` is on.
        morph: whether the points are at their places on the second map.
        polygon: the selection.
        hits: catalog rows marked as found.
        lit: catalog rows that are shown as selected.
        linked: whether another map stands beside it; what is selected on one is then marked on both at once, in the
            browser.
        selected: how many films are selected; at 0 a linked map forgets what the other one had selected.
        fly: ``{"items", "key"}``: move the camera there, once for each key.
        pin: ``{"at": [x, y], "text"}``: a star with a name.
        pairs: join the two points of each film by a line.
        camera: ``[x, y, zoom]`` at the start.
        camera_key: the parameter of the address that the browser keeps the camera in, without a rerun.
        height: height of the map, in CSS.
        on_select: callback of ``select``.
        on_open: callback of ``open``.
        on_fallback: callback of ``fallback``.
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
        "linked": linked,
        "selected": selected,
        "fly": dict(fly) if fly else None,
        "pin": dict(pin) if pin else None,
        "pairs": pairs,
        "camera": list(camera) if camera else None,
        "cameraKey": camera_key,
        "height": height,
    }
    return _MAP(key=key, data=data, on_select_change=on_select, on_open_change=on_open, on_fallback_change=on_fallback)
