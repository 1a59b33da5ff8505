"""Start training runs in the background and watch them live; every setting comes with its meaning and range."""

import time
from pathlib import Path
from typing import Any

import streamlit as st

from mmrec_core import features, ownership, registry, runs, settings, storage
from mmrec_core.analysis import comparison
from mmrec_core.data import split_plugins
from mmrec_core.errors import MMRecError
from mmrec_core.jobs import tracking
from mmrec_core.types import Dataset
from pages.parts import cluster_view, damaged_files, layout, queued_note
from pages.parts.config_form import config_form, fields_form
from pages.parts.encoder_training import encoder_training
from pages.parts.model_picker import model_picker
from pages.parts.run_card import changed, live_runs, pace, queue, run_card, span
from pages.parts.sections import choose_section
from pages.parts.tuning import tune

TITLE = "Train"
ICON = ":material/model_training:"
ORDER = "40"

layout.frame()

QUICK = {"max_epochs": 5}
PROTOCOLS = ["full", "sampled:100", "sampled:1", "sampled:99", "sampled:100:popularity", "sampled:100:of=5000"]
dataset = layout.needs_dataset()


def template_run() -> runs.Run | None:
    """The run whose settings the link asks to begin with."""
    asked = st.query_params.get("like")
    try:
        run = runs.get(asked) if asked else None
    except MMRecError:
        return None
    mine = run is not None and run.kind == "train" and run.params["dataset"] == dataset.name
    return run if mine else None


def splits(chosen: Dataset) -> dict[str, str]:
    """The splits that these data allow, with what each asks."""
    has = set(chosen.manifest["has"])
    summary = {
        "user-temporal": "the last tenth of each user's ratings is the test set",
        "random:80-10-10": "each user's ratings divided at random",
        "random-global:90-0-10": "all ratings divided at random, as in many papers on RMSE",
        "chronological:70-15-15": "one point in time for all users: training before, test after it",
        "leave-one-out": "the last rating of each user is the test set",
        "cold-user": "a tenth of the users are not in training; they are folded in",
        "cold-item": "a tenth of the films are not in training",
    }
    if "user" not in has:
        shipped = {n: "the division published with the dataset" for n in chosen.official_names() if n == "official"}
        summary = shipped | {"random-global:80-10-10": "rows divided at random"}
    if "time" not in has:
        summary = {k: v for k, v in summary.items() if k.startswith(("random", "cold-item"))}
    summary |= {
        f"folds:{name}" if name != "official" else name: "the division published with the dataset"
        for name in chosen.official_names()
    }
    for name, strategy in split_plugins.strategies().items():
        if "user" in has and ("time" in has or not strategy.needs_time):
            summary[name] = strategy.meaning or "a plugin"
    return summary


def choose_model(start: runs.Run | None) -> str | None:
    """Which model; those that the data cannot serve are shown with what they lack."""
    able = runs.usable_models(dataset)
    schemas = registry.schemas("models")
    if not able:
        st.info(
            f"No model works on {dataset.name}: it has {', '.join(dataset.manifest['has'])}.", icon=":material/block:"
        )
        return None
    wanted = (
        start.params["model"]
        if start is not None and start.params["model"] in able
        else "bpr"
        if "bpr" in able
        else able[0]
    )
    missing, encodable = lacks(schemas, able)
    name = model_picker(schemas, able, missing, first=wanted, key=f"model.{start.id if start else ''}")
    schema = schemas[name]
    st.caption(
        f"**{name}**: {layout.escape(schema['summary'])} Needs {registry.in_words(schema['needs']) or 'nothing'}."
    )
    if encodable:
        st.page_link(
            layout.page("space"),
            label=f"Encode plots or posters to train {len(encodable)} more models",
            icon=":material/image_search:",
        )
    for broken, fault in registry.faults("models").items():
        st.caption(f":material/error: {layout.escape(broken)}: {layout.escape(fault)}")
    return name


