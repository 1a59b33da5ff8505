"""A question of a lesson: the link to the page, the visitor's answer, the right one with its numbers."""

from __future__ import annotations

import streamlit as st

from mmrec_core import runs
from mmrec_core.analysis import lesson_films, lesson_values
from mmrec_core.analysis.lesson_values import FilledStep, Wanted
from mmrec_core.analysis.lessons import Lesson, Step
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import protocol_label
from mmrec_core.settings import without_paths
from mmrec_core.types import Dataset
from pages.parts import layout, lesson_bar, lesson_progress, run_card
from pages.parts.lesson_progress import Progress
from pages.parts.poster_grid import film_card, poster_grid


def filled(step: Step, dataset: Dataset) -> FilledStep:
    """A question with its numbers, computed anew whenever a run has ended."""
    ended = tuple(sorted(r.id for r in runs.all_runs() if r.record["status"] == "finished"))
    return _filled(step, dataset.name, dataset.checksum, hash(ended), dataset)


@st.cache_data(max_entries=256, show_spinner="Computing the numbers …")
def _filled(step: Step, name: str, checksum: str, ended: int, _dataset: Dataset) -> FilledStep:
    """The same, kept; an error is shown in the question, not raised."""
    try:
        return lesson_values.fill_step(step, _dataset)
    except MMRecError as error:
        return FilledStep(step.choices, (), step.question, "", {}, fault=without_paths(str(error)))


def is_open(own: FilledStep) -> bool:
    """Whether the question can be answered now."""
    return not own.wanted and not own.fault


def reached(steps: list[FilledStep], at: int, seen: list[int]) -> bool:
    """Whether the answer to every earlier question that can be answered has been revealed."""
    return all(place in seen for place in range(at) if is_open(steps[place]))


def question(lesson: Lesson, at: int, own: FilledStep, dataset: Dataset, mine: Progress, is_reached: bool) -> None:
    """One question, in whatever state it is."""
    with st.container(border=True, key=f"step-{at}"):
        st.markdown(f"**{at + 1}. {own.question}**")
        if own.fault:
            st.info(layout.escape(own.fault), icon=":material/do_not_disturb_on:")
        elif own.wanted:
            missing_runs(own.wanted, f"{lesson.name}-{at}")
        elif not is_reached:
            st.caption("Answer the question above first.")
        else:
            page_link(lesson, at, own, dataset)
            if lesson.steps[at].figure:
                figure(lesson.steps[at].figure, dataset)
            if at in mine.seen:
                given(lesson, at, own, mine)
                verdict(own, mine.answers.get(at, ""))
                answer(lesson.steps[at], own, dataset, f"{lesson.name}-{at}")
            else:
                answer_form(lesson, at, own, dataset, mine)


def page_link(lesson: Lesson, at: int, own: FilledStep, dataset: Dataset) -> None:
    """Open the page that shows the answer; the question follows along as a bar."""
    step = lesson.steps[at]
    page = layout.page(step.page)
    st.page_link(
        page,
        label=f"Open {page.title}",
        icon=":material/visibility:",
        query_params={"dataset": dataset.name, **_figure_state(step), **own.query, **lesson_bar.query(lesson, at)},
    )


def _figure_state(step: Step) -> dict[str, str]:
    """What the figure of a lesson shows, for the page Inside to go on from."""
    if step.page != "inside":
        return {}
    from pages.parts.inside.component import STATE

    return {key: st.query_params[key] for key in STATE if key in st.query_params}


def figure(name: str, dataset: Dataset) -> None:
    """A view of Inside in the question, with the newest model that it opens; nothing without one.

    Args:
        name: the view's file, and after it ``key=value`` for parameters that the address does not have yet.
        dataset: the dataset.
    """
    from pages.parts import inside  # its views show run cards, which show lessons' runs

    name, *given = name.split()
    for key, _, value in (part.partition("=") for part in given):
        if key not in st.query_params:
            st.query_params[key] = value
    view = next((view for view in inside.views() if view.name == name), None)
    if view is None:
        st.caption(f"There is no view of Inside called {layout.escape(name)}.")
        return
    finished = runs.finished(dataset)
    run = next((finished[model] for model in view.models if model in finished), None)
    if view.models and run is None:
        st.caption("The figure appears here once one of its models is trained: open the page and press Train.")
        return
    try:
        view.module.draw(dataset, run)
    except MMRecError as error:
        layout.show_error(error)


