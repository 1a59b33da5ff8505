"""The host's view: open a class, lead a lesson or the experiment, see who is there, take the results along."""

from __future__ import annotations

import html
import re
import time

import pandas as pd
import streamlit as st

from mmrec_core import runs
from mmrec_core.analysis import lessons
from mmrec_core.analysis.lessons import Lesson
from mmrec_core.classroom import experiment, limits, network, report, store
from mmrec_core.classroom.store import EXPERIMENT, LESSON, LOBBY, Classroom
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout, lesson_question, owner
from pages.parts.classroom import changes, experiment_view, projector_view, shown_question
from pages.parts.classroom.class_map import class_map

ACTIVITY_LABELS = {LOBBY: "Joining", LESSON: "Lesson", EXPERIMENT: "Which model knows us?"}


def host_page(dataset: Dataset) -> None:
    """The chosen class, or all classes to choose one."""
    st.title("Class", anchor=False)
    chosen = st.query_params.get("class")
    if chosen:
        try:
            classroom = store.get(chosen)
        except MMRecError as error:
            st.query_params.pop("class")
            layout.show_error(error)
        else:
            if classroom.dataset not in preparation.prepared():
                st.error(
                    f"This class used the dataset {layout.escape(classroom.dataset)}, which is not prepared here.",
                    icon=":material/database_off:",
                )
                all_classes()
                return
            if classroom.dataset != dataset.name:
                st.query_params["dataset"] = classroom.dataset
                st.rerun()
            host_view(classroom.id, dataset)
            return
    every = store.all_classes()
    if not every:
        st.write(
            "Everybody in the room joins on their own phone with a code. You lead: they answer a lesson’s questions"
            " together, or rate films and see which model knows them best."
        )
    where_from()
    new_class(dataset)
    all_classes()


def where_from() -> None:
    """Whether others can reach this app at all, and the button that lets them."""
    if owner.wide():
        return
    there = network.opened()
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if there is None:
            st.markdown(
                ":material/wifi_off: This app listens on this machine only. For a room, open it to the network: others"
                " then join, look and rate, and only your own link starts or deletes work."
            )
            if st.button("Open to the network", icon=":material/wifi:", type="primary"):
                try:
                    with st.spinner("Starting a second server for the class …"):
                        network.open_server()
                except MMRecError as error:
                    layout.show_error(error)
                else:
                    st.rerun()
        else:
            st.markdown(
                f":material/wifi: The app is open to your network at port {there['port']}, without encryption. Lead the"
                " class there: it shows the join code and the QR code."
            )
            st.link_button("Lead the class", there["host"], icon=":material/open_in_new:", type="primary")
            if st.button("Close", icon=":material/wifi_off:"):
                network.close_server()
                st.rerun()


def new_class(dataset: Dataset) -> None:
    """A title, and the button that opens a class."""
    with st.form("new-class", border=True, width=520):
        title = st.text_input("Title", time.strftime("Class of %d %B %Y"), max_chars=limits.TITLE)
        st.caption(f"The class uses the dataset {layout.escape(dataset.name)}.")
        if st.form_submit_button("Open a class", type="primary", icon=":material/groups:"):
            try:
                made = store.create(dataset.name, title)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.query_params["class"] = made.id
                st.rerun()


def all_classes() -> None:
    """Earlier classes: open one again, with what the experiment found in each."""
    every = store.all_classes()
    if not every:
        return
    st.subheader("Classes", anchor=False)
    for own in every:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            n = len(store.participants_of(own.id))
            state = "open" if own.is_open else "ended"
            day = time.strftime("%d %B %Y", time.localtime(own.created))
            best = experiment_view.leading(own.results["standings"], ended=True) if own.results else ""
            st.markdown(
                f"**{layout.escape(own.title)}** :gray[{day}, {layout.escape(own.dataset)}, {n} participants, {state}]"
                + (f"  \n{best}" if best else "")
            )
            if st.button("Open", key=f"open-{own.id}", icon=":material/arrow_forward:"):
                st.query_params["class"] = own.id
                st.rerun()
    compared = [own for own in every if own.results and own.results["standings"]]
    if len(compared) > 1:
        compare(compared)


