"""Open a model up: one gradient step, messages in a graph, attention, memory, losses and metrics, number by number."""

import streamlit as st

from mmrec_core import runs
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset
from pages.parts import inside, layout, queued_note
from pages.parts.sections import choose_section
from pages.parts.study import blinding

TITLE = "Inside"
ICON = ":material/visibility:"
ORDER = "55"

layout.frame()
blinding.close_page_for_participants()

dataset = layout.needs_dataset()
layout.needs_films(dataset)


def runs_for(view: inside.View, dataset: Dataset) -> dict[str, runs.Run]:
    """Finished training runs that a view opens, by their name: the newest of each model, and the one that the link
    names."""
    newest = runs.finished(dataset)
    found = {f"{model}": newest[model] for model in view.models if model in newest}
    asked = st.query_params.get("run", "")
    if asked and asked not in {run.id for run in found.values()}:
        try:
            run = runs.get(asked)
        except MMRecError:
            return found
        fits = run.kind == "train" and run.has_model and run.record.get("data") == dataset.checksum
        if fits and run.params["model"] in view.models:
            found = {f"{run.params['model']} · {run.id[:15]}": run, **found}
    return found


def choose_run(view: inside.View, dataset: Dataset) -> runs.Run | None:
    """The run to open; where there is none, a button that trains one."""
    found = runs_for(view, dataset)
    if not found:
        usable = [model for model in view.models if model in runs.usable_models(dataset)]
        if not usable:
            names = ", ".join(view.models)
            st.info(f"This view opens {names}; {layout.escape(dataset.name)} lacks what these models need.")
            return None
        with st.container(border=True):
            st.subheader("No trained model yet", anchor=False)
            st.write(f"This view opens a model that you have trained: {', '.join(usable)}.")
            if st.button(f"Train {usable[0]}", type="primary", icon=":material/play_arrow:", key="train"):
                queued_note.start("inside", lambda: runs.start_all(dataset.name, usable[:1]))
            queued_note.show("inside", linked=False)
        return None
    names = list(found)
    asked = st.query_params.get("run", "")
    st.session_state["inside.run"] = next((name for name in names if found[name].id == asked), names[0])
    if len(names) == 1:
        return found[names[0]]

    def choose() -> None:
        st.query_params["run"] = found[st.session_state["inside.run"]].id

    chosen = st.segmented_control(
        "Model", names, key="inside.run", on_change=choose, required=True, label_visibility="collapsed"
    )
    return found[chosen or names[0]]


st.title("Inside", anchor=False)
st.caption("See what a model does with your data, number by number. Every number is the model’s own.")
views = {view.title: view for view in inside.views()}
by_file = {view.name: view.title for view in views.values()}
view = views[choose_section(list(views), "view", earlier=by_file)]
st.markdown(f"**{view.question}** {view.look}")
run = choose_run(view, dataset) if view.models else None
if run is not None or not view.models:
    try:
        view.module.draw(dataset, run)
    except MMRecError as error:
        layout.show_error(error)
layout.generated_note(dataset)