def answer_form(lesson: Lesson, at: int, own: FilledStep, dataset: Dataset, mine: Progress) -> None:
    """The visitor's answer; it can be changed until the right one is revealed."""
    key = lesson_progress.widget_key(dataset, lesson.name, at)
    before = mine.answers.get(at)
    if own.choices and st.session_state.get(key) not in (None, *own.choices):
        del st.session_state[key]  # the choices are others than when this was answered
    if key not in st.session_state and before is not None and (not own.choices or before in own.choices):
        st.session_state[key] = before
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if own.choices:
            said = st.segmented_control("Your answer", own.choices, key=key)
        else:
            said = st.text_input(
                "Your answer",
                key=key,
                max_chars=lesson_progress.LONGEST,
                placeholder="In your own words",
                width=640,
                live=True,
            )
        if said and said != before:
            mine.answers[at] = said
            lesson_progress.changed(dataset, lesson.name)
            st.rerun()
        if st.button("Reveal answer", key=f"see-{lesson.name}-{at}", disabled=not said, icon=":material/lightbulb:"):
            mine.seen.append(at)
            lesson_progress.changed(dataset, lesson.name)
            st.rerun()


def given(lesson: Lesson, at: int, own: FilledStep, mine: Progress) -> None:
    """The visitor's answer as it was given."""
    said = mine.answers.get(at, "")
    if own.choices and said in own.choices:
        st.segmented_control("Your answer", own.choices, default=said, key=f"given-{lesson.name}-{at}", disabled=True)
    else:
        st.text_input("Your answer", said, key=f"given-{lesson.name}-{at}", disabled=True, width=640)


def verdict(own: FilledStep, said: str) -> None:
    """Whether the answer is right on these data, and what is."""
    if own.question.startswith("Exercise"):
        st.markdown(":blue[:material/edit_note: An exercise: check it yourself with what is said below.]")
        return
    if not own.right:
        st.markdown(":blue[:material/forum: A question of opinion: no answer is wrong.]")
        return
    right = " or ".join(f"**{layout.escape(r)}**" for r in own.right)
    if said in own.right:
        others = [f"**{layout.escape(r)}**" for r in own.right if r != said]
        also = f" So is {' and '.join(others)}." if others else ""
        st.markdown(f":green[:material/check_circle: Right: **{layout.escape(said)}**.]{also}")
    else:
        feedback = f" {layout.escape(own.feedback[said])}" if said in own.feedback else ""
        st.markdown(f":orange[:material/cancel: Not {layout.escape(said)}.]{feedback} Right is {right}.")


def answer(step: Step, own: FilledStep, dataset: Dataset, key: str) -> None:
    """The reason, with the numbers of this machine, and films where the question is about films."""
    st.markdown(own.answer.replace("\n", "\n\n"))
    if step.show:
        films(step, dataset, key)


def films(step: Step, dataset: Dataset, key: str) -> None:
    """Films whose nearest neighbours differ most, with their neighbours under both encoders."""
    a, b, modality = step.show
    for place, found in enumerate(disagreements(dataset.name, dataset.checksum, a, b, modality, dataset)):
        title = layout.escape(str(dataset.catalog["title"].iloc[found.film]))
        st.markdown(f"**{title}**: {found.shared} of {found.of} neighbours in common")
        for name, rows in ((a, found.one), (b, found.other)):
            st.caption(f"{name}: the film, then its nearest {'posters' if modality == 'image' else 'plots'}")
            both = set(found.one) & set(found.other)
            cards = [film_card(dataset, found.film, mark="key", says="the film")]
            cards += [
                film_card(dataset, row, mark="hit" if row in both else "", says="a neighbour in both") for row in rows
            ]
            poster_grid(cards, key=f"films-{key}-{place}-{name}", size="row", label=f"Nearest under {name}")


