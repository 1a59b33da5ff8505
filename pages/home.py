"""What this is, three things to do, and the datasets."""

import time

import streamlit as st

from mmrec_core import registry, runs, settings
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from pages.parts import damaged_files, layout, own_ratings, queued_note
from pages.parts.config_form import config_form
from pages.parts.dataset_table import dataset_table
from pages.parts.get_movielens import get_movielens
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.run_card import changed, live_runs, pace, run_card, span, title
from pages.parts.start_cards import start_cards

TITLE = "Home"
ICON = ":material/home:"
ORDER = "00"

layout.frame()


def open_film() -> None:
    """A poster of the strip leads to its film."""
    chosen = st.session_state.get("strip")
    if chosen is not None and chosen.get("open") is not None:
        st.session_state["go_to_film"] = int(chosen["open"])


def introduction() -> None:
    """What this is, three things to do, and a strip of posters."""
    st.title("Compare and explore movie recommenders", anchor=False)
    st.markdown("Browse films, rate some, train models on the ratings, and see which model recommends best.")
    chosen = layout.dataset()
    start_cards(chosen)
    if chosen is not None and chosen.manifest["films"]:
        st.page_link(
            layout.page("compare"),
            label="See films on which two models disagree, and why",
            icon=":material/compare_arrows:",
            query_params={"dataset": chosen.name, "part": "Disagreements"},
        )
    if chosen is None or not chosen.manifest["films"]:
        return
    catalog = chosen.catalog
    best = catalog[catalog["poster"].notna()].nlargest(16, "n_ratings").index
    if len(best) < 6:
        best = catalog.nlargest(16, "n_ratings").index
    poster_grid(
        [film_card(chosen, int(row)) for row in best],
        key="strip",
        size="row",
        on_open=open_film,
        label=f"Best known films of {chosen.name}",
    )
    layout.generated_note(chosen)
    if (row := st.session_state.pop("go_to_film", None)) is not None:
        layout.open_film(chosen, row)


def datasets() -> None:
    """The prepared datasets, or how to prepare the first one."""
    ready = preparation.prepared()
    st.header("Datasets", anchor=False)
    if not ready:
        with st.container(border=True):
            st.subheader("No films yet", anchor=False)
            st.write("Reel World, a generated film world with posters and plots, takes about half a minute.")
            if st.button("Prepare the demo", type="primary", icon=":material/auto_awesome:", key="first"):
                queued_note.start("first", lambda: [runs.start("prepare", {"reader": "demo", "dataset": "demo"})])
            queued_note.show("first", linked=False)
        return
    asked = dataset_table(ready)
    if asked is not None:
        queued_note.start("fit", lambda: runs.start_all(asked[1]))
    queued_note.show("fit", linked=False)


def jobs_in_progress() -> None:
    """What runs now, in one line; when a run begins or ends the whole page is drawn anew.

    Where no dataset is ready yet, everybody waits for the first one, so its whole card is shown.
    """
    live = live_runs()
    if changed("live_runs", [f"{run.id} {run.status}" for run in live]):
        st.rerun()
    if not live:
        return
    if layout.dataset() is None:
        run_card(live[0])
        return
    first, others = live[0], len(live) - 1
    left = runs.remaining(first) if first.status == "running" else None
    parts = [f":material/sync: {title(first)}"]
    parts += [f"about {span(left)} left"] if left is not None else []
    parts += [f"{others} more waiting"] if others else []
    with st.container(horizontal=True, vertical_alignment="center", key="jobs"):
        st.caption(" · ".join(parts), width="content")
        st.page_link(layout.page("train"), label="Running jobs", icon=":material/arrow_forward:")


def failed_jobs() -> None:
    """Runs of the last day that failed and were not repeated with success."""
    recent = [r for r in runs.all_runs() if r.status == "failed" and time.time() - float(r.record["created"]) < 86_400]
    settled = [r.params for r in runs.all_runs() if r.status in {"finished", *runs.LIVE}]
    hidden = st.session_state.setdefault("dismissed", [])
    open_ones = [r for r in recent if r.params not in settled and r.id not in hidden]
    if open_ones:
        st.header("Failed jobs", anchor=False)
        run_card(open_ones[-1])
        if st.button("Dismiss", icon=":material/close:", type="tertiary"):
            hidden.append(open_ones[-1].id)
            st.rerun()


def add_dataset() -> None:
    """Prepare a known dataset, or bring one's own."""
    st.header("Add a dataset", anchor=False)
    get_movielens(start_prepare)
    known, own = st.tabs(["MovieLens and the demo", "Bring your own ratings"])
    with known:
        names = [n for n in registry.entries("datasets") if n != "csv"]
        name = st.selectbox(
            "Dataset",
            names,
            index=names.index("ml-latest-small") if "ml-latest-small" in names else 0,
            key="to_prepare",
        )
        found = registry.entries("datasets")[name]
        if found.fault:
            st.error(found.fault, title="This dataset's file is broken")
        else:
            st.caption(found.summary)
            at_hand = any(
                (s / name).exists() or (s / f"{name}.zip").exists()
                for s in (*settings.sources(), settings.home() / "downloads")
            )
            if name.startswith("ml-"):
                st.caption(
                    ":material/folder: Found among your sources."
                    if at_hand
                    else (
                        ":material/download: It will be downloaded from GroupLens. If you have it already, set the"
                        " environment variable MMREC_SOURCES to a folder that contains it."
                    )
                )
            with st.expander("Settings"):
                options = config_form("datasets", name, key="prepare")
            again = name in preparation.prepared()
            if st.button(
                "Prepare again from its source" if again else "Prepare",
                type="primary",
                icon=":material/play_arrow:",
                key="prepare",
            ):
                start_prepare({"reader": name, "dataset": name, "options": options})
        queued_note.show("prepare", linked=False)
    with own:
        own_ratings.form(start_prepare)
        queued_note.show("own", linked=False)


def start_prepare(params: dict[str, object]) -> None:
    """Queue a preparation, and note it beside its button."""
    own = params["reader"] == "csv"

    def begin() -> list[runs.Run]:
        if own and params["dataset"] in registry.entries("datasets"):
            raise MMRecError(f"'{params['dataset']}' is the name of a built-in dataset; choose another name.")
        return [runs.start("prepare", params)]

    queued_note.start("own" if own else "prepare", begin)


introduction()
st.fragment(jobs_in_progress, run_every=pace())()
failed_jobs()
damaged_files.section()
datasets()
add_dataset()