def lacks(schemas: dict[str, dict[str, Any]], able: list[str]) -> tuple[dict[str, str], list[str]]:
    """Why each of the other models cannot be trained on these data, and which of them could after an encoding."""
    offered = features.available_inputs(dataset)
    shows = dataset.manifest.get("posters") or dataset.manifest.get("plots")
    unmet = {n: registry.unmet(schema["needs"], offered) for n, schema in schemas.items() if n not in able}
    later = [n for n, own in unmet.items() if shows and all(registry.reads_content([need]) for need in own)]
    return {
        n: "Encode plots or posters first" if n in later else f"These data lack {registry.in_words(own)}"
        for n, own in unmet.items()
    }, later


def form() -> None:
    """All that can be set; starts the run."""
    start = template_run()
    begin = st.query_params.get("begin")
    head = st.container(horizontal=True, vertical_alignment="center")
    head.subheader("New run", anchor=False)
    if start is not None:
        head.badge(
            f"{'warm start from' if begin else 'like'} {start.params['model']} of"
            f" {time.strftime('%d %b %H:%M', time.localtime(start.record['created']))}",
            icon=":material/tune:",
            color="gray",
        )
        if head.button("Default settings", icon=":material/restart_alt:", type="tertiary", key="forget_like"):
            st.query_params.from_dict({"dataset": dataset.name})
            st.rerun()
    name = choose_model(start)
    if name is None:
        return
    same = start if start is not None and start.params["model"] == name else None
    given: dict[str, Any] = dict(same.params["options"] or {}) if same is not None else {}
    trains = bool(registry.schema("models", name)["trains"])
    if same is None and trains:
        preset = st.segmented_control(
            "Preset",
            ["Default", "Quick look"],
            default="Default",
            required=True,
            key=f"preset.{name}",
            help=(
                "Default: the model's own settings. Quick look: five epochs on a tenth of the rows, "
                "to see whether it runs at all; its figures are no evidence."
            ),
        )
    else:
        preset = same.id if same is not None else "Default"
    quick = preset == "Quick look"
    given |= QUICK if quick else {}
    key = f"train.{preset}"
    options = config_form("models", name, key=key, given=given)
    if trains:
        schema = registry.schema("models", name)["train"]
        options |= fields_form(schema, key=f"{key}.how.{name}", given=given)
    with st.expander("More settings"):
        options |= config_form("models", name, key=f"{key}.more", given=given, advanced=True)
        if trains:
            options |= fields_form(schema, key=f"{key}.more.how.{name}", given=given, advanced=True)
        elif not any(
            p.get("advanced") for p in registry.schema("models", name)["config"].get("properties", {}).values()
        ):
            st.caption("This model is solved in closed form and has no others.")
    vectors = content_settings(name, same, key) if reads_content(name) else {}
    with st.expander("Data and protocol"):
        asked = protocol_settings(same, f"{key}.{name}", quick, trains) | vectors
    if trains:
        with st.expander("Warm start from an earlier run", expanded=begin is not None):
            asked["from_run"] = initial_weights(name, begin)
    layout.generated_note(dataset)
    launch(name, asked, options)


def reads_content(name: str) -> bool:
    """Whether a model is given vectors of plots and posters."""
    return registry.reads_content(registry.schema("models", name)["needs"])


def content_settings(name: str, start: runs.Run | None, key: str) -> dict[str, Any]:
    """Whose vectors, and which of them."""
    ready = list(features.available(dataset))
    pairs = [
        f"{a}+{b}"
        for a in ready
        for b in ready
        if a != b
        and "text" in features.available(dataset)[a]["modality"]
        and "image" in features.available(dataset)[b]["modality"]
    ]
    before = start.params if start is not None else {}
    usual = before.get("encoder") or features.default_encoder(dataset)
    known = list(dict.fromkeys([*([usual] if usual else []), *ready, *pairs]))
    choices = features.content_choices(dataset)
    with st.grid(min_column_width=170):
        modality = st.selectbox(
            "Plots and posters",
            choices,
            index=choices.index(wanted) if (wanted := before.get("modality") or "both") in choices else 0,
            key=f"{key}.modality.{name}",
            help=(
                "Which vectors the model reads beside ids. 'none' gives the same model "
                "with ids alone, to see what content adds."
            ),
        )
        encoder = st.selectbox(
            "Encoder",
            known,
            key=f"{key}.encoder.{name}",
            disabled=modality == "none",
            help="Whose vectors. A+B takes texts from A and pictures from B. More under Space: encode this catalog.",
        )
    return {"modality": modality, "encoder": None if modality == "none" else encoder}


