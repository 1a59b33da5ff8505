"""How a run stands: one line with its progress, or why it failed and what to do; in full also its curves and its
log."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from mmrec_core import registry, runs, settings
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import protocol_label
from mmrec_core.maintenance import damage
from mmrec_core.runs import heartbeat
from mmrec_core.training.validation_metrics import VALIDATION_METRICS
from pages.parts import layout
from pages.parts.delete_dialog import delete_button
from pages.parts.layout import escape

LABELS = {
    "queued": "waiting its turn",
    "running": "running",
    "finished": "finished",
    "failed": "failed",
    "stopped": "stopped",
}
ICONS = {
    "queued": ":material/hourglass_empty:",
    "running": ":material/sync:",
    "finished": ":material/check_circle:",
    "failed": ":material/error:",
    "stopped": ":material/stop_circle:",
}
DOING = {
    "prepare": "Prepare",
    "encode": "Encode",
    "project": "Draw the map of",
    "train-encoder": "Train the encoder on",
    "train": "Train",
    "evaluate": "Evaluate",
    "crossing": "Compute the cold-start curve on",
    "tune": "Tune",
}
CARDS, MOST_LINES = 2, 30
"""Running jobs shown as cards, and waiting ones listed in a line each."""
POINTS = 120
"""Points of a curve that are sent to the browser at most."""


def run_card(run: runs.Run, *, full: bool = False) -> None:
    """One run; ``full`` adds curves, figures, notes, the log, and what one can go on with."""
    status = run.status
    with st.container(border=True, key=f"run-{run.id}"):
        st.html(f'<span id="{card_anchor(run)}"></span>')
        with st.container(horizontal=True, vertical_alignment="center"):
            there = "on the cluster" if run.record.get("executor") == "ray" else None
            if status in runs.LIVE and (other := heartbeat.elsewhere(run.record)):
                there = f"on {other}"
            where = f" :gray-badge[:material/lan: {escape(there)}]" if there else ""
            st.markdown(f"{ICONS[status]} **{title(run)}** — {LABELS[status]}{unusual(run)}{where}")
            _act(run, status, full)
        if status == "queued":
            waiting(run)
        elif status == "running":
            progress(run)
        elif status == "failed":
            st.error(escape(settings.without_paths(run.error or "")), icon=":material/error:")
            if tail := run.log_tail():
                with st.expander("Last lines of its log", expanded=full):
                    st.code(settings.without_paths(tail), language=None)
        elif status == "finished":
            for fault in damage.of_run(run):
                st.warning(escape(str(fault)), title="Its result is damaged", icon=":material/broken_image:")
        elif status == "stopped" and full:
            st.caption(
                f"Its {'best' if watched(run) else 'last'} weights are kept: resume it, or begin another training run"
                " from it."
                if run.has_model
                else "Stopped before there was anything to keep."
            )
        if full and run.kind == "train":
            figures(run, status)
            curves(run)
            for note in [e["text"] for e in run.events() if e.get("kind") == "note"][-3:]:
                st.caption(f":material/info: {escape(settings.without_paths(note))}")
            if status in {"running", "finished"} and (tail := run.log_tail()):
                with st.expander("Log"):
                    st.code(settings.without_paths(tail), language=None)


def card_anchor(run: runs.Run) -> str:
    """What a link calls the card of a run."""
    return f"job-{run.id}"


def start_these(wanted: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Queue several pieces of work (kind and params) and draw the page anew; says why where one cannot be."""
    try:
        for kind, params in wanted:
            runs.start(kind, params)
    except MMRecError as error:
        layout.show_error(error)
    else:
        st.rerun()


def queue(live: Sequence[runs.Run], *, full: bool = False) -> None:
    """Running jobs: cards of the first two, a line for each of the others, so that they do not fill the page.

    Args:
        live: running and waiting runs, in the order in which they begin.
        full: whether the first card shows curves and figures.
    """
    for at, run in enumerate(live[:CARDS]):
        run_card(run, full=full and at == 0 and run.kind == "train")
    if others := live[CARDS:]:
        with st.expander(f"{len(others)} more waiting", icon=":material/hourglass_empty:"):
            st.markdown("\n".join(f"- {title(run)}{unusual(run)}" for run in others[:MOST_LINES]))
            if len(others) > MOST_LINES:
                st.caption(f"… and {len(others) - MOST_LINES} more")


