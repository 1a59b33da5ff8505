"""Compare models by people: they rate films and choose between lists, without knowing whose they are."""

from __future__ import annotations

import streamlit as st

from mmrec_core.errors import MMRecError
from mmrec_core.studies import store
from pages.parts import layout, owner
from pages.parts.classroom import identity
from pages.parts.study.running import host_page
from pages.parts.study.taking_part import dataset_is_there, taking_part

TITLE = "Study"
ICON = ":material/quiz:"
ORDER = "77"

layout.frame()
identity.write()

asked = st.query_params.get("study")
if asked:
    study = store.get(asked)
    if not dataset_is_there(study):
        raise MMRecError("This study cannot be shown: its films are not on this machine any more.")
    if st.query_params.get("dataset") != study.definition.dataset:
        st.query_params["dataset"] = study.definition.dataset
        st.rerun()
    chosen = layout.dataset()
    assert chosen is not None  # it is prepared
    taking_part(study, chosen)
elif owner.is_owner():
    chosen = layout.needs_dataset()
    layout.needs_films(chosen)
    host_page(chosen)
else:
    st.title("Study", anchor=False)
    st.info("Open the link of a study that you were given to take part in it.", icon=":material/link:")