def protocol_settings(start: runs.Run | None, key: str, quick: bool, trains: bool) -> dict[str, Any]:
    """Split, seeds, what counts as liked, candidates, regime, share of rows."""
    before = (
        start.params if start is not None else runs.DEFAULT_PARAMS | {"split": runs.default_params(dataset)["split"]}
    )
    known = splits(dataset)
    names = [*known] if before["split"] in known or start is None else [before["split"], *known]
    with st.grid(min_column_width=170):
        how = st.selectbox(
            "Split",
            names,
            index=names.index(before["split"]) if before["split"] in names else 0,
            key=f"{key}.split",
            accept_new_options=True,
            help=(
                "How ratings are divided into training, validation and test. "
                "Shares may be typed, such as random:70-10-20."
            ),
        )
        split_seed = st.number_input(
            "Split seed",
            0,
            2**31 - 1,
            before["split_seed"],
            key=f"{key}.split_seed",
            help="Drives what is random in the split. Runs compare on the same split only.",
        )
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            before["seed"],
            key=f"{key}.seed",
            help="Drives the model: first weights, order of rows, negatives.",
        )
        protocols = [
            *PROTOCOLS,
            *(["shipped"] if dataset.candidates((how or "").removeprefix("folds:")) is not None else []),
        ]
        ranked = [*protocols] if before["protocol"] in protocols else [before["protocol"], *protocols]
        judged = st.selectbox(
            "Candidates",
            ranked,
            index=ranked.index(before["protocol"]),
            key=f"{key}.protocol",
            accept_new_options=True,
            help=(
                "full: each liked film is ranked among all films. sampled:N: among N others; kinder to weak models, and"
                " never compared with full. shipped: among those that the split's makers drew. Add :existing for items"
                " that existed at the time asked about, :seen=hide or :seen=allow for items that the user has met"
                " before (hidden by default; candidates by default where events repeat)."
            ),
        )
        regime = st.selectbox(
            "Regime",
            ["frozen", "stream"],
            index=["frozen", "stream"].index(before["regime"]),
            key=f"{key}.regime",
            help=(
                "frozen: models are fitted on the training rows, with refit also on the validation rows. stream: every "
                "earlier event is known when the next is asked."
            ),
        )
        fraction = st.number_input(
            "Share of training rows (%)",
            0.001,
            100.0,
            10.0 if quick else 100.0 * before["fraction"],
            format="%g",
            key=f"{key}.fraction",
            help="Learns from this share of the training rows, drawn by the split seed; the test stays whole.",
        )
        asked: dict[str, Any] = {
            "split": how,
            "split_seed": int(split_seed),
            "seed": int(seed),
            "protocol": judged,
            "regime": regime,
            "fraction": round(fraction / 100, 6),
        }
        if dataset.scale is not None:
            low, high = dataset.scale
            usual = high if dataset.manifest.get("relevant_from") is None else float(dataset.manifest["relevant_from"])
            bar = st.number_input(
                "Relevant from",
                low,
                high,
                usual if before["relevant_from"] is None else float(before["relevant_from"]),
                step=0.5,
                key=f"{key}.bar",
                help="Ratings from here on count as relevant; ranking models learn from those of training.",
            )
            dropped = None if before["filter_from"] is None else float(before["filter_from"])
            drop = st.number_input(
                "Drop ratings below",
                low,
                high,
                dropped,
                step=0.5,
                key=f"{key}.drop",
                placeholder="keep all",
                help="Drops them before splitting; all that is kept counts as relevant (RecBole's protocol).",
            )
            asked["filter_from"] = drop
            asked["relevant_from"] = None if bar == usual or drop is not None else float(bar)
        cut = (
            " This split brings no validation rows, so a tenth of training is cut off for them."
            if lacks_validation(how or "")
            else ""
        )
        asked["refit"] = st.toggle(
            "Refit on training and validation rows",
            value=bool(before["refit"]),
            key=f"{key}.refit",
            help=(
                "By default models are fitted on the training rows alone; validation rows serve early "
                "stopping. With refit closed forms and gradient models are fitted on both, and models of "
                "sequences and of events in time observe the validation rows."
            )
            + cut,
        )
    st.caption(f"{layout.escape(how or '')}: {known.get(how or '', 'as typed')}")
    return asked