def watched(run: runs.Run) -> bool:
    """Whether validation said which weights are best."""
    return any(m in (run.last("epoch") or {}) for m in VALIDATION_METRICS.values())


def title(run: runs.Run) -> str:
    """What it does, to what; an evaluation under which protocol, a map of which space."""
    params = run.params
    parts = [str(params[k]) for k in ("dataset", "model") if params.get(k)]
    if run.kind == "evaluate":
        parts.append(protocol_label(str(params["protocol"])) + (", stream" if params.get("regime") == "stream" else ""))
    if run.kind == "project":
        parts.append(
            {"text": "plots", "image": "posters", "both": "plots and posters"}.get(params["view"], params["view"])
        )
    return f"{DOING[run.kind]} {escape(' · '.join(parts))}"


def unusual(run: runs.Run) -> str:
    """What it does otherwise than usual, in small."""
    if run.kind != "train":
        return ""
    lines = [
        f"{k} {v}"
        for k, v in run.params.items()
        if k in runs.DEFAULT_PARAMS and k != "options" and v != runs.DEFAULT_PARAMS[k]
    ]
    lines = [re.sub(r"\S*/", "", settings.without_paths(text)) for text in lines]  # a file by its name alone
    lines = [f"{text[:24]} …" if text.startswith("from_run") and len(text) > 27 else text for text in lines]
    lines += [f"{k} {v}" for k, v in (run.params["options"] or {}).items()]
    lines.append(time.strftime("%d %b %H:%M", time.localtime(run.record["created"])))
    return f" :small[:gray[{escape(', '.join(lines).replace('_', ' '))}]]" if lines else ""


def _trains(model: str) -> bool:
    """Whether a model is trained by gradient steps; one that is gone or broken is not."""
    try:
        return bool(registry.schema("models", model)["trains"])
    except MMRecError:
        return False


def _act(run: runs.Run, status: str, full: bool) -> None:
    """The buttons that fit how it stands."""
    if status in runs.LIVE:
        if st.button("Stop", key=f"stop-{run.id}", icon=":material/stop:", type="tertiary"):
            runs.stop(run.id)
            st.rerun()
        return
    if status in {"failed", "stopped"}:
        says = "Resume" if run.has_checkpoint else "Start again"
        help_text = (
            ("Goes on with the trials that are left." if run.kind == "tune" else "Goes on from its last checkpoint.")
            if run.has_checkpoint
            else "There is no checkpoint; it starts again."
        )
        if st.button(says, key=f"resume-{run.id}", icon=":material/resume:", type="tertiary", help=help_text):
            try:
                runs.resume(run.id)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.rerun()
    if full:
        delete_button("run", run.id, f"run-{run.id}")
    if not full or run.kind != "train":
        return
    _look_inside(run)
    if st.button(
        "Settings",
        key=f"like-{run.id}",
        icon=":material/tune:",
        type="tertiary",
        help="Puts its settings into the form, to start it again or with a change.",
    ):
        st.query_params.from_dict({"dataset": run.params["dataset"], "like": run.id})
        st.toast("Its settings are in the form.", icon=":material/tune:")
        st.rerun()
    if (
        run.has_model
        and _trains(run.params["model"])
        and st.button(
            "Warm start",
            key=f"warm-start-{run.id}",
            icon=":material/replay:",
            type="tertiary",
            help=(
                "Puts its settings into the form and begins from its weights: what fits is taken over, "
                "tables of people and films by id."
            ),
        )
    ):
        st.query_params.from_dict({"dataset": run.params["dataset"], "like": run.id, "begin": run.id})
        st.toast(
            "Its settings are in the form, which begins from its weights. Change what you like and start.",
            icon=":material/replay:",
        )
        st.rerun()


