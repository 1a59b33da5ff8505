"""Tags and a note for whatever is looked at, and the notebook of all coded cases."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from mmrec_core import csv_out, ownership
from mmrec_core.analysis import error_annotations
from mmrec_core.analysis.error_annotations import Case
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import hidden_names, layout
from pages.parts.charts import SERIES

PIN = "pinned"


def panel(dataset: Dataset, kind: str, *, link: str, model: str = "", beside: str = "", **what: str) -> None:
    """Tags and a note for one case; kept at once."""
    try:
        known = error_annotations.cases(dataset)
    except MMRecError as error:
        layout.show_error(error)
        return
    wanted = error_annotations.case(kind, **what).id
    held = next((c for c in known if c.id == wanted), None)
    tags = sorted({t for c in known for t in c.tags} | {PIN})
    with st.container(border=True, key="coding"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = st.multiselect(
                "Tags",
                tags,
                default=list(held.tags) if held else [],
                accept_new_options=True,
                key=f"tags.{wanted}",
                placeholder="Choose a tag or type your own",
                width=360,
                help="Your own words: choose one or write a new one. “pinned” keeps a case at hand.",
            )
            note = st.text_input(
                "Note",
                held.note if held else "",
                key=f"note.{wanted}",
                width=420,
                max_chars=error_annotations.LONGEST["note"],
                placeholder="Why? What would help?",
            )
            if st.button(
                "Save to notebook",
                key=f"keep.{wanted}",
                icon=":material/bookmark:",
                help="Keeps tags and note with a link back to this case.",
            ):
                try:
                    info = error_annotations.case(
                        kind,
                        model=model,
                        beside=beside,
                        tags=tuple(chosen),
                        note=note,
                        blind=hidden_names.hidden(),
                        link=link,
                        seed=held.seed if held else None,
                        **what,
                    )
                    error_annotations.put(dataset, info)
                except MMRecError as error:
                    layout.show_error(error)
                else:
                    st.toast(
                        "Kept in the Notebook." if chosen or note else "Taken out of the notebook.",
                        icon=":material/bookmark_added:",
                    )


def notebook(dataset: Dataset) -> None:
    """Every coded case: counts, tags to rename, export, import."""
    try:
        found = error_annotations.cases(dataset)
    except MMRecError as error:
        layout.show_error(error)
        return
    if not found:
        st.info(
            "No cases tagged yet. Open a user or a case, give it a tag, and press Save to notebook; or draw a random"
            " sample from a slice.",
            icon=":material/bookmark:",
        )
        import_notebook(dataset)
        return
    tags = sorted({t for c in found for t in c.tags})
    if len(tags) > 1:
        only = st.pills("Only", tags, selection_mode="multi", format_func=layout.escape, key="notes.only")
        found = [c for c in found if not only or set(only) & set(c.tags)]
    by = (
        st.segmented_control(
            "Count tags by", ["model", "slice", "kind"], default="model", required=True, key="notes.by"
        )
        or "model"
    )
    tag_counts(found, by)
    table(dataset, found)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rename(dataset, found)
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            error_annotations.as_csv(found),
            f"{dataset.name}-cases.csv",
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )
        st.download_button(
            "Markdown",
            error_annotations.as_markdown(found, dataset),
            f"{dataset.name}-cases.md",
            "text/markdown",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )
    import_notebook(dataset)


def tag_counts(found: list[Case], by: Any) -> None:
    """How often each tag was given."""
    rows = [
        {"tag": tag, by: name or f"no {by}", "cases": n}
        for tag, count in error_annotations.counts(found, by).items()
        for name, n in count.items()
    ]
    if not rows:
        st.caption("No case has a tag yet.")
        return
    names = sorted({r[by] for r in rows})
    chart = (
        alt.Chart(pd.DataFrame(rows), height=alt.Step(26))
        .mark_bar()
        .encode(
            y=alt.Y("tag:N", title=None, sort="-x"),
            x=alt.X("cases:Q", title="Cases", axis=alt.Axis(tickMinStep=1, format="d")),
            color=alt.Color(
                f"{by}:N",
                title=by,
                scale=alt.Scale(domain=names, range=[SERIES[i % len(SERIES)] for i in range(len(names))]),
            ),
            tooltip=["tag:N", f"{by}:N", "cases:Q"],
        )
    )
    st.altair_chart(chart, alt="Cases by tag: " + ", ".join(f"{r['tag']} {r['cases']} ({r[by]})" for r in rows))


def table(dataset: Dataset, found: list[Case]) -> None:
    """Every case with a link back."""
    titles = (
        dict(zip(map(str, dataset.items.raw.tolist()), dataset.catalog["title"], strict=True))
        if dataset.manifest["films"]
        else {}
    )
    data = pd.DataFrame(
        [
            {
                "Kind": c.kind,
                "User": c.user,
                "Film": titles.get(c.film, c.film),
                "Slice": c.slice,
                "Model": c.model,
                "Beside": c.beside,
                "Tags": [csv_out.safe(tag) for tag in c.tags],  # the table has a download of its own
                "Note": csv_out.safe(c.note),
                "Blind": c.blind,
                "Open": c.link + ("&blind=true" if hidden_names.hidden() else "")
                if error_annotations.ours(c.link)
                else None,
                "Link": None if error_annotations.ours(c.link) else c.link or None,
            }
            for c in found
        ]
    )
    if not data["Link"].notna().any():  # only what came with somebody else's file leads elsewhere, and stays text
        data = data.drop(columns="Link")
    if hidden_names.hidden():
        data = data.drop(columns=["Model", "Beside"])
    event = st.dataframe(
        data,
        hide_index=True,
        key="notes.table",
        on_select="rerun",
        selection_mode="multi-row",
        alt=f"{len(found)} coded cases",
        column_config={
            "Open": st.column_config.LinkColumn(display_text="open"),
            "Tags": st.column_config.ListColumn(),
            "Link": st.column_config.TextColumn(help="A link that does not lead to this app; it came with a file."),
            "Blind": st.column_config.CheckboxColumn(help="Whether the model’s name was hidden when it was coded."),
        },
    )
    chosen = event.selection.rows if event is not None else []
    if chosen and st.button(f"Forget {len(chosen)}", icon=":material/delete:", key="notes.forget"):
        error_annotations.remove(dataset, [found[at].id for at in chosen])
        st.rerun()


def rename(dataset: Dataset, found: list[Case]) -> None:
    """One place in which tags are renamed and merged."""
    tags = sorted({t for c in found for t in c.tags})
    if not tags:
        return
    old = st.selectbox("Rename the tag", tags, key="notes.old", width=220)
    new = st.text_input(
        "to",
        key="notes.new",
        width=220,
        max_chars=error_annotations.LONGEST["tag"],
        help="A name that another tag has already merges the two.",
    )
    if st.button(
        "Rename" if new not in tags else "Merge",
        key="notes.rename",
        disabled=not new.strip() or new == old,
        icon=":material/label:",
    ):
        try:
            n = error_annotations.rename(dataset, old, new.strip())
        except MMRecError as error:
            layout.show_error(error)
        else:
            st.toast(f"{n} case{'s' if n != 1 else ''} now bear “{new.strip()}”.", icon=":material/label:")
            st.rerun()


def import_notebook(dataset: Dataset) -> None:
    """Cases out of a file."""
    with st.expander("Take cases in from a CSV", icon=":material/upload:"):
        file = st.file_uploader("CSV", type="csv", key="notes.file", label_visibility="collapsed", max_upload_size=20)
        if file is not None and st.button("Take in", key="notes.take", icon=":material/upload:"):
            try:
                ownership.require("import cases")
                info = error_annotations.from_csv(file.getvalue().decode("utf-8"))
                error_annotations.put(dataset, *info)
            except UnicodeDecodeError:
                layout.show_error(MMRecError("This is no UTF-8 text. Save the table as CSV UTF-8."))
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.toast(f"{len(info)} cases taken in.", icon=":material/upload:")
                st.rerun()
