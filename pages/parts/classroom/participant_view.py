"""What a participant sees on their own screen: the question, the films to rate, or that the class waits."""

from __future__ import annotations

import concurrent.futures
import html
from concurrent.futures import Future

import streamlit as st

from mmrec_core.classroom import experiment, likeness, store
from mmrec_core.classroom.store import EXPERIMENT, LESSON, Classroom, Participant
from mmrec_core.errors import MMRecError
from mmrec_core.serving import answers
from mmrec_core.serving.answers import Answer
from mmrec_core.types import Dataset
from pages.parts import layout, lesson_question
from pages.parts.classroom import changes, identity, shown_question
from pages.parts.poster_grid import film_card, poster_grid, rated
from pages.parts.study import blinding
from pages.parts.turns import turns

STYLE = "<style>.st-key-switch { display: none; }</style>"
"""The class decides on the dataset."""
DEALT = 8
"""Films to rate that are shown at a time."""
LISTED = 8
ALIKE_EVERY = 4


@st.fragment
def participant_view(class_id: str, dataset: Dataset) -> None:
    """The participant's view; it follows the host."""
    try:
        classroom = store.get(class_id)
        mine = identity.who(class_id)
    except MMRecError as error:
        layout.show_error(error)
        return
    changes.watch(class_id, classroom.scene, everything=False)
    st.html(STYLE)
    if mine is None:
        st.info("You are no longer in this class.", icon=":material/logout:")
        if st.button("Join again", icon=":material/login:"):
            identity.keep(class_id, None)
            st.rerun()
        return
    head(classroom, mine)
    if not classroom.is_open:
        st.info("This class has ended. What you said is kept until you or the host delete it.", icon=":material/flag:")
    if classroom.activity == LESSON:
        lesson(classroom, mine, dataset)
    elif classroom.activity == EXPERIMENT and classroom.plan:
        rate(classroom, mine, dataset)
    elif classroom.is_open:
        st.markdown("### You are in.")
        st.write("The class has not begun. This page follows the host by itself; there is nothing to do now.")


