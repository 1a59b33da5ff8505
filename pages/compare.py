"""Models side by side, ranked together only where that is honest, with intervals, groups, cost and learning curves."""

from typing import Any

import pandas as pd
import streamlit as st

from mmrec_core import metrics, runs
from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import KINDS, Key, Row
from mmrec_core.analysis.model_table import model_table
from mmrec_core.analysis.verdict import verdict
from mmrec_core.errors import MMRecError
from mmrec_core.maintenance import damage
from pages.parts import charts, damaged_files, layout, navigation, paper_export
from pages.parts.ablation import ablations
from pages.parts.compare_charts import beyond_accuracy, charts_section, training_of
from pages.parts.evaluation_setup import choose_setup, rows_of_setup
from pages.parts.paired import disagreements, paired_comparison
from pages.parts.protocol_sensitivity import protocol_sensitivity_view
from pages.parts.run_card import changed, live_runs, pace, run_card
from pages.parts.sections import choose_section

TITLE = "Compare"
ICON = ":material/leaderboard:"
ORDER = "50"

layout.frame()

SECTIONS = (
    "Overview", "Disagreements", "Paired test", "Groups", "Protocols", "Ablations", "Cost", "Beyond accuracy"
)  # fmt: skip
EARLIER = {"Paired": "Paired test", "Lists": "Beyond accuracy"}
OVERVIEW = ("Intervals", "Parallel coordinates", "Seeds", "Calibration")
dataset = layout.needs_dataset()


@st.cache_data(max_entries=64, show_spinner=False)
def differences(name: str, ids: tuple[str, ...], rival: str, _rows: list[Row]) -> dict[str, dict[str, Any]]:
    """Paired differences of NDCG@10 to a rival, kept as long as the runs are the same."""
    baseline = next(r for r in _rows if r.run.id == rival)
    return comparison.paired_with(_rows, baseline)


def baseline_form(found: list[Row], key: Key) -> None:
    """Popularity and EASE are always there, or one click away."""
    missing = comparison.missing_baselines(dataset, found, key)
    wanted = [comparison.baseline_params(dataset, key, name) for name in missing]
    live = [r.params for r in live_runs() if r.kind == "train"]
    if missing and not all(w in live for w in wanted):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(
                f"Without {' and '.join(missing)} nobody can tell whether a figure is good.",
                icon=":material/straighten:",
            )
            if st.button(f"Fit {' and '.join(missing)}", icon=":material/play_arrow:", key="fit_baselines"):
                for params in wanted:
                    runs.start("train", params)
                st.rerun()
    absent = comparison.missing_oracles(dataset, found, key)
    asked = [comparison.oracle_params(dataset, key, name) for name in absent]
    if absent and not any(a in [r.params for r in live_runs()] for a in asked):
        if st.button(
            "Evaluate the oracles (upper bounds)",
            icon=":material/visibility:",
            key="ask_oracles",
            help=(
                "These data are generated, so the best possible scores are known. It takes a minute in the background."
            ),
        ):
            for params in asked:
                runs.start("evaluate", params)
            st.rerun()


def tables(rows: list[Row]) -> None:
    """One table per kind of head."""
    fixed = [r for r in rows if (r.usual and r.model in comparison.BASELINES) or r.kind == "oracle"]
    st.caption(
        "Brackets: 95 % interval over users. ★ best value, ☆ not significantly different from it among the"
        " models of the table (reference rows are not compared). ▲ significantly better and ▼ significantly worse than"
        " popularity, ○ no significant difference."
    )
    for kind in ("ranking", "rating", "click"):
        own = [r for r in rows if r.kind == kind]
        if not own:
            continue
        shown = own + [r for r in fixed if r not in own and kind != "click"]
        names = [m for m in comparison.shown_metrics(shown) if kind == "rating" or m not in {"rmse", "mae"}]
        main = {"ranking": "ndcg@10", "rating": "rmse"}.get(kind) or next(iter(names), "log_loss")
        sign = 1 if metrics.metric(main).better == "lower" else -1
        value = lambda r: r.result["metrics"].get(main)
        shown.sort(key=lambda r: (r.kind == "oracle", value(r) is None, sign * (value(r) or 0)))
        st.markdown(f"#### {KINDS[kind]}")
        if kind == "rating":
            st.caption(
                "Rating models predict stars. For ranking metrics, films are sorted by predicted stars, although these"
                " models are not trained to rank: a film with a few very high ratings can come before one that many"
                " users like. Popularity, EASE and oracles are repeated here as references."
            )
        for hint in dataset.manifest.get("hints", []) if kind == "click" else []:
            st.caption(f":material/lightbulb: {layout.escape(hint[:1].upper() + hint[1:])}")
        table(shown, names, kind, [r for r in shown if r in own])


