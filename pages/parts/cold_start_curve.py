"""Cold-start curve: how good each model is for newcomers as they rate, and from where on it beats popularity."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import charts, layout
from pages.parts.run_card import changed, live_runs, pace, run_card

DEFAULT_PARAMS = ("itemknn", "ease", "bpr", "mf")
METRICS = ("ndcg@10", "recall@10", "mrr", "auc")


def cold_start_curve(dataset: Dataset) -> None:
    """Choose models, draw in the background, see where each crosses."""
    st.caption(
        "A tenth of the users is left out of training. Their last ten liked films are the targets, the same for every"
        " k; of their earlier ratings the model knows the first k. From which k on does it beat popularity?"
    )
    able = [m for m in runs.usable_models(dataset) if m not in {"popularity", "random"}]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.multiselect(
            "Models",
            able,
            default=[m for m in DEFAULT_PARAMS if m in able],
            key=f"cross.models.{dataset.name}",
            width=520,
            help="Each is trained anew without these people; graph and time models may take minutes.",
        )
        seed = int(st.number_input("Seed", 0, 10**6, 0, key="cross.seed", width=110))
        asked = params(dataset, wanted, seed)
        if st.button(
            "Compute",
            icon=":material/show_chart:",
            type="primary",
            key="cross.draw",
            disabled=not wanted or asked is None or asked in [r.params for r in live_jobs()],
        ):
            runs.start("crossing", asked or {})
            st.rerun()
    st.fragment(jobs_in_progress, run_every=pace())(dataset)
    done = [
        r
        for r in runs.all_runs()
        if r.kind == "crossing" and r.record["status"] == "finished" and r.record.get("data") == dataset.checksum
    ]
    if not done:
        st.info(
            "Nothing is drawn yet. With the usual models it takes about two minutes in the background; you can go on"
            " elsewhere.",
            icon=":material/show_chart:",
        )
        return
    names = {
        r.id: ", ".join(r.params["models"]) + (f" (seed {r.params['seed']})" if r.params["seed"] else "")
        for r in done[::-1]
    }
    chosen = (
        st.selectbox("Computed", [*names], format_func=names.get, key=f"cross.run.{dataset.name}")
        if len(names) > 1
        else next(iter(names))
    )
    result = next(r for r in done if r.id == chosen).result()
    if result is not None:
        chart_and_table(result)


def params(dataset: Dataset, wanted: list[str], seed: int) -> dict[str, Any] | None:
    """What would be drawn; ``None`` where it cannot be."""
    try:
        return runs.crossing_params(dataset.name, sorted(wanted), seed=seed)
    except MMRecError as error:
        layout.show_error(error)
        return None


def live_jobs() -> list[runs.Run]:
    """Crossings under way."""
    return [r for r in live_runs() if r.kind == "crossing"]


def jobs_in_progress(dataset: Dataset) -> None:
    """What is being drawn."""
    under_way = [r for r in live_jobs() if r.params["dataset"] == dataset.name]
    if changed("cross_live", [dataset.name, *(r.id for r in under_way)]):
        st.rerun()
    for run in under_way[:2]:
        run_card(run)


def chart_and_table(summary: dict[str, Any]) -> None:
    """The picture, and in words where each model crosses."""
    metric = (
        st.segmented_control(
            "Metric", METRICS, default="ndcg@10", required=True, key="cross.metric", format_func=charts.arrow
        )
        or "ndcg@10"
    )
    rows = [
        {
            "model": name,
            "k": int(k),
            "value": at["metrics"].get(metric),
            "low": (at["intervals"].get(metric) or [None, None])[0],
            "high": (at["intervals"].get(metric) or [None, None])[1],
        }
        for name, by_k in summary["models"].items()
        for k, at in by_k.items()
    ]
    st.altair_chart(
        charts.crossing(pd.DataFrame(rows), metric),
        alt=f"{metric} against number of ratings known: "
        + "; ".join(
            f"{n} " + ", ".join(f"{k}: {v['metrics'].get(metric) or 0:.3f}" for k, v in by_k.items())
            for n, by_k in summary["models"].items()
        ),
    )
    st.caption(
        f"Bands: 95 % over the {summary['users']:,} new people. Dashed: popularity. Split cold-user (seed"
        f" {summary['split_seed']}), training seed {summary['seed']}, every film ranked."
    )
    sure = {n: k for n, k in summary["crosses"].items() if k is not None}
    first = min(sure, key=lambda n: sure[n]) if sure else None
    last_k = summary["ks"][-1]
    if first is None:
        st.markdown(f"**Nobody is shown to beat popularity with up to {last_k} ratings.**")
    else:
        st.markdown(
            f"**{layout.escape(first)} is the first to beat popularity, from {sure[first]}"
            f" rating{'s' if sure[first] != 1 else ''} on.**"
        )
    for name in summary["crosses"]:
        against = summary["models"][name][str(last_k)].get("against")
        if against is None:
            continue
        low, high = against["interval"]
        verdict = (
            f"beats popularity from {sure[name]} on"
            if name in sure
            else (
                f"is worse than popularity with {last_k}"
                if high < 0
                else (
                    f"is better with {last_k}, but not for all numbers drawn"
                    if low > 0
                    else f"cannot be told from popularity with {last_k}"
                )
            )
        )
        over = (summary.get("above") or {}).get(name)
        mean = f" (its mean lies above from {over} on)" if over is not None and name not in sure else ""
        st.markdown(
            f"- **{layout.escape(name)}** {verdict}{mean}: {against['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
            " NDCG@10 there."
        )
    st.caption(
        "“Beats” means: the paired per-user difference lies above zero beyond its 95 % interval there and for every"
        " larger k drawn."
    )