def lacks_validation(how: str) -> bool:
    """Whether a split leaves it to us to cut validation rows off training."""
    return how.startswith(("folds", "official", "cold-")) or "-0-" in how


def initial_weights(name: str, begin: str | None) -> str | None:
    """A run, or a file, whose weights to begin with."""
    known = {n for n, info in registry.schemas("models").items() if info["trains"]}
    able = [r for r in runs.all_runs()[::-1] if r.kind == "train" and r.params["model"] in known and r.has_model]
    able.sort(key=lambda r: r.params["model"] != name)
    ids = [r.id for r in able]
    by_id = {
        r.id: (
            f"{r.params['model']} · {r.params['dataset']} ·"
            f" {time.strftime('%d %b %H:%M', time.localtime(r.record['created']))}"
        )
        for r in able
    }
    chosen = st.selectbox(
        "Start from the weights of run",
        ids,
        index=ids.index(begin) if begin in ids else None,
        format_func=lambda i: by_id[i],
        placeholder="None: begin with random weights",
        key=f"donor.{begin or ''}",
        help=(
            "Weights whose shapes fit are taken over, tables of people and films by id, never by row; "
            "the run's notes list what began anew."
        ),
    )
    file = st.file_uploader(
        "Or somebody's weights",
        type=["safetensors", "pt", "pth"],
        key="foreign",
        help="Tensors only: a file that holds more is refused, because opening it could run code.",
    )
    if file is None:
        return chosen
    kept = st.session_state.get("foreign_file")
    if kept is None or kept[0] != file.file_id:
        # named by content: equal weights are one wish, unlike ones never share a label
        path = settings.home() / "uploads" / f"weights-{storage.checksum(file.getvalue())}{Path(file.name).suffix}"
        try:
            ownership.require("bring weights")
            storage.write_bytes(path, file.getvalue())
        except MMRecError as error:
            layout.show_error(error)
            return chosen
        kept = st.session_state["foreign_file"] = (file.file_id, str(path))
    return str(kept[1])


def launch(name: str, asked: dict[str, Any], options: dict[str, Any]) -> None:
    """What it will take, and the button."""
    try:
        params = runs.training_params(dataset.name, name, options=options, **asked)
    except MMRecError as error:
        layout.show_error(error)
        return
    info = runs.expected_seconds(params)
    measured = st.session_state.get("measured")
    if measured and measured[0] == params:
        st.caption(f":material/schedule: {measured[1]}")
    elif info is not None:
        most = (
            f", or {span(info['most'])} without early stopping"
            if info["most"] and info["most"] > info["seconds"] * 1.1
            else ""
        )
        other = "" if info["same"] else " with other settings"
        count = f"{info['runs']} earlier run{'s' if info['runs'] > 1 else ''}"
        st.caption(f":material/schedule: Estimated training time: {span(info['seconds'])}{most} (from {count}{other}).")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Start training", type="primary", icon=":material/play_arrow:", key="start"):
            start_run(params)
        if (info is None or not info["same"]) and registry.schema("models", name)["trains"]:
            if st.button(
                "How long?",
                icon=":material/timer:",
                key="measure",
                type="tertiary",
                help="Takes a few steps here and now, to say how long an epoch lasts and how large the model is.",
            ):
                with st.spinner("Taking a few steps …"):
                    try:
                        st.session_state["measured"] = (params, estimate(params))
                    except MMRecError as error:
                        layout.show_error(error)
                    else:
                        st.rerun(scope="fragment")
        st.toggle(
            "Also train baselines",
            value=True,
            key="baselines",
            help=(
                "Popularity and EASE on the same split and protocol where they are missing, so that there is something "
                "to compare with. They take seconds."
            ),
        )
    queued_note.show("train")


def estimate(params: dict[str, Any]) -> str:
    """What a few measured steps say."""
    from mmrec_core.jobs import profile  # loads torch, which nothing else on this page needs

    info = profile.measure(params)
    size = f"{info['parameters']:,} parameters, {info['rows']:,} rows an epoch in {info['batches']:,} batches"
    return (
        f"An epoch takes about {span(info['epoch_s'])}, all {info['max_epochs']} at most"
        f" {span(info['epoch_s'] * info['max_epochs'])} and validation; {size}."
    )