def compare(classes: list[Classroom]) -> None:
    """The experiment of several classes beside each other: a row per model, a column per class."""
    st.subheader("Classes beside each other", anchor=False)
    table: dict[str, dict[str, str]] = {}
    for own in reversed(classes):
        assert own.results is not None
        column = f"{own.title} ({time.strftime('%Y-%m-%d', time.localtime(own.created))})"
        for s in own.results["standings"]:
            interval = f" [{s['order_interval'][0]:.0%}, {s['order_interval'][1]:.0%}]" if s["order_interval"] else ""
            value = "–" if s["order"] is None else f"{s['order']:.0%}{interval}"
            table.setdefault(s["model"], {})[column] = value
    st.dataframe(pd.DataFrame([{"Model": model, **own} for model, own in table.items()]), hide_index=True)
    st.caption(
        "Pairs of held-out films in the right order, with 95 % intervals over participants, as saved at the end."
    )


@st.fragment
def host_view(class_id: str, dataset: Dataset) -> None:
    """Lead a class; drawn anew whenever somebody joins, answers or rates."""
    try:
        classroom = store.get(class_id)
    except MMRecError as error:
        layout.show_error(error)
        return
    changes.watch(class_id, classroom.version, everything=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("All classes", icon=":material/arrow_back:", type="tertiary"):
            st.query_params.pop("class", None)
            st.rerun()
        st.subheader(layout.escape(classroom.title), anchor=False)
        if not classroom.is_open:
            st.badge("Ended", icon=":material/flag:", color="gray")
    left, right = st.columns([3, 1.35], gap="large")
    with right:
        joining(classroom)
        who_is_here(classroom)
    with left, changes.drawing():
        if classroom.is_open:
            chosen = lead(classroom, dataset)
        else:
            chosen = classroom.activity
        if chosen == classroom.activity == LESSON:
            lesson(classroom, dataset)
        elif chosen == classroom.activity == EXPERIMENT and classroom.plan:
            the_experiment(classroom, dataset)
        take_along(classroom, dataset)


def joining(classroom: Classroom) -> None:
    """Code, QR code and the projector's link."""
    if not classroom.is_open:
        return
    link = projector_view.join_link(classroom)
    with st.container(border=True):
        st.html(
            f'{projector_view.STYLE_OF_CODE}<div class="class-small">{projector_view.qr_code(link)}</div>'
            f'<div class="class-small-code">{classroom.code}</div>'
        )
        st.caption(f"Join: {html.escape(link.partition('://')[2])}")
        locked = st.toggle(
            "Nobody else may join",
            classroom.locked,
            key=f"locked-{classroom.id}-{classroom.locked}",  # another window may have changed it
            help="Those who are here stay. Switch it on once everybody has joined.",
        )
        if locked != classroom.locked:
            store.lock(classroom.id, locked)
        st.link_button(
            "Projector",
            f"{projector_view.base_address()}/class?view=projector&key={classroom.projector}",
            icon=":material/slideshow:",
            help="Large type, no menus, reads only. Where you are the host, the arrow keys lead the class there.",
        )


def who_is_here(classroom: Classroom) -> None:
    """Nicknames, with their right answers, and the way to remove somebody."""
    people = store.participants_of(classroom.id)
    st.markdown(f"**{len(people)} participant{'' if len(people) == 1 else 's'}**")
    for person in people[:100]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(f"<span>{person.number}&ensp;{html.escape(person.nickname)}</span>", width="stretch")
            if st.button("Remove", key=f"remove-{person.id}", type="tertiary", icon=":material/person_remove:",
                         help="Deletes this participant with everything they said."):  # fmt: skip
                store.remove(person.id)
                st.rerun(scope="fragment")
    if len(people) > 100:
        st.caption(f"And {len(people) - 100} more.")
    if people and st.button(
        "Remove those who wrote nothing",
        key="remove-silent",
        type="tertiary",
        icon=":material/group_remove:",
        help="Participants without an answer or a rating; whoever is really there can join again.",
    ):
        store.remove_silent(classroom.id)
        st.rerun(scope="fragment")


def lead(classroom: Classroom, dataset: Dataset) -> str:
    """What the class does: join, a lesson, or the experiment; returns what is chosen."""
    with st.container(border=True):
        chosen = st.segmented_control(
            "The class",
            list(ACTIVITY_LABELS),
            default=classroom.activity,
            format_func=ACTIVITY_LABELS.__getitem__,
            required=True,
            key=f"activity-{classroom.id}-{classroom.scene}",
        )
        if chosen == LESSON:
            choose_lesson(classroom, dataset)
        elif chosen == EXPERIMENT and (classroom.activity != EXPERIMENT or not classroom.plan):
            begin_experiment(classroom, dataset)
        elif chosen == LOBBY and classroom.activity != LOBBY:
            store.show(classroom.id, LOBBY)
            st.rerun(scope="fragment")
    return str(chosen)


def choose_lesson(classroom: Classroom, dataset: Dataset) -> None:
    """Begin a lesson, or another one."""
    every = {own.name: own for own in lessons.lessons()}
    names = list(every)
    usual = classroom.lesson if classroom.lesson in names else first_ready(list(every.values()), dataset)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Lesson",
            names,
            index=names.index(usual),
            format_func=lambda n: f"{every[n].title} ({every[n].minutes} min)",
            key=f"lesson-{classroom.id}-{classroom.scene}",
        )
        running = classroom.activity == LESSON and classroom.lesson == name
        if st.button(
            "Begin again" if running else "Begin",
            type="secondary" if running else "primary",
            icon=":material/play_arrow:",
            key="begin-lesson",
        ):
            store.show(classroom.id, LESSON, name)
            st.rerun(scope="fragment")
    st.caption(every[name].learn or every[name].why)


