"""Datasets as a table: what each holds, which models are trained, and what can be done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from mmrec_core import runs
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from pages.parts import layout
from pages.parts.delete_dialog import confirm

HERE = Path(__file__).parent
_TABLE = st.components.v2.component(
    "mmrec.datasets",
    html='<div class="datasets"></div>',
    css=(HERE / "dataset_table.css").read_text(encoding="utf-8"),
    js=(HERE / "dataset_table.js").read_text(encoding="utf-8"),
)
PAGES = {"browse": "browse", "compare": "compare", "train": "train"}


def dataset_table(names: list[str]) -> tuple[str, str] | None:
    """One row per dataset, and below it notes and licences.

    Args:
        names: prepared datasets.

    Returns:
        ``("fit", name)`` if baseline models are asked for; everything else is done here.
    """
    rows: list[dict[str, Any]] = []
    about: list[tuple[str, list[str], str]] = []
    for name in names:
        try:
            opened = preparation.open_dataset(name)
            rows.append(row_of(name))
        except MMRecError as error:  # it was damaged or deleted since it was listed
            layout.show_error(error)
            continue
        if opened.manifest["notes"] or opened.manifest["licence"]:
            about.append((name, list(opened.manifest["notes"]), str(opened.manifest["licence"] or "")))
    found = _TABLE(key="datasets", data={"rows": rows}, on_act_change=lambda: None)
    if about:
        with st.expander("Notes and licences", icon=":material/info:"):
            for name, notes, licence in about:
                st.markdown(f"**{layout.escape(name)}**")
                st.caption("  \n".join(layout.escape(line) for line in [*notes, licence] if line))
    act = (found or {}).get("act")
    if not act or act.get("dataset") not in names:
        return None
    name = str(act["dataset"])
    if act["do"] in PAGES:
        st.switch_page(layout.page(PAGES[act["do"]]), query_params={"dataset": name})
    if act["do"] == "delete":
        confirm("dataset", name)
    return ("fit", name) if act["do"] == "fit" else None


def row_of(name: str) -> dict[str, Any]:
    """The figures of a dataset, and what can be done with it.

    Raises:
        MMRecError: it is damaged, or gone.
    """
    chosen = preparation.open_dataset(name)
    manifest = chosen.manifest
    cover = manifest["coverage"] or {}
    able, done = runs.usable_models(chosen), runs.finished(chosen)
    trained = [model for model in able if model in done]
    films = bool(manifest["films"])
    acts = [("browse", "Browse")] * films + [("compare", "Compare")] * bool(trained) + [("train", "Train")]
    if len(trained) < len(able):
        acts.append(("fit", "Train baselines"))
    return {
        "name": name,
        "generated": (
            f"{manifest.get('synthetic', 'invented by our own generator').capitalize()}; a check of methods, no"
            " evidence about films."
            if manifest["generated"]
            else ""
        ),
        "ratings": f"{manifest['ratings']:,}",
        "of": "rows" if not films else "" if "rating" in manifest["has"] else "events",
        "films": f"{manifest['films']:,}" if films else "—",
        "what": manifest.get("what", "films"),
        "users": f"{manifest['users']:,}" if films else "—",
        "posters": f"{cover['poster']['films']:.0%}" if "poster" in cover else "—",
        "plots": f"{cover['plot']['films']:.0%}" if "plot" in cover else "—",
        "trained": f"{len(trained)} of {len(able)}",
        "models": ", ".join(trained),
        "acts": [list(act) for act in [*acts, ("delete", "Delete")]],
    }
