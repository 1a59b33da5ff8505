"""Keeps pages that show models' lists by name from participants of a study, who are not to recognise a list."""

from __future__ import annotations

import streamlit as st

from mmrec_core.errors import MMRecError
from mmrec_core.studies import store
from mmrec_core.studies.store import Study
from pages.parts import layout, owner
from pages.parts.classroom import identity
from pages.parts.ending import end_page


def unfinished() -> Study | None:
    """An open study that this browser takes part in and has not finished."""
    for study_id in identity.known(identity.STUDY):
        person = store.subject(str(identity.secret(study_id, identity.STUDY)))
        if person is None or person.study_id != study_id or person.finished is not None:
            continue
        try:
            study = store.get(study_id)
        except MMRecError:  # deleted meanwhile
            continue
        if study.is_open:
            return study
    return None


def close_page_for_participants() -> None:
    """End the page where a visitor takes part in a study; the owner, who may try a study out, goes on."""
    study = None if owner.is_owner() else unfinished()
    if study is None:
        return
    st.info(
        f"You take part in the study “{layout.escape(study.definition.title)}”, which does not tell whose lists it"
        " shows. This page names the models, so it opens when you have finished or withdrawn.",
        icon=":material/visibility_off:",
    )
    if st.button("Go on with the study", type="primary", icon=":material/arrow_forward:"):
        st.switch_page(layout.page("study"), query_params={"study": study.id, "dataset": study.definition.dataset})
    end_page()
