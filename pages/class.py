"""Lead a room full of people through a lesson, and see live which model knows them best."""

from __future__ import annotations

import streamlit as st

from mmrec_core.classroom import store
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout, owner
from pages.parts.classroom import identity
from pages.parts.classroom.host_page import host_page
from pages.parts.classroom.joining import address, join_form, window
from pages.parts.classroom.participant_view import participant_view
from pages.parts.classroom.projector_view import projector_view

TITLE = "Class"
ICON = ":material/groups:"
ORDER = "75"

layout.frame()
identity.write()


def dataset_of(classroom: store.Classroom) -> Dataset:
    """The dataset of a class; the address then names it.

    Raises:
        MMRecError: it is not prepared here any more.
    """
    if classroom.dataset not in preparation.prepared():
        raise MMRecError(f"This class uses the dataset '{classroom.dataset}', which is not prepared here any more.")
    if st.query_params.get("dataset") != classroom.dataset:
        st.query_params["dataset"] = classroom.dataset
        st.rerun()
    chosen = layout.dataset()
    assert chosen is not None  # it is prepared
    return chosen


def participant(code: str) -> None:
    """Somebody who comes with a code: known already, or asked for a nickname."""
    mine = next((found for own in identity.known() if (found := _known(own, code)) is not None), None)
    if mine is not None:
        participant_view(mine.id, dataset_of(mine))
        return
    try:
        found = store.by_code(code, address(), window())
    except MMRecError as error:
        layout.show_error(error)
        join_form()
        return
    dataset_of(found)
    join_form(code)


def _known(class_id: str, code: str) -> store.Classroom | None:
    """A class that this browser has joined, if it has this code; without a code an open one."""
    try:
        found = store.get(class_id)
    except MMRecError:
        return None
    fits = found.code == code.upper().strip() if code else found.is_open
    return found if fits and identity.who(class_id) is not None else None


def visitor() -> None:
    """Somebody who comes without a code: back to the class they joined, or the form."""
    mine = next((found for own in identity.known() if (found := _known(own, "")) is not None), None)
    if mine is None:
        join_form()
    else:
        participant_view(mine.id, dataset_of(mine))


if st.query_params.get("view") == "projector":
    shown = store.by_projector(st.query_params.get("key", ""))
    projector_view(shown.id, dataset_of(shown))
elif st.query_params.get("code"):
    participant(st.query_params["code"])
elif owner.is_owner():
    chosen = layout.needs_dataset()
    layout.needs_films(chosen)
    host_page(chosen)
else:
    visitor()
