"""The host's view of studies: plan one, with the power it will have; see who came and what they prefer."""

from __future__ import annotations

import re
import time

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.stats import p_value
from mmrec_core.studies import definition, outcome, preference, report, store
from mmrec_core.studies.definition import INTERLEAVED, SIDE_BY_SIDE, USUAL_QUESTIONS
from mmrec_core.studies.store import Study
from mmrec_core.types import Dataset
from pages.parts import layout
from pages.parts.charts import SERIES
from pages.parts.classroom import projector_view
from pages.parts.classroom.host_page import where_from

LARGEST_FILE = 100_000
"""Bytes of a study's file."""


def host_page(dataset: Dataset) -> None:
    """The chosen study, or all of them and a new one."""
    chosen = st.query_params.get("results")
    if chosen:
        try:
            results(store.get(chosen), dataset)
        except MMRecError as error:
            st.query_params.pop("results")
            layout.show_error(error)
        else:
            return
    st.title("Study", anchor=False)
    st.write(
        "People rate a few films, then compare the lists of two models without knowing which is which. Which list is"
        " shown first is balanced over participants. The results show the preference with its confidence interval."
    )
    where_from()
    plan, new, every = st.tabs(["Studies", "New study", "How many people?"])
    with plan:
        all_studies()
    with new:
        new_study(dataset)
    with every:
        calculator()


def all_studies() -> None:
    """Every study, to open."""
    found = store.all_studies()
    if not found:
        st.info("No study yet. Plan one under New study.", icon=":material/quiz:")
    for own in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            day = time.strftime("%d %B %Y", time.localtime(own.created))
            state = "open" if own.is_open else "ended"
            st.markdown(
                f"**{layout.escape(own.definition.title)}** :gray[{day}, {layout.escape(own.definition.dataset)},"
                f" {layout.escape(', '.join(own.definition.models))}, {state}]"
            )
            if st.button("Open", key=f"study-{own.id}", icon=":material/arrow_forward:"):
                st.query_params["results"] = own.id
                st.rerun()


def new_study(dataset: Dataset) -> None:
    """A form, or a TOML file."""
    fitted = sorted(name for name in runs.finished(dataset) if name != "random")
    usual = [n for n in ("ease", "bpr", "mf", "itemknn", "popularity") if n in fitted]
    usual = [*[n for n in usual if n != "popularity"][:1], *[n for n in usual if n == "popularity"]]
    if len(fitted) < 2:
        st.info(
            "A study compares two trained models; there are fewer on this dataset.", icon=":material/model_training:"
        )
        st.page_link(layout.page("train"), label="Train models first", icon=":material/model_training:")
        return
    with st.form("new-study", border=True):
        title = st.text_input("Title", "Which films do you prefer?", max_chars=200)
        models = st.multiselect(
            "Models", fitted, default=usual if len(usual) == 2 else fitted[:2], max_selections=6, help="Two to six."
        )
        with st.container(horizontal=True):
            shape = st.selectbox("Lists", [SIDE_BY_SIDE, INTERLEAVED], width=200)
            rate = st.number_input("Films to rate first", 1, 30, 8, width=160)
            length = st.number_input("Films in a list", 2, 20, 6, width=160)
            people = st.number_input("Participants", 2, 5000, 40, width=160)
        asked = st.multiselect(
            "Questions",
            list(USUAL_QUESTIONS),
            default=list(USUAL_QUESTIONS),
            format_func=lambda q: q.text,
            help="Accuracy, novelty, diversity and satisfaction as in ResQue, and one in their own words.",
        )
        consent = st.text_area("Consent", definition.Definition.model_fields["consent"].default, max_chars=2000)
        pressed = st.form_submit_button("Open the study", type="primary", icon=":material/quiz:")
    file = st.file_uploader("Or a file (TOML)", type=["toml"], max_upload_size=1)
    try:
        if pressed:
            values = {
                "title": title,
                "dataset": dataset.name,
                "models": models,
                "layout": shape,
                "films_to_rate": rate,
                "list_length": length,
                "participants": people,
                "questions": [q.model_dump() for q in asked],
                "consent": consent,
            }
            _open(definition.checked(values))
        elif file is not None and st.button("Open the study in this file", icon=":material/quiz:"):
            raw = file.getvalue()
            if len(raw) > LARGEST_FILE:
                raise MMRecError(f"The file has {len(raw):,} bytes; a study has at most {LARGEST_FILE:,}.")
            _open(definition.read(raw.decode("utf-8", errors="replace")))
    except MMRecError as error:
        layout.show_error(error)