@st.cache_data(max_entries=16, show_spinner=False)
def disagreements(
    name: str, checksum: str, a: str, b: str, modality: str, _dataset: Dataset
) -> list[lesson_films.Disagreement]:
    """The same, kept."""
    return lesson_films.disagreements(_dataset, a, b, modality)


def missing_runs(wanted: tuple[Wanted, ...], key: str) -> None:
    """Which runs a question still needs: start them, see how far they are, or why they failed."""
    every = [r for r in runs.all_runs() if (r.kind, r.params) in wanted]
    live = [r for r in every if r.status in runs.LIVE]
    due = [w for w in wanted if w not in [(r.kind, r.params) for r in live]]
    newest = {(r.kind, str(sorted(r.params.items(), key=str))): r for r in every}  # runs come in the order of their ids
    failed = [r for r in newest.values() if r.status == "failed"]
    asked: set[str] = st.session_state.setdefault("lesson_runs", set())
    if key in asked and due and not failed:  # what has ended showed that more is needed
        run_card.start_these(due)
        return
    if live:
        st.caption(":material/hourglass_empty: The question opens as soon as this is computed.")
        st.fragment(_progress, run_every=run_card.pace())([r.id for r in live])
    for run in failed:
        st.error(
            layout.escape(without_paths(run.error or "")),
            title=_name(run.kind, run.params).capitalize(),
            icon=":material/error:",
        )
    if due:
        names = ", ".join(dict.fromkeys(_name(kind, params) for kind, params in due))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f":material/construction: Its numbers come from {len(due)} run{'s' if len(due) > 1 else ''} that"
                f" {'are' if len(due) > 1 else 'is'} not there yet: {layout.escape(names)}."
            )
            if st.button(
                "Try again" if failed else "Compute them",
                key=f"compute-{key}",
                icon=":material/play_arrow:",
            ):
                asked.add(key)
                run_card.start_these(due)


def missing_everywhere(lesson: Lesson, steps: list[FilledStep]) -> None:
    """One button for the runs of all questions, where more than one waits."""
    waiting = [at for at, own in enumerate(steps) if own.wanted and not own.fault]
    live = [(r.kind, r.params) for r in run_card.live_runs()]
    due: list[Wanted] = []
    for at in waiting:
        due += [w for w in steps[at].wanted if w not in due and w not in live]
    if len(waiting) < 2 or not due:
        return
    n = f"{len(due)} run{'s' if len(due) > 1 else ''}"
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/construction: {len(waiting)} questions wait for {n}.")
        if st.button("Compute all of them", key="compute-all", type="primary", icon=":material/play_arrow:"):
            st.session_state.setdefault("lesson_runs", set()).update(f"{lesson.name}-{at}" for at in waiting)
            run_card.start_these(due)


def _name(kind: str, params: dict[str, object]) -> str:
    """What a run computes, in short."""
    if kind == "crossing":
        return "cold-start curve"
    what = str(params.get("model") or params.get("encoder") or "")
    protocol = f" ({protocol_label(str(params['protocol']))})" if kind == "evaluate" else ""
    return f"{run_card.DOING[kind].lower()} {what}{protocol}"


def _progress(ids: list[str]) -> None:
    """How far the runs are; the page is drawn anew when one has ended."""
    live = [r for r in run_card.live_runs() if r.id in ids]
    if len(live) < len(ids):
        st.rerun()
    for run in live:
        with st.container(horizontal=True, vertical_alignment="center"):
            name = layout.escape(_name(run.kind, run.params))
            st.markdown(f"{run_card.ICONS[run.status]} {name[:1].upper()}{name[1:]}", width="content")
            with st.container():
                if run.status == "running":
                    run_card.progress(run)
                else:
                    run_card.waiting(run)
