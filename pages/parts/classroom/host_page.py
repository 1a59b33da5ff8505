"""Where a host begins: open a class, go on with one, compare those that have ended."""

from __future__ import annotations

import time

import pandas as pd
import streamlit as st

from mmrec_core.classroom import limits, network, store
from mmrec_core.classroom.store import Classroom
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import layout, owner
from pages.parts.classroom import experiment_view
from pages.parts.classroom.host_view import host_view


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
                ":material/wifi_off: Only this computer can reach the app. Open it to the network to let others join:"
                " they can browse, rate and answer. Only you, by a private link, can start or delete runs."
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