def _open(own: definition.Definition) -> None:
    st.query_params["results"] = store.create(own).id
    st.rerun()


def calculator() -> None:
    """How many people a difference needs, before anybody is asked."""
    with st.container(horizontal=True):
        percent = st.slider("Of those who prefer one, how many prefer the better model?", 51, 95, 65, format="%d %%")
        ties = st.slider("How many see no difference?", 0, 80, 20, format="%d %%")
        wanted = st.slider("Chance of finding it (power)", 50, 95, 80, format="%d %%")
    share = percent / 100
    needed = preference.people_needed(share, ties / 100, wanted / 100)
    if needed is None:
        st.warning("More than 5,000 people: too small a difference for a study like this.", icon=":material/groups:")
        return
    st.markdown(
        f"**{needed} participants** find {share:.0%} against {1 - share:.0%} with a chance of {wanted} %, if {ties} %"
        " see no difference."
    )
    people = np.unique(np.linspace(4, max(2 * needed, 20), 24).astype(int))
    rows = pd.DataFrame({"people": people, "power": [preference.power(int(n), share, ties / 100) for n in people]})
    base = alt.Chart(rows).encode(
        x=alt.X("people:Q", title="participants"),
        y=alt.Y("power:Q", title="power", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        tooltip=["people:Q", alt.Tooltip("power:Q", format=".0%")],
    )
    line = alt.Chart(pd.DataFrame({"x": [needed]})).mark_rule(strokeDash=[5, 4], color=SERIES[1]).encode(x="x:Q")
    st.altair_chart(base.mark_line(color=SERIES[0], point=True) + line, width="stretch", key="study-power")
    st.caption("Exact power of the sign test with mid-p values at 5 %; simulated studies agree with it.")


def results(study: Study, dataset: Dataset) -> None:
    """A study: its link, who came, and what they prefer."""
    own, records = study.definition, store.records(study)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("All studies", icon=":material/arrow_back:", type="tertiary"):
            st.query_params.pop("results")
            st.rerun()
        st.subheader(layout.escape(own.title), anchor=False)
        if not study.is_open:
            st.badge("Ended", icon=":material/flag:", color="gray")
    left, right = st.columns([3, 1.2], gap="large")
    with right, st.container(border=True):
        link = f"{projector_view.base_address()}/study?study={study.id}"
        st.html(f'{projector_view.STYLE_OF_CODE}<div class="class-small">{projector_view.qr_code(link)}</div>')
        st.code(link, language=None, wrap_lines=True)
        st.button("Refresh", icon=":material/refresh:", help="Reads the answers again.")
    with left:
        kept = [r for r in records if outcome.excluded(own, r) is None]
        st.markdown(
            f"**{len(kept)} of {own.participants} participants** :gray[{layout.escape(' or '.join(own.models))},"
            f" {own.layout}, {own.list_length} films after {own.films_to_rate} ratings]"
        )
        found = outcome.findings(own, records)
        for finding in found:
            text = report.asked(study, finding.question)
            st.markdown(f"**{layout.escape(text)}** {layout.escape(report.sentence(finding))}")
        chart(study, found)
        details(study, records, dataset)


def chart(study: Study, found: list[outcome.Finding]) -> None:
    """Share and interval per question."""
    rows = []
    for f in found:
        own = f.preference
        if own.share is not None and own.interval is not None and own.a + own.b >= report.FEWEST:
            name = f"{report.asked(study, f.question)} {f.a} : {f.b}"
            rows.append({"question": name, "share": own.share, "low": own.interval[0], "high": own.interval[1]})
    if not rows:
        return
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("question:N", sort=[r["question"] for r in rows], title=None, axis=alt.Axis(labelLimit=420))
    )
    axis = alt.Axis(format="%")
    lines = base.mark_rule(color=SERIES[0], strokeWidth=2.5, opacity=0.6).encode(
        x=alt.X("low:Q", title="prefer the first model", axis=axis, scale=scale), x2="high:Q"
    )
    points = base.mark_point(filled=True, color=SERIES[0], size=110, opacity=1).encode(x=alt.X("share:Q", scale=scale))
    half = alt.Chart(pd.DataFrame({"x": [0.5]})).mark_rule(strokeDash=[5, 4], color="#888888").encode(x="x:Q")
    st.altair_chart((lines + points + half).properties(height=34 * len(rows) + 30), width="stretch", key="study-shares")


