"""The projector's view of a class: large type and no menus; it writes nothing. The host may go on with one key."""

from __future__ import annotations

import functools
import html
import os

import segno
import streamlit as st

from mmrec_core.classroom import store
from mmrec_core.classroom.experiment import BASELINE
from mmrec_core.classroom.store import EXPERIMENT, LESSON, Classroom
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout, lesson_question, owner
from pages.parts.classroom import changes, experiment_view, shown_question, steps
from pages.parts.classroom.class_map import class_map

STYLE = """<style>
[data-testid=stHeader], .st-key-switch, [data-testid=stSidebar], .st-key-strip { display: none !important; }
.stMainBlockContainer { max-width: 1700px; padding: 1.5rem 2.5rem 7rem; }
.st-key-projector p, .st-key-projector li { font-size: clamp(1.2rem, 2.2vw, 2.2rem); line-height: 1.35; }
.st-key-projector h2 { font-size: clamp(1.7rem, 3.6vw, 3.6rem); line-height: 1.12; padding: .2rem 0; }
.st-key-projector [data-testid=stCaptionContainer] p { font-size: clamp(1rem, 1.4vw, 1.4rem); }
.st-key-projector [data-testid=stMarkdownContainer] h2 + p { margin-top: .6em; }
.st-key-projector .class-bars { font-size: clamp(1.2rem, 2.4vw, 2.4rem); gap: .5em .8em; }
.st-key-projector-keys { position: fixed; inset: auto 0 0 0; z-index: 30; padding: .7rem 2.5rem;
  background: var(--st-background-color, light-dark(#FFFEFA, #14120F)); border-top: 1px solid #8886; }
.class-code { font: 800 clamp(3rem, 11vw, 11rem)/1 ui-monospace, monospace; letter-spacing: .08em; margin: .2rem 0; }
.class-join { display: flex; flex-wrap: wrap; gap: 3vw; align-items: center; }
.class-join p { font-size: clamp(1.2rem, 2.2vw, 2.2rem); margin: 0; overflow-wrap: anywhere; }
.class-join img { width: min(34vw, 22rem); height: auto; border-radius: 8px; }
.class-corner { display: flex; gap: 1rem; align-items: center; justify-content: flex-end; font-size: 1.3rem; }
.class-corner b { font-family: ui-monospace, monospace; letter-spacing: .06em; }
.class-corner img { width: 5.5rem; border-radius: 4px; }
[data-testid=stMain]:focus { outline: none; }
</style>"""
STYLE_OF_CODE = """<style>
.class-small img { width: 100%; max-width: 15rem; height: auto; border-radius: 6px; display: block; }
.class-small-code { font: 800 2.3rem/1.2 ui-monospace, monospace; letter-spacing: .08em; margin-top: .5rem; }
</style>"""


def join_link(classroom: Classroom) -> str:
    """The address under which participants join."""
    return f"{base_address()}/class?code={classroom.code}"


def base_address() -> str:
    """The address of the app as others reach it: what ``serve`` printed, else what this browser used."""
    if (printed := os.environ.get("MMREC_ADDRESS")) and owner.wide():
        return printed
    url = st.context.url or ""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if rest else ""


@functools.lru_cache(maxsize=64)
def qr_code(text: str) -> str:
    """A QR code as an image, black on white in dark and light."""
    data: str = segno.make(text, error="m").svg_data_uri(scale=8, border=2, dark="#000", light="#fff")
    return f'<img alt="QR code of the address to join" src="{html.escape(data)}">'


@st.fragment
def projector_view(class_id: str, dataset: Dataset) -> None:
    """What the wall shows; it follows the class by itself."""
    try:
        classroom = store.get(class_id)
    except MMRecError as error:
        layout.show_error(error)
        return
    changes.watch(class_id, classroom.version, everything=True)
    st.html(STYLE)
    people = len(store.participants_of(class_id))
    with st.container(key="projector"), changes.drawing():
        own = shown_question.shown(classroom, dataset) if classroom.activity == LESSON else None
        if own is not None:
            corner(classroom, people)
            question(classroom, own, dataset, people)
        elif classroom.activity == EXPERIMENT and classroom.plan:
            corner(classroom, people)
            the_experiment(classroom, dataset)
        else:
            lobby(classroom, people)
    if owner.is_owner() and classroom.is_open and own is not None:
        with st.container(horizontal=True, vertical_alignment="center", key="projector-keys"):
            lead(classroom, own)


