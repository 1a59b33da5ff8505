"""Lead a class: what it does and found, how to join it, and who is here."""

from __future__ import annotations

import html

import streamlit as st

from mmrec_core.classroom import store
from mmrec_core.classroom.store import EXPERIMENT, LESSON, Classroom
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout, owner
from pages.parts.classroom import changes, projector_view
from pages.parts.classroom.host_lead import lead, lesson
from pages.parts.classroom.host_results import take_along, the_experiment


@st.fragment
def host_view(class_id: str, dataset: Dataset) -> None:
    """Lead a class; drawn anew whenever somebody joins, answers or rates."""
    if not owner.is_owner():  # the fragment runs alone, too, and this window may have stopped being the owner's
        st.rerun()
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