def details(study: Study, records: list[outcome.Record], dataset: Dataset) -> None:
    """Exclusions, slices, sides, offline metrics, downloads, and the ends of a study."""
    own = study.definition
    if left_out := report.exclusions(study, records):
        st.caption("Left out: " + "; ".join(f"{n} {why}" for why, n in left_out.most_common()) + ".")
    with st.expander("Parts of the people, sides, and offline metrics"):
        rows = [
            {"Participants": part, "Question": f.question, "Models": f"{f.a} : {f.b}",
             "Prefer": f"{f.preference.a} : {f.preference.b}",
             "p": "–" if f.preference.p is None else p_value(f.preference.p)}
            for part, some in outcome.slices(own, records).items()
            for f in some
        ]  # fmt: skip
        if rows:
            st.dataframe(pd.DataFrame(rows), hide_index=True)
        side = outcome.sides(own, records)
        if side is not None and side.p is not None:
            st.caption(f"First list preferred {side.a} times, second {side.b} times ({p_value(side.p)}).")
        agree(study, records, dataset)
    name = re.sub(r"[^\w-]+", "-", own.title).strip("-")[:40] or "study"
    with st.container(horizontal=True):
        st.download_button(
            "Answers (CSV)", lambda: report.table(study, records), f"{name}.csv", "text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Report to print", lambda: report.printable(study, records), f"{name}.html", "text/html",
            icon=":material/print:", on_click="ignore",
        )  # fmt: skip
        if study.is_open and st.button("End the study", icon=":material/flag:"):
            store.end(study.id)
            st.rerun()
        with st.popover("Delete", icon=":material/delete:"):
            st.write("The study and everything that people did in it are deleted for good.")
            if st.button("Delete the study", key="delete-study", type="primary"):
                store.delete(study.id)
                st.query_params.pop("results")
                st.rerun()


def agree(study: Study, records: list[outcome.Record], dataset: Dataset) -> None:
    """Whether people prefer what is better by NDCG@10 on the test set."""
    offline = {}
    for model, run in runs.finished(dataset).items():
        result = run.result()
        value = (result or {}).get("metrics", {}).get("ndcg@10")
        if model in study.definition.models and value is not None:
            offline[model] = float(value)
    rows = outcome.agreement(outcome.findings(study.definition, records), offline)
    for row in rows:
        said = {True: "people agree", False: "people prefer the other", None: "people show no difference"}[
            row["agrees"]
        ]
        st.caption(
            f"NDCG@10 of {layout.escape(row['a'])} less that of {layout.escape(row['b'])} is {row['offline']:+.4f}"
            f" ({layout.escape(row['question'])}: {said})."
        )