def first_ready(every: list[Lesson], dataset: Dataset) -> str:
    """The first lesson whose questions can all be asked on these data; without any, the first."""
    ready = lambda own: all(lesson_question.is_open(lesson_question.filled(step, dataset)) for step in own.steps)
    return next((own for own in every if ready(own)), every[0]).name


def begin_experiment(classroom: Classroom, dataset: Dataset) -> None:
    """Draw the films of the experiment and begin it."""
    fitted = runs.finished(dataset)
    st.write(
        f"Everybody rates {store.RATED} or more films. {store.HELD} of each person’s ratings, at places"
        " drawn before they begin, stay hidden from all models, which then have to predict them."
    )
    if dataset.manifest["generated"]:
        st.caption(
            "The films of this dataset are invented; people judge by poster and title. For films that they know, get"
            " MovieLens on Home, train models on it, and open a class with that dataset."
        )
    if not fitted:
        st.info("No model is trained on this dataset yet.", icon=":material/model_training:")
        st.page_link(layout.page("train"), label="Train models first", icon=":material/model_training:")
    elif st.button("Begin", type="primary", icon=":material/play_arrow:", key="begin-experiment"):
        if classroom.plan is None:
            store.set_plan(classroom.id, experiment.plan(dataset))
        store.show(classroom.id, EXPERIMENT)
        st.rerun(scope="fragment")


def lesson(classroom: Classroom, dataset: Dataset) -> None:
    """The question on the wall, its answers, and the buttons that go on."""
    own = shown_question.shown(classroom, dataset)
    if own is None:
        st.warning("This lesson is no longer installed. Choose another one.", icon=":material/error:")
        return
    if classroom.is_open:
        with st.container(horizontal=True, vertical_alignment="center"):
            projector_view.lead(classroom, own)
            st.caption(f"Question {own.at + 1} of {len(own.steps)}" if own.at >= 0 else f"{len(own.open)} questions")
    if own.step is None:
        st.markdown(f"### {layout.escape(own.lesson.title)}")
        left_out = len(own.steps) - len(own.open)
        if left_out:
            verb = "needs" if left_out == 1 else "need"
            st.caption(
                f"{left_out} of {len(own.steps)} questions {verb} models or data that are not there; the class skips"
                " them until they are."
            )
            lesson_question.missing_everywhere(own.lesson, own.steps)
        return
    st.markdown(f"### {own.at + 1}. {own.step.question}")
    n = sum(a["question"] == own.at for a in store.answers_of(classroom.id, own.lesson.name))
    people = len(store.participants_of(classroom.id))
    st.progress(min(1.0, n / max(people, 1)), text=f"{n} of {people} answered")
    if classroom.revealed:
        shown_question.question_bars(classroom, own)
        st.markdown(own.step.answer.replace("\n", "\n\n"))
    else:
        st.markdown("\n".join(f"- {layout.escape(choice)}" for choice in own.step.choices))
        with st.expander("Answers so far (only you see them)"):
            shown_question.question_bars(classroom, own)