def _look_inside(run: runs.Run) -> None:
    """The way to the view of Inside that opens this model."""
    from pages.parts import inside  # its views show run cards

    view = inside.opened_by(str(run.params["model"]))
    if (
        view is not None
        and run.has_model
        and st.button(
            "Inside",
            key=f"inside-{run.id}",
            icon=":material/visibility:",
            type="tertiary",
            help=f"{view.question} Opens the model on the page Inside.",
        )
    ):
        link = {"dataset": run.params["dataset"], "view": view.title, "run": run.id}
        st.switch_page(layout.page("inside"), query_params=link)


def waiting(run: runs.Run) -> None:
    """Who is ahead, and how long that may take."""
    before = runs.ahead(run)
    if not before:
        st.caption("It is next; its worker is starting.")
        return
    spans = [
        runs.remaining(r) if r.status == "running" else (runs.expected_seconds(r.params) or {}).get("seconds")
        for r in before
        if r.kind == "train"
    ]
    known = sum(s for s in spans if s is not None)
    about = f", about {span(known)}" if spans and None not in spans else ""
    names = ", ".join(str(r.params.get("model") or r.params.get("dataset")) for r in before[:3])
    st.caption(f"{len(before)} ahead{about}: {escape(names)}{' …' if len(before) > 3 else ''}")


def progress(run: runs.Run) -> None:
    """How far it is, and how long it may still take."""
    last = run.last("progress")
    if last is None:
        st.progress(0.0, text="Starting")
        return
    left = runs.remaining(run)
    until = f" · about {span(left)} left" if left is not None else ""
    st.progress(min(last["done"] / max(last["total"], 1), 1.0), text=f"{escape(str(last['what'])).capitalize()}{until}")


