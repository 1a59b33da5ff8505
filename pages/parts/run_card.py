"""How a run stands: one line with its progress, or why it failed and what to do."""

from __future__ import annotations

import streamlit as st

from mmrec_core import runs
from pages.parts.shell import plain

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


def run_card(run: runs.Run) -> None:
    """One run."""
    name = " · ".join(str(run.params[k]) for k in ("dataset", "model") if run.params.get(k))
    status = run.status
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"{ICONS[status]} **{'Prepare' if run.kind == 'prepare' else 'Train'} {name}** — {LABELS[status]}"
            )
            if status in runs.LIVE and st.button("Stop", key=f"stop-{run.id}", icon=":material/stop:", type="tertiary"):
                runs.stop(run.id)
                st.rerun()
        if status == "running":
            last = next((e for e in reversed(run.events()) if "done" in e), None)
            if last:
                st.progress(min(last["done"] / max(last["total"], 1), 1.0), text=str(last["what"]).capitalize())
            else:
                st.progress(0.0, text="Starting")
        elif status == "failed":
            st.error(plain(run.error or ""), icon=":material/error:")
            if tail := run.log_tail():
                with st.expander("Last lines of its log"):
                    st.code(tail, language=None)
            if st.button("Try again", key=f"again-{run.id}", icon=":material/refresh:"):
                runs.start(run.kind, run.params)
                st.rerun()


def live_runs() -> list[runs.Run]:
    """Runs waiting or at work, oldest first."""
    return [run for run in runs.all_runs() if run.status in runs.LIVE]


def pace() -> int:
    """Seconds between looks at what runs: often while something does, now and then to notice what others start."""
    return 2 if live_runs() else 8


def changed(key: str, now: list[str]) -> bool:
    """Whether a list differs from what this session last saw under ``key``; the first look is no change."""
    before = st.session_state.get(key, now)
    st.session_state[key] = now
    return set(before) != set(now)
