"""The Ray cluster that work is sent to: its nodes, what is free on them, how to name one."""

from __future__ import annotations

import os

import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.runs import ray_cluster
from pages.parts import layout, owner
from pages.parts.run_card import run_card

START = """ray start --head --port 6379                    # on the first machine
ray start --address FIRST_MACHINE:6379          # on every other one
python -m mmrec_core smoke                      # checks that figures there equal figures here"""


def view() -> None:
    """The whole part."""
    st.caption(
        "Where one machine is too small: training runs, searches, encodings and evaluations are sent to a Ray cluster"
        " as jobs; everything else stays as it is. If a node is lost, its runs go on elsewhere from their last"
        " checkpoint."
    )
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        if owner.is_owner():
            address_form()
        else:
            st.info("The owner of this app names the cluster.", icon=":material/lock:")
    with right:
        st.fragment(nodes, run_every=5)()


def address_form() -> None:
    """Which cluster, if any."""
    st.subheader("Which cluster", anchor=False)
    try:
        ray_cluster.address()
    except DamagedFile as fault:
        st.warning(layout.escape(str(fault)), title="The address is damaged", icon=":material/broken_image:")
        st.caption(
            "The damaged file is kept under another name once you name a cluster, or leave the address empty, and press"
            " Use it."
        )
    if (named := os.environ.get("RAY_ADDRESS")) is not None:
        st.markdown(f"**{layout.escape(named)}**, named by `RAY_ADDRESS`.")
        st.caption("To work on this machine again, stop the app and unset it.")
    else:
        with st.form("cluster", border=False):
            where = st.text_input(
                "Address",
                saved_address() or "",
                placeholder="10.0.0.5:6379",
                key="cluster.address",
                help="HOST:PORT of the cluster's head. Empty: everything runs on this machine.",
            )
            if st.form_submit_button("Use it", icon=":material/lan:", type="primary"):
                try:
                    ray_cluster.name(where.strip() or None)
                except MMRecError as error:
                    layout.show_error(error)
                else:
                    st.rerun()
    with st.expander("How to start one", icon=":material/terminal:"):
        st.code(START, language="bash")
        st.caption(
            "All machines share MMREC_HOME and have the same checkout; clusters with a token (the usual) need it on"
            " this machine, too. docker compose up brings a cluster with the app, MLflow and a database; train --slurm"
            " prints a job script."
        )


def saved_address() -> str | None:
    """The address that is kept; ``None`` where there is none, or where its file is damaged."""
    try:
        return ray_cluster.address()
    except MMRecError:
        return None


def nodes() -> None:
    """Every node and what is free on it; what runs there."""
    st.subheader("Nodes", anchor=False)
    where = saved_address()
    if where is None:
        st.info("No cluster is named: everything runs on this machine.", icon=":material/computer:")
        return
    try:
        found = ray_cluster.nodes(where)
    except MMRecError as error:
        layout.show_error(error)
        st.caption("Runs that are sent now will fail with this reason; those on their way are looked for again.")
        return
    free = {
        kind: (sum(n.free.get(kind, 0) for n in found), sum(n.total.get(kind, 0) for n in found))
        for kind in ("CPU", "GPU")
    }
    with st.container(horizontal=True):
        st.metric(
            "Nodes",
            sum(n.alive for n in found),
            border=True,
            help="Machines that answer; the head may work on nothing itself.",
        )
        st.metric(
            "Free CPUs",
            f"{free['CPU'][0]:g} of {free['CPU'][1]:g}",
            border=True,
            help="A training run takes one, a search one per trial at a time.",
        )
        st.metric(
            "Free GPUs",
            f"{free['GPU'][0]:g} of {free['GPU'][1]:g}",
            border=True,
            help="A gradient model takes one where there are any.",
        )
    st.dataframe(
        [
            {
                "Node": n.address,
                "State": "● up" if n.alive else "○ lost",
                "Free CPUs": n.free.get("CPU", 0.0),
                "CPUs": n.total.get("CPU", 0.0),
                "Free GPUs": n.free.get("GPU", 0.0),
                "GPUs": n.total.get("GPU", 0.0),
                "Memory (GiB)": round(n.total.get("memory", 0.0) / 2**30, 1),
            }
            for n in found
        ],
        hide_index=True,
        key="cluster.nodes",
        alt=f"{len(found)} nodes of the cluster at {where} with their free devices",
    )
    there = [r for r in runs.all_runs() if r.record.get("executor") == "ray" and r.status in runs.LIVE]
    for run in there[:6]:
        run_card(run)
    if not there:
        st.caption("Nothing of ours runs there at the moment.")
