"""What this is, what is prepared, and what to do next."""

import time
from collections.abc import Callable

import streamlit as st

from mmrec_core import registry, runs, settings
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from pages.parts import damaged_files, layout, own_ratings
from pages.parts.config_form import config_form
from pages.parts.delete_dialog import delete_button
from pages.parts.get_movielens import get_movielens
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.run_card import changed, live_runs, pace, queue, run_card

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
    """The first look: a line, a strip of posters, two ways on."""
    st.title("See what recommenders see", anchor=False)
    st.markdown(
        "MMRec lets you explore films and compare the models that recommend them: **browse** the films, **rate** a few"
        " as a new visitor, and see what every model recommends to you. Every metric is shown with its data split,"
        " evaluation protocol and confidence interval."
    )
    chosen = layout.dataset()
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
    with st.container(horizontal=True):
        if st.button("Rate a few films", type="primary", icon=":material/star:"):
            st.switch_page(layout.page("cold_start"))
        if st.button("Browse all films", icon=":material/grid_view:"):
            st.switch_page(layout.page("browse"))


def dataset_cards() -> None:
    """One card per prepared dataset: what it holds and which models are fitted."""
    ready = preparation.prepared()
    st.header("Datasets", anchor=False)
    if not ready:
        with st.container(border=True):
            st.subheader("No films yet", anchor=False)
            st.write(
                "Start with Reel World, a generated film world with drawn posters and written plots. It takes about"
                " half a minute and needs no network."
            )
            if st.button("Prepare the demo", type="primary", icon=":material/auto_awesome:", key="first"):
                start_these(lambda: runs.start("prepare", {"reader": "demo", "dataset": "demo"}))
        return
    with st.grid(min_column_width=300):
        for name in ready:
            try:
                dataset_card(name)
            except MMRecError as error:  # it was damaged or deleted since it was listed
                layout.show_error(error)


def start_these(begin: Callable[[], object]) -> None:
    """Queue work and draw the page anew; says why where it cannot be."""
    try:
        begin()
    except MMRecError as error:
        layout.show_error(error)
    else:
        st.rerun()


def dataset_card(name: str) -> None:
    """One prepared dataset."""
    chosen = preparation.open_dataset(name)
    manifest = chosen.manifest
    with st.container(border=True, key=f"card-{name}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"#### {name}")
            if manifest["generated"]:
                st.badge(
                    "generated",
                    icon=":material/science:",
                    color="violet",
                    help=(
                        f"{manifest.get('synthetic', 'invented by our own generator').capitalize()}; a check of"
                        " methods, no evidence about films."
                    ),
                )
        if manifest["films"]:
            events = "ratings" if "rating" in manifest["has"] else "events"
            st.markdown(
                f"**{manifest['ratings']:,}** {events} · **{manifest['users']:,}** people · **{manifest['films']:,}**"
                f" {manifest.get('what', 'films')}"
            )
        else:
            labels = ", ".join(f"**{label}**" for label in chosen.interactions.labels)
            st.markdown(f"**{manifest['ratings']:,}** rows · labels {labels}")
        cover = manifest["coverage"]
        if cover:
            st.caption(
                f"{cover['poster']['films']:.0%} of {manifest.get('what', 'films')} have a poster,"
                f" {cover['plot']['films']:.0%} a plot",
                help=(
                    f"They have {cover['poster']['ratings']:.0%} (posters) and {cover['plot']['ratings']:.0%} (plots)"
                    " of all ratings."
                ),
            )
        able, done = runs.usable_models(chosen), runs.finished(chosen)
        fitted = [m for m in able if m in done]
        st.caption(
            f"{len(fitted)} trained, of {len(able)} models that work on this dataset"
            + (f": {', '.join(fitted)}" if fitted else "")
        )
        for note in manifest["notes"]:
            st.caption(f":material/info: {layout.escape(note)}")
        with st.container(horizontal=True):
            if manifest["films"] and st.button("Browse", key=f"browse-{name}", icon=":material/grid_view:"):
                st.switch_page(layout.page("browse"), query_params={"dataset": name})
            if fitted and st.button("Compare", key=f"compare-{name}", icon=":material/leaderboard:"):
                st.switch_page(layout.page("compare"), query_params={"dataset": name})
            if st.button("Train", key=f"train-{name}", icon=":material/model_training:"):
                st.switch_page(layout.page("train"), query_params={"dataset": name})
            if len(fitted) < len(able) and st.button(
                "Train baseline models", key=f"fit-{name}", icon=":material/model_training:"
            ):
                start_these(lambda: runs.start_all(name))
            delete_button("dataset", name, f"dataset-{name}")
        if manifest["licence"]:
            with st.expander("Licence and source"):
                st.caption(layout.escape(manifest["licence"]))


def jobs_in_progress() -> None:
    """What runs now; when a run begins or ends the whole page is drawn anew."""
    live = live_runs()
    if changed("live_runs", [run.id for run in live]):
        st.rerun()
    if live:
        st.header("Running jobs", anchor=False)
        queue(live)


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
                        ":material/download: Will be downloaded from GroupLens. Or set MMREC_SOURCES to a folder that"
                        " contains it."
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
    with own:
        own_ratings.form(start_prepare)


def start_prepare(params: dict[str, object]) -> None:
    """Queue a preparation and show it."""
    try:
        if params["reader"] == "csv" and params["dataset"] in registry.entries("datasets"):
            raise MMRecError(f"'{params['dataset']}' is the name of a built-in dataset; choose another name.")
        runs.start("prepare", params)
    except MMRecError as error:
        layout.show_error(error)
    else:
        st.rerun()


introduction()
st.fragment(jobs_in_progress, run_every=pace())()
failed_jobs()
damaged_files.section()
dataset_cards()
add_dataset()