def the_experiment(classroom: Classroom, dataset: Dataset) -> None:
    """Standings, map, curve; and how it looked earlier."""
    every = store.ratings_of(classroom.id)
    ratings = every
    if len(every) > 1 and st.toggle("Replay", key="replay", help="Shows the class as it was after so many ratings."):
        n = st.slider("After how many ratings", 1, len(every), len(every), key="replayed")
        ratings = every[:n]
    replayed = len(ratings) < len(every)
    whole = classroom if not replayed else _without_results(classroom)
    found = experiment_view.standings_of(whole, dataset, ratings)
    st.markdown(experiment_view.leading(found, not classroom.is_open))
    experiment_view.standings_chart(found)
    class_map(dataset, store.participants_of(classroom.id), ratings, 420)
    film = experiment_view.dividing_film(dataset, ratings)
    if film is not None:
        title = layout.escape(str(dataset.catalog["title"].iloc[film[0]]))
        counts = ", ".join(f"{n} × ★{stars:g}" for stars, n in film[1]["counts"].items())
        st.markdown(f"The film that divides the room most: **{title}** ({counts}).")
    with st.expander("Numbers and method"):
        if found:
            experiment_view.standings_table(found)
    with st.expander("How many ratings does a model need?"):
        experiment_view.curve_section(whole, dataset, ratings)


def _without_results(classroom: Classroom) -> Classroom:
    """The class as it was before its results were saved."""
    return Classroom(**{**vars(classroom), "results": None})


def take_along(classroom: Classroom, dataset: Dataset) -> None:
    """Tables, the report, and the ends of a class."""
    st.divider()
    asked = shown_question.answered(classroom, dataset)
    people, answers = store.participants_of(classroom.id), store.answers_of(classroom.id)
    if any(a.right for a in asked):
        with st.expander("Score sheet"):
            rows = report.scores(people, answers, asked)
            table = pd.DataFrame(
                [{"No.": s.participant.number, "Nickname": s.participant.nickname, "Right": s.right,
                  "Answered": s.answered} for s in rows]
            )  # fmt: skip
            st.dataframe(table, hide_index=True)
            st.caption("Nobody else sees this sheet; the downloads have numbers instead of nicknames.")
    name = re.sub(r"[^\w-]+", "-", classroom.title).strip("-")[:40] or "class"
    with st.container(horizontal=True):
        st.download_button(
            "Report to print",
            lambda: report.printable(classroom, asked, results(classroom, dataset)),
            f"{name}.html",
            "text/html",
            icon=":material/print:",
            on_click="ignore",
        )
        st.download_button(
            "Answers (CSV)",
            lambda: report.answers_csv(classroom, asked),
            f"{name}-answers.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Ratings (CSV)",
            lambda: report.ratings_csv(classroom, dataset),
            f"{name}-ratings.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        if classroom.is_open:
            with st.popover("End", icon=":material/flag:"):
                st.write("Nobody joins, answers or rates any more. Everything is kept, and the results are saved.")
                if st.button("End the class", key="end-class", type="primary"):
                    store.end(classroom.id, results(classroom, dataset))
                    st.rerun(scope="fragment")
        with st.popover("Delete", icon=":material/delete:"):
            st.write("The class, its participants, answers and ratings are deleted for good.")
            if st.button("Delete the class", key="delete-class", type="primary"):
                store.delete(classroom.id)
                st.query_params.pop("class", None)
                st.rerun()


def results(classroom: Classroom, dataset: Dataset) -> dict[str, object] | None:
    """What the experiment found: saved, or computed now; ``None`` without ratings."""
    if classroom.results is not None or classroom.plan is None:
        return classroom.results
    ratings = store.ratings_of(classroom.id)
    return experiment.results(dataset, ratings, classroom.plan) if ratings else None