def table(shown: list[Row], names: list[str], kind: str, compared: list[Row]) -> None:
    """Values with intervals; an arrow where the paired difference to popularity excludes zero."""
    rival = next((r for r in shown if r.model == "popularity" and r.usual), None)
    pairs = differences(dataset.name, tuple(r.run.id for r in shown), rival.run.id, shown) if rival is not None else {}
    data: dict[str, list[Any]] = {"Model": [r.label for r in shown]}
    for name in names:
        data[charts.arrow(name)] = marked(shown, name, compared)
    if pairs and "ndcg@10" in names:
        data["NDCG@10 − popularity"] = [difference_text(pairs.get(r.run.id), r is rival) for r in shown]
    spent = [(r.result.get("seconds") or {}) for r in shown]
    data["Fit (s)"] = [None if r.kind == "oracle" else s.get("fit") for r, s in zip(shown, spent, strict=True)]
    data["Parameters"] = [r.result.get("parameters") or None for r in shown]  # closed forms take no gradient steps
    help_for = {
        charts.arrow(m): (
            f"{metrics.metric(m).meaning} Brackets: 95 % bootstrap interval over users. ★ best; ☆ not"
            " significantly different from it (paired test, Holm)."
        )
        for m in names
    }
    config: dict[str, Any] = {c: st.column_config.TextColumn(help=h) for c, h in help_for.items()}
    config["Model"] = st.column_config.TextColumn(
        pinned=True,
        help=(
            "The model, with whatever is unusual about its settings. "
            "Oracles know the truth behind generated data: the best that anybody can expect."
        ),
    )
    config["NDCG@10 − popularity"] = st.column_config.TextColumn(
        help=(
            "Mean per-user difference with its paired 95 % interval. ▲ better, ▼ worse: the interval does not contain"
            " 0. ○ It contains 0."
        )
    )
    config["Fit (s)"] = st.column_config.NumberColumn(format="%.1f", help="Seconds of fitting on this machine.")
    config["Parameters"] = st.column_config.NumberColumn(
        format="localized",
        help="Numbers that gradient steps change. –: a model without any, such as EASE, whose weights are solved for.",
    )
    st.dataframe(
        pd.DataFrame(data),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=config,
        key=f"table.{kind}",
        alt=f"{KINDS[kind]} compared: {', '.join(data['Model'])}",
    )


@st.cache_data(max_entries=256, show_spinner=False)
def marks(name: str, ids: tuple[str, ...], metric: str, _rows: list[Row]) -> dict[str, str]:
    """By label ★ for the best value and ☆ for those that a paired test does not tell from it."""
    table = model_table(dataset, _rows, metrics=[metric], baseline=None)
    found: dict[str, str] = {}
    for group in table.groups:
        estimate = table.get(group, metric)
        mark = "★ " if estimate and estimate.best else "☆ " if estimate and estimate.tied else ""
        found |= {row.label: mark for row in group.rows}
    return found


def marked(shown: list[Row], metric: str, compared: list[Row]) -> list[str]:
    """A column of the table; only results that are ``compared`` are marked as the best, references are not."""
    able = [r for r in compared if r.kind != "oracle" and r.result["metrics"].get(metric) is not None]
    found = marks(dataset.name, tuple(f"{r.run.id} {r.label}" for r in able), metric, able) if len(able) > 1 else {}
    return [found.get(r.label, "") + comparison.cell(r, metric, 3) for r in shown]


def caveats(rows: list[Row]) -> None:
    """What a reader must know of the test itself: rows not asked about, ties in time, recommendations that were
    impossible."""
    lines = []
    left_out: dict[str, int] = {}
    for row in rows:
        for reason, n in (row.result.get("left_out") or {}).items():
            left_out[reason] = max(left_out.get(reason, 0), n)
    lines += [f"Not asked about: {n:,} relevant test rows ({reason})." for reason, n in left_out.items()]
    ties = dataset.manifest.get("ties")
    if ties and ties["events"] >= 0.005:
        lines.append(
            f"{100 * ties['events']:.0f} % of events share their timestamp with another event of the same user; for"
            f" {100 * ties['last']:.0f} % of users this includes the last event. The split seed puts such events in a"
            " random order."
        )
    future = [(r, v) for r in rows if (v := r.result["metrics"].get("future_items@10")) and v >= 0.0005]
    if future:
        row, value = max(future, key=lambda pair: pair[1])
        lines.append(
            f"Some recommended items were released, or first rated, after the user’s last test event. Their mean share"
            f" of the top 10 is highest for {layout.escape(row.label)}: {100 * value:.1f} %. The protocol full:existing"
            " leaves them out."
        )
    for line in lines:
        st.caption(f":material/info: {line}")