def lead(classroom: Classroom, own: shown_question.Shown) -> None:
    """The host's two keys: on and back."""
    now = (own.at, classroom.revealed)
    for says, by, key, icon in (
        ("Back", -1, "Left", ":material/arrow_back:"),
        (steps.label(now, own.open), 1, "Right", ":material/arrow_forward:"),
    ):
        target = steps.move(now, by, own.open)
        if st.button(
            says,
            key=f"lead-{by}",
            shortcut=key,
            icon=icon,
            disabled=target is None,
            type="primary" if by > 0 else "secondary",
        ):
            assert target is not None
            store.show(classroom.id, LESSON, own.lesson.name, *target)
            st.rerun(scope="fragment")


def corner(classroom: Classroom, people: int) -> None:
    """How to join, and the number of people, for whoever comes late."""
    if not classroom.is_open:
        st.html('<div class="class-corner">This class has ended.</div>')
        return
    link = join_link(classroom)
    plain = html.escape(link.partition("://")[2].partition("?")[0])
    st.html(
        f'<div class="class-corner"><span>{plain}<br><b>{classroom.code}</b> · {people} here</span>'
        f"{qr_code(link)}</div>"
    )


def lobby(classroom: Classroom, people: int) -> None:
    """How to join, in large type."""
    link = join_link(classroom)
    plain = html.escape(link.partition("://")[2].partition("?")[0])
    st.html(
        f'<h2>{html.escape(classroom.title)}</h2><div class="class-join">{qr_code(link)}<div><p>Scan, or open'
        f' <b>{plain}</b> and type</p><div class="class-code">{classroom.code}</div><p>{people} joined</p></div></div>'
    )
    if not classroom.is_open:
        st.info("This class has ended.", icon=":material/flag:")


def question(classroom: Classroom, own: shown_question.Shown, dataset: Dataset, people: int) -> None:
    """The title, or a question: its choices and how many have answered; after the reveal the bars and the reason."""
    if own.step is None:
        st.markdown(f"## {layout.escape(own.lesson.title)}")
        st.write(own.lesson.why)
        layout.generated_note(dataset)
        return
    st.markdown(f"## {own.at + 1}. {own.step.question}")
    if classroom.revealed:
        shown_question.question_bars(classroom, own)
        lesson_question.answer(own.lesson.steps[own.at], own.step, dataset, f"projector-{own.lesson.name}-{own.at}")
        return
    for choice in own.step.choices:
        st.markdown(f":material/circle: {layout.escape(choice)}")
    if not own.step.choices:
        st.caption("An open question.")
    n = sum(a["question"] == own.at for a in store.answers_of(classroom.id, own.lesson.name))
    st.progress(min(1.0, n / max(people, 1)), text=f"{n} of {people} answered")


def the_experiment(classroom: Classroom, dataset: Dataset) -> None:
    """The class on the map, and which model knows it."""
    ratings, people = store.ratings_of(classroom.id), store.participants_of(classroom.id)
    found = experiment_view.standings_of(classroom, dataset, ratings)
    st.markdown("## Which model knows this class?")
    st.markdown(experiment_view.leading(found, not classroom.is_open))
    left, right = st.columns([3, 2], gap="large")
    with left:
        class_map(dataset, people, ratings, 430)
    with right:
        best = found[:9]
        best += [own for own in found[9:] if own["model"] == BASELINE]
        experiment_view.standings_chart(best, large=True)
    film = experiment_view.dividing_film(dataset, ratings)
    if film is not None:
        row, numbers = film
        spread = ", ".join(f"{n} × ★{stars:g}" for stars, n in numbers["counts"].items())
        title = layout.escape(str(dataset.catalog["title"].iloc[row]))
        st.markdown(f"Opinions differ most about **{title}** ({spread})")
    layout.generated_note(dataset)