def start_run(params: dict[str, Any]) -> None:
    """Queue it, and the baselines that its comparison lacks."""
    try:
        started = [runs.start("train", params)]
        if st.session_state.get("baselines"):
            for name in comparison.BASELINES:
                if name != params["model"] and name in runs.usable_models(dataset):
                    shared = {
                        k: params[k]
                        for k in ("split", "split_seed", "protocol", "regime", "relevant_from", "filter_from", "refit")
                    }
                    wanted = runs.training_params(dataset.name, name, **shared)
                    if not any(
                        r.params == wanted
                        and r.record["status"] == "finished"
                        and r.record.get("data") == dataset.checksum
                        and r.record.get("known")
                        for r in runs.all_runs()
                        if r.kind == "train"
                    ):
                        started.append(runs.start("train", wanted))
    except MMRecError as error:
        layout.show_error(error)
        return
    queued_note.remember("train", started)
    if "begin" in st.query_params:  # so that neither a reload nor a second press begins from it again
        del st.query_params["begin"]
    st.rerun()


def jobs_in_progress() -> None:
    """What runs and what waits; when one begins or ends the whole page is drawn anew."""
    live = live_runs()
    if changed("train_live", [f"{run.id} {run.status}" for run in live]):
        st.rerun()
    if not live:
        return
    st.subheader("Running jobs", anchor=queued_note.JOBS)
    queue(live, full=True)


def history() -> None:
    """What has ended, newest first."""
    st.subheader("Earlier runs", anchor=False)
    damaged_files.note(runs.damaged_runs().values())
    ended = [r for r in runs.all_runs()[::-1] if r.kind == "train" and r.status not in runs.LIVE]
    mine = [r for r in ended if r.params["dataset"] == dataset.name]
    if not mine:
        st.info(
            f"Nothing has been trained on {dataset.name} yet. Choose a model and start; this page can be closed"
            " meanwhile.",
            icon=":material/history:",
        )
        return
    kinds = ["all", *(s for s in ("finished", "failed", "stopped") if any(r.status == s for r in mine))]
    kind = (
        st.segmented_control(
            "Which runs", kinds, default="all", required=True, key="history_kind", label_visibility="collapsed"
        )
        or "all"
    )
    shown = [r for r in mine if kind in {"all", r.status}]
    per_page = 4
    pages = -(-len(shown) // per_page)
    at = min(st.session_state.get("history_page", 1), max(pages, 1)) - 1
    for run in shown[at * per_page : (at + 1) * per_page]:
        run_card(run, full=True)
    if pages > 1:
        st.pagination(pages, key="history_page")


def tools() -> None:
    """Other people's ways to look at runs."""
    with st.container(horizontal=True):
        if st.button("Open Compare", icon=":material/leaderboard:", key="to_compare"):
            st.switch_page(layout.page("compare"), query_params={"dataset": dataset.name})
        if st.button(
            "Open in MLflow",
            icon=":material/monitoring:",
            key="mlflow",
            help="Copies every run into MLflow's own store and starts its pages on localhost.",
        ):
            with st.spinner("Sending runs to MLflow …"):
                try:
                    st.session_state["mlflow_url"] = tracking.open_mlflow()
                except MMRecError as error:
                    layout.show_error(error)
        if url := st.session_state.get("mlflow_url"):
            st.link_button("MLflow is up: open it", url, icon=":material/open_in_new:")


st.title("Train", anchor=False)
if winner := st.session_state.pop("to_form", None):
    st.query_params.from_dict({"dataset": dataset.name, "like": winner})
section = choose_section(("Train", "Tune", "Cluster"))
if section == "Tune":
    tune(dataset, splits(dataset))
elif section == "Cluster":
    cluster_view.view()
else:
    st.caption(
        "Each training run is a separate process. It continues if you close this page or stop the app. Runs start in"
        " the order in which they were queued."
    )
    st.fragment(jobs_in_progress, run_every=pace())()
    left, right = st.columns([1, 1.25], gap="large")
    with left:
        st.fragment(form)()
        with st.expander("Train an encoder for posters and plots", icon=":material/compare:"):
            st.fragment(encoder_training)(dataset)
    with right:
        st.fragment(history)()
        st.fragment(tools)()