def rename(rows: list[Row]) -> None:
    """A result's own name, shown wherever it is."""
    able = [r for r in rows if r.trained is not None]
    if not able:
        return
    with st.popover(
        "Rename a result",
        icon=":material/edit:",
        type="tertiary",
        help="Give a result a short name, shown on every page.",
    ):
        by = {r.label: r for r in able}
        label = st.selectbox("Run", [*by], key=f"rename.which.{dataset.name}")
        st.caption(layout.escape(by[label].description))
        name = st.text_input(
            "Name", key=f"rename.name.{label}", max_chars=runs.NAME_LENGTH, placeholder="Empty: the automatic name"
        )
        if st.button("Save", key="rename.save", type="primary"):
            try:
                comparison.rename(comparison.rows(dataset), by[label], name)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.rerun()


def difference_text(pair: dict[str, Any] | None, itself: bool) -> str:
    """``▲ +0.0441 [+0.0360, +0.0525]``."""
    if pair is None:
        return "baseline" if itself else "–"
    low, high = pair["interval"]
    mark = "▲" if low > 0 else "▼" if high < 0 else "○"
    return f"{mark} {pair['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"


def export(rows: list[Row]) -> None:
    """The figures for a paper."""
    with st.container(horizontal=True, vertical_alignment="center"):
        rename(rows)
        paper_export.paper_export(rows, dataset)


def not_comparable(found: list[Row], key: Key) -> None:
    """Results that cannot stand here, why, and what would bring them here."""
    others = [r for r in found if r.key != key and r.kind != "oracle" and training_of(r) is not None]
    old = comparison.outdated(dataset)
    if not others and not old:
        return
    st.subheader("Not comparable", anchor=False)
    st.caption("These cannot be ranked together with the results above.")
    here = {r.description for r in found if r.key == key}
    live = [r.params for r in live_runs()]
    able = [runs.evaluation_params(r.trained or "", key.protocol, key.regime, key.relevant_from) for r in others
            if r.description not in here and comparison.can_be_evaluated_like(r, key)]  # fmt: skip
    if (
        len(able) > 1
        and not all(a in live for a in able)
        and st.button(f"Evaluate all {len(able)} as above", icon=":material/gavel:", key="judge_all")
    ):
        for wanted in able:
            runs.start("evaluate", wanted)
        st.rerun()
    for row in others[:12]:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            name = "ndcg@10" if row.result["metrics"].get("ndcg@10") is not None else "rmse"
            value = f"{name.upper()} {comparison.cell(row, name)} there"
            st.markdown(
                f"**{layout.escape(row.label)}** — differs in {layout.escape(', '.join(key.differs(row.key)))}"
                f" :small[:gray[({value})]]"
            )
            if row.description in here:
                st.caption("also evaluated as above")
            elif comparison.can_be_evaluated_like(row, key):
                wanted = runs.evaluation_params(row.trained or "", key.protocol, key.regime, key.relevant_from)
                if wanted in live:
                    st.caption("being evaluated")
                elif st.button("Evaluate it as above", key=f"judge-{row.run.id}", icon=":material/gavel:"):
                    start_job("evaluate", wanted)
            elif row.result.get("run") and st.button(
                "Train it on this split",
                key=f"again-{row.run.id}",
                icon=":material/model_training:",
                help="Its model was fitted on other rows than the models above. Train it again to compare.",
            ):
                trained = runs.get(str(row.trained)).params
                mine = comparison.baseline_params(dataset, key, row.model)
                same = ("split", "split_seed", "filter_from", "relevant_from", "protocol", "regime", "refit")
                start_job("train", {**trained, "from_run": None, **{k: mine[k] for k in same}})
    if len(others) > 12:
        st.caption(f"… and {len(others) - 12} more.")
    if old:
        names = sorted({r.params["model"] for r in old})
        st.caption(
            f":material/history: {len(old)} earlier result{'s' if len(old) > 1 else ''} ({', '.join(names)}) belong to"
            " this dataset as it was before it was prepared anew; train again to compare."
        )


def start_job(kind: str, params: dict[str, Any]) -> None:
    """Queue it and show that."""
    try:
        runs.start(kind, params)
    except MMRecError as error:
        layout.show_error(error)
    else:
        st.rerun()