def head(classroom: Classroom, mine: Participant) -> None:
    """The class, the nickname, and the way out."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{layout.escape(classroom.title)}** :gray[{layout.escape(mine.nickname)}]")
        with st.popover("Leave", icon=":material/logout:", type="tertiary"):
            st.write("Everything you answered and rated in this class is deleted.")
            if st.button("Leave and delete everything", key="leave", icon=":material/delete:"):
                store.leave(str(identity.secret(classroom.id)))
                identity.keep(classroom.id, None)
                st.query_params.pop("code", None)
                st.rerun()


def lesson(classroom: Classroom, mine: Participant, dataset: Dataset) -> None:
    """The question of the class: answer it, or read the right answer."""
    own = shown_question.shown(classroom, dataset)
    if own is None or own.step is None:
        st.markdown(f"### {layout.escape(own.lesson.title) if own else 'A lesson'}")
        if own:
            st.write(own.lesson.why)
        st.caption("The first question comes in a moment.")
        return
    step, said = own.step, store.own_answer(mine.id, own.lesson.name, own.at)
    st.markdown(f"### {own.at + 1}. {step.question}")
    if not lesson_question.is_open(step):
        st.info("This question cannot be asked on these data.", icon=":material/do_not_disturb_on:")
    elif classroom.revealed:
        if said is None:
            st.caption("You did not answer this question.")
        else:
            lesson_question.verdict(step, said)
        shown_question.question_bars(classroom, own)
        st.markdown(step.answer.replace("\n", "\n\n"))
    elif not classroom.is_open:
        st.caption("The class ended before the answer was shown.")
    else:
        answer_form(classroom, own, said)


def answer_form(classroom: Classroom, own: shown_question.Shown, said: str | None) -> None:
    """A button for each choice, or a field; an answer is kept at once and can be changed until the reveal."""
    assert own.step is not None
    say = lambda text: _say(classroom.id, own.lesson.name, own.at, text)
    if own.step.choices:
        for n, choice in enumerate(own.step.choices):
            st.button(
                layout.escape(choice),
                key=f"choice-{own.lesson.name}-{own.at}-{n}",
                type="primary" if choice == said else "secondary",
                icon=":material/check_circle:" if choice == said else ":material/circle:",
                width="stretch",
                on_click=say,
                args=(choice,),
            )
    else:
        with st.form(f"open-{own.lesson.name}-{own.at}", border=False):
            text = st.text_input("Your answer", said or "", max_chars=400, placeholder="In your own words")
            if st.form_submit_button("Send", type="primary") and text.strip():
                say(text)
                said = text
    fault = st.session_state.pop("class_fault", None)
    if fault:
        st.warning(layout.escape(fault), icon=":material/error:")
    elif said is not None:
        st.caption(":material/check: Kept. You can change it until the answer is shown.")


def _say(class_id: str, lesson_name: str, at: int, text: str) -> None:
    try:
        store.answer(str(identity.secret(class_id)), lesson_name, at, text)
    except MMRecError as error:
        st.session_state["class_fault"] = str(error)


@st.fragment
def rate(classroom: Classroom, mine: Participant, dataset: Dataset) -> None:
    """Films to rate, and the list that a model makes of the ratings so far; a tap draws only this anew."""
    with turns.turn():
        own = store.ratings_of(classroom.id, mine.id)
        asked = ask(classroom, own, dataset)
        films_to_rate(classroom, own, dataset)
    if asked is not None:
        concurrent.futures.wait([asked])  # outside of the turn, so that others ask meanwhile and share its batch
    if own:
        with turns.turn():
            own_ratings(classroom, own, dataset)
            if asked is not None:
                recommended(classroom, own, asked, dataset)
            if len(own) >= likeness.SHARED:  # nobody can have so many in common with them before
                alike(classroom, mine, len(own))


def films_to_rate(classroom: Classroom, own: list[store.Rating], dataset: Dataset) -> None:
    """How many are rated, and the next films."""
    assert classroom.plan is not None
    stars = {r.item: r.stars for r in own}
    items = classroom.plan["items"]
    row_of = dict(zip(items, dataset.items.rows(items).tolist(), strict=True))
    done = len(own) >= store.RATED
    invented = dataset.manifest["generated"]
    st.markdown("### Would you like these films?" if invented else "### Rate the films you know")
    if invented:
        st.caption("They are invented: judge by poster and title.")
    st.progress(
        min(1.0, len(own) / store.RATED),
        text=f"{len(own)} of {store.RATED} ratings" if not done else f"{len(own)} ratings, thank you",
    )
    fault = st.session_state.pop("class_fault", None)
    if fault:
        st.warning(layout.escape(fault), icon=":material/error:")
    if classroom.is_open:
        skipped: list[int] = st.session_state.setdefault(f"class_skipped-{classroom.id}", [])
        rows = [row for item, row in row_of.items() if item not in stars]
        rows = [row for row in rows if row not in skipped] or rows
        if rows:
            poster_grid(
                [film_card(dataset, row) for row in rows[:DEALT]],
                key="class.rate",
                rate=dataset.scale or (1.0, 5.0),
                size="row",
                on_rate=lambda: _rated(classroom.id, "class.rate", dataset),
                on_skip=lambda: _skip(classroom.id),
                label="Films to rate",
            )
        else:
            st.success("You have rated every film of this class.", icon=":material/done_all:")


def own_ratings(classroom: Classroom, own: list[store.Rating], dataset: Dataset) -> None:
    """What was rated, to change or to take back; drawn on demand, since it grows with every tap."""
    if st.toggle(f"Your ratings ({len(own)})", key="class.all"):
        rows = dataset.items.rows([r.item for r in own]).tolist()
        poster_grid(
            [film_card(dataset, row, stars=r.stars) for row, r in reversed(list(zip(rows, own, strict=True)))],
            key="class.mine",
            rate=(dataset.scale or (1.0, 5.0)) if classroom.is_open else None,
            size="row",
            on_rate=lambda: _rated(classroom.id, "class.mine", dataset),
            label="Your ratings",
        )


def ask(classroom: Classroom, own: list[store.Rating], dataset: Dataset) -> Future[Answer] | None:
    """Ask the plan's model what it recommends from the ratings that are not held out; ``None`` without any, and for
    those who take part in a study, who are not to recognise a list."""
    assert classroom.plan is not None
    if blinding.unfinished() is not None:
        return None
    run = experiment.trained(dataset).get(classroom.plan["model"])
    known = [r for r in own if not r.held]
    return answers.ask(run, [experiment.history(dataset, known)])[0] if run is not None and known else None


def recommended(classroom: Classroom, own: list[store.Rating], asked: Future[Answer], dataset: Dataset) -> None:
    """The model's recommendations, without what they have rated."""
    assert classroom.plan is not None
    try:
        found = asked.result()
    except MMRecError as error:
        layout.show_error(error)
        return
    rated = set(dataset.items.rows([r.item for r in own]).tolist())
    st.markdown(f"**For you, by {layout.escape(classroom.plan['model'])}**")
    poster_grid(
        [film_card(dataset, int(row)) for row in found.items.tolist() if row not in rated][:LISTED],
        key="class.list",
        size="row",
        label="Recommended to you",
    )


def alike(classroom: Classroom, mine: Participant, rated: int) -> None:
    """Whose ratings are most like one's own: looked up at every :data:`ALIKE_EVERY`-th rating, since all ratings of the
    class are compared."""
    kept = f"class_alike-{classroom.id}"
    if kept not in st.session_state or rated % ALIKE_EVERY == 0:
        found = likeness.nearest(store.shared_ratings(classroom.id, mine.id))
        st.session_state[kept] = found[0] if found is not None and found[1] > 0 else None
    who = st.session_state[kept]
    if who is not None and (name := store.nickname_of(who)):  # nobody who has left is named
        st.html(f"<p>Most like you in this class: <b>{html.escape(name)}</b></p>")


def _rated(class_id: str, key: str, dataset: Dataset) -> None:
    """A star was set or cleared."""
    scale = dataset.scale or (1.0, 5.0)
    try:
        with turns.turn():
            for row, stars in rated(st.session_state.get(key), len(dataset.items), scale):
                store.rate(str(identity.secret(class_id)), experiment.plain_id(dataset.items.raw[row]), stars, scale)
    except MMRecError as error:
        st.session_state["class_fault"] = str(error)


def _skip(class_id: str) -> None:
    """A film that this participant has not seen goes to the end."""
    event = st.session_state.get("class.rate")
    if event is not None and isinstance(event.get("skip"), int):
        st.session_state.setdefault(f"class_skipped-{class_id}", []).append(int(event["skip"]))
