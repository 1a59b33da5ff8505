"""Charts as files for papers and slides: PNG, SVG and PDF, with the evaluation setup below the title."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import altair as alt
import streamlit as st

KINDS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
"""File endings and their media types."""
WIDTH = 620
"""Width of the plot in an exported picture, without axes, in pixels."""
_LETTER, _SYMBOL = 6.2, 34
"""Width of a letter of a legend, and of a symbol with its margins, in pixels."""


def picture(chart: alt.TopLevelMixin, kind: str, title: str = "", subtitle: str = "") -> bytes:
    """A chart as bytes of one of :data:`KINDS`, drawn here, without a browser or a network.

    Args:
        chart: the chart, as a page shows it.
        kind: ``png``, ``svg`` or ``pdf``.
        title: text above the chart; empty for none.
        subtitle: text below the title, such as the evaluation setup; broken into lines.
    """
    import vl_convert

    spec = prepared(chart, title, subtitle)
    if kind == "svg":
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    if kind == "pdf":
        return bytes(vl_convert.vegalite_to_pdf(spec))
    return bytes(vl_convert.vegalite_to_png(spec, scale=2))


def prepared(chart: alt.TopLevelMixin, title: str = "", subtitle: str = "") -> dict[str, Any]:
    """The chart's specification for a picture: a fixed width of the plot, whole labels, title and subtitle.

    On a page the plot fills its container, and long labels are cut. In a picture a legend in one line would be wider
    than the plot, so it is broken into as many columns as fit.
    """
    spec: dict[str, Any] = chart.to_dict()
    if not {"hconcat", "vconcat", "concat", "facet"} & set(spec) and not isinstance(spec.get("width"), (int, float)):
        spec["width"] = WIDTH
    for channel in _channels(spec):
        if isinstance(axis := channel.get("axis"), dict):
            axis["labelLimit"] = 0
            axis.pop("labelExpr", None)
        if isinstance(legend := channel.get("legend"), dict):
            legend["labelLimit"] = 0
            labels = [str(label) for label in (channel.get("scale") or {}).get("domain") or ()]
            if labels and legend.get("orient") in {"top", "bottom"}:
                widest = _SYMBOL + _LETTER * max(map(len, labels))
                legend["columns"] = max(1, min(len(labels), int(WIDTH / widest)))
    config = spec.setdefault("config", {})
    for part in ("axis", "legend"):
        config[part] = {**config.get(part, {}), "labelLimit": 0}
    if title or subtitle:
        lines = textwrap.wrap(subtitle, 100)
        spec["title"] = {
            "text": title,
            "subtitle": lines,
            "anchor": "start",
            "fontSize": 14,
            "subtitleColor": "#555555",
        }
    spec.setdefault("background", "white")
    return spec


def _channels(part: Any) -> Iterator[dict[str, Any]]:
    """Every encoding channel of a specification, in all layers."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "encoding" and isinstance(value, dict):
                yield from (channel for channel in value.values() if isinstance(channel, dict))
            elif name not in {"datasets", "data"}:
                yield from _channels(value)
    elif isinstance(part, list):
        for value in part:
            yield from _channels(value)


def chart_downloads(chart: alt.TopLevelMixin, name: str, title: str, subtitle: str, key: str = "take") -> None:
    """Buttons that download a chart as PNG, SVG or PDF.

    Args:
        chart: the chart.
        name: file name without ending.
        title: see :func:`picture`.
        subtitle: see :func:`picture`.
        key: beginning of the buttons' keys.
    """
    with st.container(horizontal=True):
        for kind, mime in KINDS.items():
            st.download_button(
                kind.upper(),
                data=lambda k=kind: picture(chart, k, title, subtitle),
                file_name=f"{name}.{kind}",
                mime=mime,
                key=f"{key}.{kind}",
                icon=":material/image:",
                type="tertiary",
                on_click="ignore",
            )
