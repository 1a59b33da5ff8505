"""What surrounds every page: navigation made from the files of ``pages/``, the dataset switch, the error boundary."""

from __future__ import annotations

import ast
from pathlib import Path

import streamlit as st

from mmrec_core import docstrings, runs, settings, storage, syntax
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.settings import ROOT, silence_telemetry
from mmrec_core.types import Dataset
from pages.parts import lesson_bar, navigation, owner
from pages.parts.ending import end_page

DIALOG = "dialog_open"
"""Whether a dialog is open. A run of the whole page would close it, so what reruns a page by itself waits meanwhile."""
PAGES = Path(__file__).resolve().parents[1]
# The accent carries white labels on buttons; as text on a dark pill it has to be lighter.
CHOSEN = "[data-testid=stButtonGroup] :is([aria-pressed=true], [aria-checked=true]) p"
# The dataset switch stands in the row of the page's title; the navigation component shows nothing.
SWITCH = """@media (min-width: 640px) {
.st-key-switch { position: relative; z-index: 5; margin-bottom: -4.6rem; pointer-events: none; }
.st-key-switch > * { pointer-events: auto; }
}"""
FOCUS = "[data-testid^=stTopNavLink]:focus-visible, [data-testid^=stSidebarNavLink]:focus-visible"
# Anchors of cards take no room; a link to one shows the card below the navigation bar.
ANCHORS = """[data-testid=stElementContainer]:has([id^=job-]) { position: absolute; }
[class*=st-key-run-] { position: relative; }
[id^=job-], #running-jobs { scroll-margin-top: 5.5rem; }"""
STYLE = f"""<style>
{ANCHORS} {CHOSEN} {{ color: light-dark(#9A3412, #F5B340); }} {SWITCH}
.st-key-navigation, .st-key-owner-pass {{ display: none; }}
{FOCUS} {{ outline: 3px solid light-dark(#9A3412, #F5B340); outline-offset: -2px; }}
</style>"""
VIEWS = {
    "browse": ("film",),
    "errors": ("look", "who", "what"),
    "inside": ("view",),
    "learn": ("lesson",),
    "study": ("study", "results", "step"),
    "train": ("part",),
}
"""Parameters of the address that show other content on the same page, which then begins at its top."""