def no_results() -> None:
    """What is coming, or how to make it come."""
    with st.container(border=True):
        if any(r.params.get("dataset") == dataset.name for r in live_runs()):
            st.subheader("The first results are on their way", anchor=False)
            st.write("They appear here one by one as the training runs end.")
        else:
            st.subheader(f"Nothing has been evaluated on {dataset.name} yet", anchor=False)
            st.write(f"Fit the models first: {', '.join(runs.usable_models(dataset))}.")
            with st.container(horizontal=True):
                if st.button("Train baseline models", type="primary", icon=":material/model_training:"):
                    try:
                        runs.start_all(dataset.name)
                    except MMRecError as error:
                        layout.show_error(error)
                    else:
                        st.rerun()
                if st.button("Choose one to train", icon=":material/tune:"):
                    st.switch_page(layout.page("train"), query_params={"dataset": dataset.name})


def jobs_in_progress() -> None:
    """What is still being fitted or evaluated; each one that ends joins the tables."""
    live = [r for r in live_runs() if r.params.get("dataset") == dataset.name and r.kind in {"train", "evaluate"}]
    if changed("compare_live", [dataset.name, *(r.id for r in live)]):
        st.rerun()
    if live:
        st.caption(f"Still to come: {', '.join(str(r.params['model']) for r in live)}")
        run_card(live[0])


def verdicts(rows: list[Row]) -> None:
    """What the results say, in a sentence for each kind of model; on the overview with what it rests on."""
    overview = st.query_params.get("part") in (None, SECTIONS[0])
    for kind, metric, baseline in (("ranking", "ndcg@10", "popularity"), ("rating", "rmse", "bias")):
        own = [r for r in rows if r.kind == kind or (r.kind == "rating" and kind == "ranking" and r.model == baseline)]
        if any(r.kind == kind for r in own):
            text = sentence(dataset.name, tuple(f"{r.run.id} {r.label}" for r in own), metric, baseline, own)
            first, _, rest = text.partition(". ")
            if text:
                st.markdown(
                    f"##### {layout.escape(first)}{'.' if rest else ''}\n{layout.escape(rest) if overview else ''}"
                )


@st.cache_data(max_entries=64, show_spinner="Comparing the models …")
def sentence(name: str, ids: tuple[str, ...], metric: str, baseline: str, _rows: list[Row]) -> str:
    """The verdict on one metric, kept as long as the runs are the same."""
    found = verdict(dataset, _rows, metric, baseline)
    return found.sentence() if found is not None else ""


def sections(found: list[Row], rows: list[Row], key: Key) -> None:
    """One section at a time."""
    name = choose_section(SECTIONS, earlier=EARLIER)
    if name == "Overview":
        navigation.fragment(charts_section)(rows, OVERVIEW, dataset)
        tables(rows)
        caveats(rows)
        others = sum(r.key != key and r.kind != "oracle" and training_of(r) is not None for r in found)
        if others:
            st.caption(
                f":material/info: {others} result{'s' if others > 1 else ''} of other evaluation setups cannot be"
                " ranked with these; Protocols lists them, with the reason."
            )
        export(rows)
    elif name == "Disagreements":
        navigation.fragment(disagreements)(rows, dataset)
    elif name == "Paired test":
        navigation.fragment(paired_comparison)(rows, dataset)
    elif name == "Groups":
        navigation.fragment(charts_section)(rows, ("Groups",), dataset)
    elif name == "Protocols":
        navigation.fragment(protocol_sensitivity_view)(found, rows, dataset)
        not_comparable(found, key)
    elif name == "Ablations":
        ablations(dataset, key.split)
    elif name == "Cost":
        navigation.fragment(charts_section)(rows, ("Cost", "Learning curves"), dataset)
    else:
        beyond_accuracy(rows)


st.title("Compare", anchor=False)
layout.generated_note(dataset)
damaged_files.note(damage.of_results(dataset))
found = comparison.rows(dataset)
if found:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = choose_setup(found, dataset)
        only_usual = st.toggle(
            "Default settings only",
            key="only_usual",
            bind="query-params",
            help="Hides training runs with other seeds, settings or shares of the rows.",
        )
        rows = rows_of_setup(found, key)
        baseline_form(found, key)
    rows = [r for r in rows if not only_usual or r.usual]
    if rows:
        verdicts(rows)
        sections(found, rows, key)
    else:
        st.info(
            "None of these training runs has default settings. Switch “Default settings only” off to see them.",
            icon=":material/filter_alt_off:",
        )
else:
    no_results()
    ablations(dataset, runs.default_params(dataset)["split"])
st.fragment(jobs_in_progress, run_every=pace())()