def span(seconds: float) -> str:
    """A time people say: ``40 s``, ``6 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def figures(run: runs.Run, status: str) -> None:
    """Epoch, speed, memory while it runs; metrics and costs once it is finished."""
    lines: list[tuple[str, str, str]] = []
    result = run.result() if status == "finished" else None
    if result is not None:
        for name in ("ndcg@10", "rmse"):
            value, interval = result["metrics"].get(name), result["intervals"].get(name)
            if value is not None:
                bracket = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
                lines.append(
                    (
                        f"Test {name.upper()}",
                        f"{value:.3f}{bracket}",
                        "On the test rows, with its 95 % interval over users.",
                    )
                )
        lines.append(("Training time", span(result["seconds"]["fit"]), "Seconds of fitting, waiting left out."))
        if result.get("parameters"):
            lines.append(("Parameters", f"{result['parameters']:,}", "Numbers that gradient steps change."))
        if result.get("epochs"):
            lines.append(
                (
                    "Best epoch",
                    f"{result['best_epoch'] + 1} of {result['epochs']}",
                    "The epoch with the best validation score, whose weights are kept.",
                )
            )
    epoch, tick = run.last("epoch"), run.last("tick")
    speed = (tick if status == "running" else None) or epoch
    if epoch is not None and status == "running":
        lines.append(("Epochs done", str(epoch["epoch"] + 1), "Passes over the training rows."))
    if speed is not None and "samples_s" in speed:
        lines.append(("Samples / s", f"{speed['samples_s']:,.0f}", "Training samples processed per second."))
    if tick is not None and status == "running":
        lines.append(("Memory", f"{tick['host_mib']:,.0f} MiB", "Main memory of the worker process."))
        if "gpu_mib" in tick:
            use = f", {tick['gpu_use']:.0f} %" if "gpu_use" in tick else ""
            lines.append(
                ("GPU", f"{tick['gpu_mib']:,.0f} MiB{use}", "GPU memory that the worker holds, and the GPU's load.")
            )
    if lines:
        with st.container(horizontal=True, gap="medium"):
            for name, value, meaning in lines:
                with st.container(width="content", gap=None):
                    st.caption(name, help=meaning)
                    st.markdown(f"**{escape(value)}**")


def thin(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most :data:`POINTS` of them, evenly, the last one among them."""
    step = -(-len(events) // POINTS)
    return events[::-1][::step][::-1] if events else []


def curves(run: runs.Run) -> None:
    """Training loss and validation score by epoch; the best epoch is marked."""
    events = run.events()
    every = run.epochs()
    watched = next((m for m in VALIDATION_METRICS.values() if every and m in every[0]), None)
    if watched is not None:
        every = [e for e in every if isinstance(e.get(watched), (int, float))]
    if not every:
        watched = None
    epochs = thin(every)
    if watched is not None:  # the best one is drawn, however many are left out
        top = (max if watched == "ndcg@10" else min)(every, key=lambda e: e[watched])
        epochs = epochs if top in epochs else sorted([*epochs, top], key=lambda e: e["epoch"])
    if len(epochs) < 2:
        ticks = thin([e for e in events if e.get("kind") == "tick"])
        if len(ticks) > 1:
            rows = pd.DataFrame({"epoch": [t["at"] for t in ticks], "loss": [t["loss"] for t in ticks]})
            st.altair_chart(_curve(rows, "loss", "Loss of a batch by epoch"), alt=f"Loss of batches of {title(run)}")
        return
    rows = pd.DataFrame({"epoch": [e["epoch"] + 1 for e in epochs], "loss": [e["loss"] for e in epochs]})
    if watched is None:
        st.altair_chart(_curve(rows, "loss", "Training loss by epoch"), alt=f"Training loss of {title(run)} by epoch")
        return
    rows[watched] = [e[watched] for e in epochs]
    judged = f" ({every[0]['judged']})" if every[0].get("judged") else ""
    best = rows[watched].idxmin() if watched != "ndcg@10" else rows[watched].idxmax()
    left, right = st.columns(2)
    left.altair_chart(_curve(rows, "loss", "Training loss by epoch"), alt=f"Training loss of {title(run)} by epoch")
    right.altair_chart(
        _curve(rows, watched, f"Validation {watched.upper()}{judged} by epoch", int(best)),
        alt=(
            f"Validation {watched}{judged} of {title(run)} by epoch, best {rows[watched][best]:.4f} in epoch"
            f" {rows['epoch'][best]}"
        ),
    )


def _curve(rows: pd.DataFrame, column: str, name: str, best: int | None = None) -> alt.Chart | alt.LayerChart:
    data = rows.rename(columns={column: "value"})[["epoch", "value"]].round(5)
    line = (
        alt.Chart(data, height=150, title=alt.Title(name, anchor="start", fontSize=12, fontWeight="normal"))
        .mark_line(point=len(data) < 30)
        .encode(
            x=alt.X("epoch:Q", title=None, axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            tooltip=[alt.Tooltip("epoch:Q", title="Epoch"), alt.Tooltip("value:Q", title=name, format=".4f")],
        )
    )
    if best is None:
        return line
    mark = alt.Chart(data.loc[[best]]).mark_point(size=140, shape="diamond", filled=True, color="#E69F00")
    return line + mark.encode(x="epoch:Q", y="value:Q", tooltip=[alt.Tooltip("value:Q", title="Best", format=".4f")])


def live_runs() -> list[runs.Run]:
    """Runs waiting or at work, in the order of the queue."""
    return sorted(
        (run for run in runs.all_runs() if run.status in runs.LIVE), key=lambda r: (r.status != "running", r.place)
    )


def pace() -> int:
    """Seconds between looks at what runs: often while something does, now and then to notice what others start."""
    return 2 if live_runs() else 8


def changed(key: str, now: list[str]) -> bool:
    """Whether a list differs from what this session last saw under ``key``, so that the page has to be drawn anew.

    The first look is no change. While the whole page is drawn there is none either: it shows what is, and a rerun would
    lose the click that it answers. Nor is there one while a dialog is open, which a rerun would close.
    """
    if st.session_state.get(layout.DIALOG):
        return False
    before = st.session_state.get(key, now)
    st.session_state[key] = now
    return set(before) != set(now) and not st.session_state.get("framed")
