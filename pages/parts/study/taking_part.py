"""What a participant of a study does: consent, rate films, look at two lists, answer. No model is named to them."""

from __future__ import annotations

import streamlit as st

from mmrec_core.classroom.experiment import plain_id
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.studies import lists, outcome, store
from mmrec_core.studies.definition import INTERLEAVED
from mmrec_core.studies.store import Study, Subject
from mmrec_core.types import Dataset
from pages.parts import layout
from pages.parts.classroom import identity
from pages.parts.classroom.joining import address
from pages.parts.poster_grid import film_card, poster_grid, rated

NO_NOTE = "\u00a0"
"""Mean ratings below a film would tell what others think of it."""
OFFERED = 36
"""Well-known films to choose from when films are rated first."""
STYLE = "<style>.st-key-switch { display: none; }</style>"
SIDES = {outcome.FIRST: "List A", outcome.NEITHER: "No difference", outcome.SECOND: "List B"}


def taking_part(study: Study, dataset: Dataset) -> None:
    """The participant's way through a study; a reload goes on where it was."""
    st.html(STYLE)
    st.title(layout.escape(study.definition.title), anchor=False)
    held = identity.secret(study.id, identity.STUDY)
    person = store.subject(held) if held else None
    if person is None or person.study_id != study.id or held is None:
        consent(study)
    elif person.finished is not None:
        st.success("Your answers are kept. Thank you for taking part.", icon=":material/done_all:")
        withdraw(study)
    else:
        go_on(study, dataset, person, held)
        withdraw(study)


def consent(study: Study) -> None:
    """What is kept, and the button that agrees."""
    own = study.definition
    if not study.is_open:
        st.info("This study has ended. Thank you for coming.", icon=":material/flag:")
        return
    st.markdown(layout.escape(own.consent).replace("\n", "\n\n"))
    n = 1 + sum(q.kind == "text" for q in own.questions) if own.layout == INTERLEAVED else len(own.questions)
    asked = f"{n} question{'s' if n > 1 else ''}"
    st.caption(f"You rate {own.films_to_rate} films, look at films chosen for you, and answer {asked}.")
    if st.button("I agree, begin", type="primary", icon=":material/check:"):
        try:
            new, secret = store.arrive(study.id, address())
        except MMRecError as error:
            layout.show_error(error)
        else:
            identity.keep(new.study_id, secret, identity.STUDY)
            st.rerun()


def withdraw(study: Study) -> None:
    """Take everything back."""
    with st.popover("Withdraw", icon=":material/delete:", type="tertiary"):
        st.write("Everything that you did in this study is deleted.")
        if st.button("Withdraw and delete everything", key="withdraw"):
            store.withdraw(str(identity.secret(study.id, identity.STUDY)))
            identity.keep(study.id, None, identity.STUDY)
            st.rerun()


def go_on(study: Study, dataset: Dataset, person: Subject, secret: str) -> None:
    """The first step that is not done yet."""
    done = store.responses_of(person.id)
    ratings: dict[str, float] = done.get(store.RATINGS, {})
    if store.SHOWN not in done:
        rate(study, dataset, secret, ratings)
        return
    try:
        compare(study, dataset, secret, done)
    except MMRecError as error:
        layout.show_error(error)


def rate(study: Study, dataset: Dataset, secret: str, ratings: dict[str, float]) -> None:
    """Rate as many films as the study asks for, then see the lists."""
    wanted = study.definition.films_to_rate
    invented = dataset.manifest["generated"]
    what = (
        "Rate {n} films by poster and title, as you would like them. They are invented."
        if invented
        else ("Rate {n} films that you know.")
    )
    st.markdown(f"**{what.format(n=wanted)}** The more you rate, the better the lists fit.")
    st.progress(min(1.0, len(ratings) / wanted), text=f"{len(ratings)} ratings, {wanted} are needed")
    if st.button("Show me the films", type="primary", disabled=len(ratings) < wanted, icon=":material/arrow_forward:"):
        show_lists(study, dataset, secret, ratings)
    offered = lists.films_to_rate(study.id, dataset, OFFERED)
    by_row = {dataset.items.row(_raw(dataset, item), "film id"): stars for item, stars in ratings.items()}
    poster_grid(
        [film_card(dataset, row, stars=by_row.get(row)) for row in offered],
        key="study.rate",
        rate=dataset.scale or (1.0, 5.0),
        size="medium",
        on_rate=lambda: _rated(dataset, secret, ratings),
        label="Films to rate",
    )
    _fault()