@st.cache_data(max_entries=64)
def _about(file: str, modified_ns: int) -> dict[str, str]:
    """A page's title, icon and order from its constants, its help from its docstring; the page is not run."""
    tree = syntax.parse(Path(file).read_text(encoding="utf-8"))
    summary = {
        node.targets[0].id: str(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    return {"help": docstrings.summary(ast.get_docstring(tree)), **summary}


def page(name: str) -> st.Page:
    """The page of a file, to link to or switch to."""
    file = PAGES / f"{name}.py"
    about = _about(str(file), file.stat().st_mtime_ns)
    title = about.get("TITLE", name.replace("_", " ").capitalize())
    return st.Page(
        file,
        title=title,
        icon=about.get("ICON", ":material/article:"),
        help=about["help"],
        url_path=name,
        default=name == "home",
    )


def run() -> None:
    """Draw the frame, then the chosen page inside it."""
    st.set_page_config(page_title="MMRec", page_icon=str(ROOT / "assets" / "icon.png"), layout="wide")
    silence_telemetry()
    files = [f for f in PAGES.glob("[!_]*.py")]
    names = sorted(
        (f.stem for f in files),
        key=lambda n: _about(str(PAGES / f"{n}.py"), (PAGES / f"{n}.py").stat().st_mtime_ns).get("ORDER", "99"),
    )
    chosen = st.navigation([page(name) for name in names], position="top")
    st.set_page_config(page_title=f"{chosen.title} · MMRec")
    st.html(STYLE)
    moved = st.empty()
    st.session_state[DIALOG] = False
    try:
        owner.arrive()
        storage.open_home()
        _revive()
        _switch()
        owner.keep()
        path = chosen.url_path or "home"
        before, st.session_state["here"] = st.session_state.get("here"), path
        if before not in {None, path} and set(st.query_params) <= {"dataset"}:
            _bring_back(path)
        _lesson_strip(path)
        st.session_state["framed"] = True
        chosen.run()
        navigation.remember(path, st.session_state.get("dataset", ""))
        with moved:
            shown = [st.query_params.get(key, "") for key in VIEWS.get(path, ())]
            navigation.view(
                " ".join([path, *shown]).strip(),
                keeps_position=path == "learn" or (path == "browse" and not any(shown)),
            )
    except MMRecError as error:
        show_error(error)
    finally:
        st.session_state["framed"] = False


def _bring_back(path: str) -> None:
    """A page that was shown before, with this dataset, comes back as it was left."""
    earlier = navigation.remembered(path, st.session_state.get("dataset", ""))
    if earlier:
        st.switch_page(page(path), query_params={"dataset": st.session_state["dataset"], **earlier})


def _lesson_strip(url_path: str) -> None:
    """A lesson that sent somebody here keeps its question in sight, with the way back."""
    if url_path != "learn" and st.session_state.get("dataset"):
        back = lambda name: st.switch_page(
            page("learn"), query_params={"dataset": st.session_state["dataset"], "lesson": name}
        )
        lesson_bar.bar(back)


@st.cache_resource(show_spinner=False, ttl=60)
def _revive() -> None:
    """Now and then: queued runs whose worker went down, with this machine or another, get a new one."""
    runs.relaunch_orphaned()


def frame() -> None:
    """Put the shell around a page that Streamlit ran without ``app.py``.

    A fresh server that is first asked for a deep link finds ``pages/`` by itself and runs the page alone, until
    ``st.navigation`` has been called once. So every page begins with this.
    """
    if not st.session_state.get("framed"):
        run()
        end_page()


def _switch() -> None:
    """The dataset switch. The URL always names the dataset, so that a link shows what its sender saw."""
    ready = preparation.prepared()
    if not ready:
        owner.badge()
        return
    preferred = (
        "ml-latest-small"
        if "ml-latest-small" in ready and "demo" not in ready
        else "demo"
        if "demo" in ready
        else ready[0]
    )
    asked, before = st.query_params.get("dataset"), st.session_state.get("dataset")
    current = asked if asked in ready else before if before in ready else preferred
    if asked is not None and asked not in ready:
        forget_films()
        fault = preparation.damaged().get(asked)
        why = (
            f"which is not prepared here. This is {current}."
            if fault is None
            else f"which cannot be opened. This is {current}. {escape(str(fault))}"
        )
        st.warning(f"The link names the dataset “{escape(asked)}”, {why}", icon=":material/link_off:")
    st.session_state["dataset"] = st.session_state["switch_to"] = current
    if asked != current:
        st.query_params["dataset"] = current
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="switch"):
        st.selectbox(
            "Dataset", ready, key="switch_to", on_change=_switched, label_visibility="collapsed", width=230,
            help="Which films and ratings every page shows.",
        )  # fmt: skip
        owner.badge()


def _switched() -> None:
    """Another dataset: film numbers in the URL would mean other films there."""
    forget_films()
    st.query_params["dataset"] = st.session_state["switch_to"]


def forget_films() -> None:
    """Take film numbers out of the URL."""
    for key in ("film", "ratings", "unseen"):
        if key in st.query_params:
            del st.query_params[key]


def dataset() -> Dataset | None:
    """The dataset chosen in the shell, or ``None`` where nothing is prepared."""
    name = st.session_state.get("dataset")
    if name is None or name not in preparation.prepared():
        return None
    folder = preparation.open_dataset(name).folder
    return _opened(str(folder), (folder / "manifest.json").stat().st_mtime_ns)


def open_film(chosen: Dataset, row: int) -> None:
    """Go to a film's own view."""
    st.switch_page(page("browse"), query_params={"dataset": chosen.name, "film": str(chosen.items.raw[row])})


@st.cache_resource(max_entries=4, show_spinner=False)
def _opened(folder: str, modified_ns: int) -> Dataset:
    return Dataset(Path(folder))


def needs_dataset() -> Dataset:
    """The chosen dataset; where nothing is prepared the page ends here, saying what to do."""
    chosen = dataset()
    if chosen is None:
        with st.container(border=True):
            st.subheader("No films yet")
            for fault in preparation.damaged().values():
                st.warning(escape(str(fault)), icon=":material/broken_image:")
            st.write("Nothing is prepared so far. The demo world takes about half a minute; MovieLens works, too.")
            if st.button("Prepare the demo", type="primary", icon=":material/auto_awesome:"):
                runs.start("prepare", {"reader": "demo", "dataset": "demo"})
                st.switch_page(page("home"))
            st.page_link(page("home"), label="Other datasets and your own data")
        end_page()
    return chosen


def needs_films(chosen: Dataset) -> None:
    """For pages about films: a table of rows has none, and the page ends here, saying what there is instead."""
    if chosen.manifest["films"]:
        return
    labels = ", ".join(chosen.interactions.labels)
    with st.container(border=True):
        st.subheader("Rows, no films", anchor=False)
        st.write(
            f"{escape(chosen.name)} is a table of {chosen.manifest['ratings']:,} rows with the labels {escape(labels)}:"
            " there are no people and no films to show here. Train models that predict the labels, and compare them."
        )
        st.page_link(page("train"), label="Train a model on it", icon=":material/model_training:")
        st.page_link(page("compare"), label="Compare models", icon=":material/compare_arrows:")
    end_page()


def generated_note(chosen: Dataset) -> None:
    """Say that data are generated, wherever they are shown."""
    if chosen.manifest["generated"]:
        what = (
            f"{chosen.manifest['synthetic']}."
            if "synthetic" in chosen.manifest
            else "Reel World is generated: films, posters and ratings are invented."
        )
        st.caption(
            f":material/science: {what[0].upper()}{what[1:]} Use them to test methods, not to draw conclusions about"
            " real films."
        )


def show_error(error: MMRecError) -> None:
    """A known error, as a person should meet it."""
    st.error(escape(settings.without_paths(str(error))), title="That did not work", icon=":material/error:")


def stars(value: float) -> str:
    """``3.5`` → ``★ 3.5``."""
    return f"★ {value:.1f}"


def escape(text: str) -> str:
    """Text of somebody else's as it stands: nothing in it becomes Markdown, HTML, an icon or a formula."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|$~:" else c for c in str(text))