def show_lists(study: Study, dataset: Dataset, secret: str, ratings: dict[str, float]) -> None:
    """Compute the lists, keep them, and go on at the top of the page."""
    known = {_raw(dataset, item): stars for item, stars in ratings.items()}
    person = store.subject(secret)
    try:
        if person is not None:
            made = lists.make(dataset, study.definition, store.assigned(study, person), known)
            store.respond(secret, store.SHOWN, made)
    except MMRecError:
        st.error("The lists could not be made. Tell whoever runs this study.", icon=":material/error:")
    else:
        st.query_params["step"] = "lists"
        st.rerun()


def _raw(dataset: Dataset, text: str) -> object:
    """A raw id from the text under which JSON keeps it."""
    return int(text) if dataset.items.raw.dtype.kind in "iu" else text


def _rated(dataset: Dataset, secret: str, ratings: dict[str, float]) -> None:
    """A star was set or cleared."""
    try:
        changes = rated(st.session_state.get("study.rate"), len(dataset.items), dataset.scale or (1.0, 5.0))
        for row, stars in changes:
            item = str(plain_id(dataset.items.raw[row]))
            if stars is None:
                ratings.pop(item, None)
            else:
                ratings[item] = stars
        store.respond(secret, store.RATINGS, ratings)
    except MMRecError as error:
        st.session_state["study_fault"] = str(error)


def _fault() -> None:
    if fault := st.session_state.pop("study_fault", None):
        st.warning(layout.escape(fault), icon=":material/error:")


def compare(study: Study, dataset: Dataset, secret: str, done: dict[str, object]) -> None:
    """The lists and the questions about them."""
    shown = done[store.SHOWN]
    assert isinstance(shown, dict)
    interleaved = study.definition.layout == INTERLEAVED
    if interleaved:
        chosen = choose(dataset, secret, shown, done)
    else:
        for place in (outcome.FIRST, outcome.SECOND):
            st.markdown(f"### {SIDES[place]}")
            poster_grid(
                [film_card(dataset, row, note=NO_NOTE) for row in shown[place]],
                key=f"study.{place}",
                size="row",
                label=SIDES[place],
            )
        chosen = True
    questions = [q for q in study.definition.questions if q.kind == "text" or not interleaved]
    missing = [q for q in questions if q.kind == "preference" and f"q.{q.id}" not in done]
    for question in questions:
        said = done.get(f"q.{question.id}")
        key = f"study.q.{question.id}"
        if question.kind == "preference":
            st.segmented_control(
                layout.escape(question.text),
                list(SIDES),
                default=said if said in SIDES else None,
                format_func=SIDES.__getitem__,
                key=key,
                on_change=_answered,
                args=(secret, question.id, key),
            )
        else:
            st.text_area(
                layout.escape(question.text),
                str(said or ""),
                max_chars=1000,
                key=key,
                on_change=_answered,
                args=(secret, question.id, key),
            )
    _fault()
    if st.button("Finish", type="primary", icon=":material/done:", disabled=bool(missing) or not chosen):
        store.finish(secret)
        st.rerun()
    if missing:
        st.caption(f"{len(missing)} question{'s' if len(missing) > 1 else ''} left.")


def _answered(secret: str, question: str, key: str) -> None:
    """An answer was given; one that was taken back keeps the last."""
    said = st.session_state.get(key)
    if said is None:
        return
    try:
        store.respond(secret, f"q.{question}", said)
    except MMRecError as error:
        st.session_state["study_fault"] = str(error)


def choose(dataset: Dataset, secret: str, shown: dict[str, list[int]], done: dict[str, object]) -> bool:
    """One list; which films would they watch? Returns whether they answered."""
    st.markdown("**Which of these films would you watch?** Choose as many as you like.")
    names = [str(title) for title in dataset.catalog["title"].iloc[shown["items"]]]
    poster_grid(
        [film_card(dataset, row, note=NO_NOTE) for row in shown["items"]], key="study.list", size="row", label="Films"
    )
    before = done.get(store.CHOSEN)

    def keep() -> None:
        try:
            store.respond(secret, store.CHOSEN, [int(p) for p in st.session_state.get("study.chosen") or ()])
        except MMRecError as error:
            st.session_state["study_fault"] = str(error)

    st.pills(
        "Films that you would watch",
        list(range(len(names))),
        selection_mode="multi",
        default=before if isinstance(before, list) else None,
        format_func=lambda place: layout.escape(names[place]),
        key="study.chosen",
        on_change=keep,
    )
    none = st.button("None of them", key="study.none", type="tertiary", disabled=before == [])
    if none:
        store.respond(secret, store.CHOSEN, [])
        st.rerun()
    return isinstance(before, list)


def dataset_is_there(study: Study) -> bool:
    """Whether the study's dataset is prepared here."""
    return study.definition.dataset in preparation.prepared()
