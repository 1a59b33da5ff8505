"""Bring a film that nobody has met: encoded at once, set among its neighbours, and shown to everybody a model knows."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import features, runs, spaces
from mmrec_core.analysis import paired
from mmrec_core.analysis.comparison import Row
from mmrec_core.analysis.comparison import rows as results
from mmrec_core.errors import MMRecError
from mmrec_core.serving import new_item, recommender
from mmrec_core.serving.new_item import NewFilm
from mmrec_core.types import Array, Dataset, Split
from pages.parts import layout
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.trajectory_view import background


def new_film_view(dataset: Dataset) -> None:
    """The form, the neighbours, the expected reception."""
    st.caption(
        "Models that read plots and posters can say something of a film on its first day; models of ids cannot. Write"
        " one, or take a film that was held out of training."
    )
    encoders = new_item.able(dataset)
    if not encoders:
        cannot_encode(dataset)
        return
    models = models_reading(dataset, encoders)
    source = st.segmented_control(
        "Film", ["Write one", "A held-out one"], default="Write one", required=True, key="nf.source"
    )
    encoder = st.selectbox(
        "Encoder",
        encoders,
        key="nf.encoder",
        width=260,
        help="Which encoder reads it. A model answers where it was trained on the same encoder’s vectors.",
    )
    item: int | None = None
    if source == "A held-out one":
        item = held_out(dataset, models, encoder)
        if item is None:
            return
        content = content_of(dataset, encoder, item)
        with st.container(horizontal=True):
            poster_grid([film_card(dataset, item)], key="nf.film", size="small", label="The film")
    else:
        text = form(dataset)
        if text is None:
            return
        try:
            content = encoded(dataset.name, dataset.checksum, encoder, text, dataset)
        except MMRecError as error:
            layout.show_error(error)
            return
    nearest_films(dataset, encoder, content, item)
    predicted_ratings(dataset, [r for r in models if encoder_of(r, dataset) == encoder], content, item, encoder)


def cannot_encode(dataset: Dataset) -> None:
    """What to do where nothing here can read a new film."""
    imported = [n for n, info in features.available(dataset).items() if info.get("imported")]
    with st.container(border=True):
        st.subheader("Nothing here can read a new film", anchor=False)
        if imported:
            st.write(
                f"The vectors of {', '.join(imported)} were brought along without the encoder that made them. Encode"
                " the catalog with one that is here: `classic` needs no weights, `mini_clip` can be trained on these"
                " films’ own posters."
            )
        else:
            st.write("No encoder has read this catalog yet. `classic` needs no weights and takes under a minute.")
        with st.container(horizontal=True):
            if st.button("Encode with classic", type="primary", icon=":material/auto_awesome:", key="nf.classic"):
                runs.start("encode", runs.encoding_params(dataset.name, "classic"))
                st.toast("Encoding in the background; come back in a minute.", icon=":material/hourglass_empty:")
            st.page_link(layout.page("train"), label="Train a mini_clip", icon=":material/model_training:")


def encoder_of(row: Row, dataset: Dataset) -> str:
    """Whose vectors a result's model reads."""
    return str(row.result.get("encoder") or features.default_encoder(dataset))


def models_reading(dataset: Dataset, encoders: list[str]) -> list[Row]:
    """Trained models that read plots or posters, the newest of each first."""
    found = [r for r in results(dataset) if r.trained is not None and r.result.get("modality") not in (None, "none")]
    return [r for r in found if encoder_of(r, dataset) in encoders and r.run.kind == "train"]


def form(dataset: Dataset) -> NewFilm | None:
    """What somebody tells of a film."""
    genres = sorted({g for own in dataset.catalog["genres"] for g in own})
    with st.form("nf.form", border=True):
        left, right = st.columns([2, 1])
        with left:
            title = st.text_input("Title", "Untitled", max_chars=120)
            plot = st.text_area(
                "Plot",
                height=120,
                max_chars=4000,
                placeholder="A lighthouse keeper finds a map of a city that is not there …",
            )
            chosen = st.multiselect("Genres", genres, max_selections=6)
        with right:
            year = st.number_input("Year", 1880, 2100, None, placeholder="unknown")
            poster = st.file_uploader(
                "Poster",
                type=["png", "jpg", "jpeg", "webp"],
                max_upload_size=20,
                help="Any size; it is read on this machine and not kept.",
            )
        sent = st.form_submit_button("Find its audience", type="primary", icon=":material/send:")
    if sent:
        st.session_state["nf.record"] = NewFilm(
            title.strip() or "Untitled",
            plot.strip(),
            tuple(chosen),
            None if year is None else int(year),
            poster=None if poster is None else poster.getvalue(),
        )
    info: NewFilm | None = st.session_state.get("nf.record")
    if info is None:
        st.info("Write a plot, choose genres or bring a poster. One of them is enough.", icon=":material/edit:")
    return info


@st.cache_data(max_entries=32, show_spinner="Encoding …")
def encoded(name: str, checksum: str, encoder: str, info: NewFilm, _dataset: Dataset) -> dict[str, Array]:
    """Vectors of what was told."""
    return new_item.encoded(_dataset, encoder, info)


def held_out(dataset: Dataset, models: list[Row], encoder: str) -> int | None:
    """A film that a model's training never saw, to set its real reception beside."""
    able = [r for r in models if encoder_of(r, dataset) == encoder and r.key.split == "cold-item"]
    if not able:
        st.info(
            "For a held-out film a model must have been trained without it: on the cold-item split.",
            icon=":material/info:",
        )
        names = [
            m for m in runs.usable_models(dataset) if m in {"lightgcn_multimodal", "mmgcn", "dlrm_multimodal", "mm_tgn"}
        ]
        name = st.selectbox("Model", names, key="nf.train.model", width=260)
        if name and st.button(
            "Train it on cold-item", type="primary", icon=":material/model_training:", key="nf.train"
        ):
            try:
                runs.start(
                    "train",
                    runs.training_params(dataset.name, name, split="cold-item", encoder=encoder, modality="both"),
                )
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.toast("Training in the background; Train shows how far it is.", icon=":material/model_training:")
        return None
    split = split_of(dataset.name, dataset.checksum, str(able[0].key), dataset, able[0])
    n = np.bincount(np.asarray(dataset.interactions.need("item")), minlength=len(dataset.items))
    films = [int(i) for i in split.cold_items[np.argsort(-n[split.cold_items], kind="stable")]]
    titles = dataset.catalog["title"]
    chosen = st.selectbox(
        "Film", films, key="nf.cold", width=420, format_func=lambda i: f"{titles.iloc[i]} · {n[i]} ratings"
    )
    return None if chosen is None else int(chosen)


@st.cache_resource(max_entries=8, show_spinner="Dividing the ratings …")
def split_of(name: str, checksum: str, key: str, _dataset: Dataset, _row: Row) -> Split:
    """A result's division of rows."""
    return paired.split_of(_dataset, _row)


def content_of(dataset: Dataset, encoder: str, item: int) -> dict[str, Array]:
    """A catalog film's stored vectors."""
    found = {}
    for modality in ("text", "image"):
        try:
            own = features.load(dataset, encoder, modality)  # type: ignore[arg-type]
        except MMRecError:
            continue
        place = own.by_item(len(dataset.items))[item]
        if place >= 0:
            found[modality] = np.asarray(own.vectors[place], np.float32)
    return found


def nearest_films(dataset: Dataset, encoder: str, content: dict[str, Array], item: int | None) -> None:
    """Neighbours in the original space, and the place on the map."""
    near = new_item.neighbours(dataset, encoder, content, 9)
    columns = st.columns(len(near))
    for column, (modality, (items, cosine)) in zip(columns, near.items(), strict=True):
        with column:
            st.markdown(f"**Nearest by { {'text': 'plot', 'image': 'poster'}.get(modality, modality) }**")
            keep = [at for at in range(len(items)) if int(items[at]) != item][:8]
            poster_grid(
                [film_card(dataset, int(items[at]), note=f"similarity {cosine[at]:.2f}") for at in keep],
                key=f"nf.near.{modality}",
                size="small",
                label=f"Nearest by {modality}",
            )
    drawn = next(((m, found) for m in content if (found := spaces.stored(dataset, encoder, m)) is not None), None)  # type: ignore[arg-type]
    if drawn is None:
        return
    modality, found = drawn
    own = features.load(dataset, encoder, modality)  # type: ignore[arg-type]
    xy = np.full((len(dataset.items), 2), np.nan, np.float32)
    xy[found.items] = found.xy
    here = spaces.place(own.dense, xy[own.items], content[modality])
    star = (
        alt.Chart(pd.DataFrame({"x": [here[0]], "y": [here[1]], "what": ["your film" if item is None else "the film"]}))
        .mark_point(
            shape="M0,-1L.3,-.4L1,-.3L.5,.2L.6,.9L0,.55L-.6,.9L-.5,.2L-1,-.3L-.3,-.4Z",
            size=380,
            filled=True,
            color="#D55E00",
            opacity=1,
            stroke="#222",
            strokeWidth=1,
        )
        .encode(x="x:Q", y="y:Q", tooltip="what:N")
    )
    st.altair_chart(
        alt.layer(background(dataset, xy), star).properties(height=360),
        alt=f"Your film on the {modality} map of {encoder}",
    )
    st.caption(
        f"On the map of {'plots' if modality == 'text' else 'posters'}: between its nearest neighbours in the original"
        " space, the nearer the more. A place on a map is a hint; the lists above are exact."
    )


@st.cache_data(max_entries=32, show_spinner="Showing it to everybody …")
def audience_of(run_id: str, content: dict[str, Array], _dataset: Dataset, _row: Row) -> new_item.Reception:
    """What one model expects."""
    model = recommender.load_run_model(runs.get(run_id).folder)
    return new_item.reception(model, _dataset, paired.split_of(_dataset, _row), content)


def predicted_ratings(
    dataset: Dataset, models: list[Row], content: dict[str, Array], item: int | None, encoder: str
) -> None:
    """Each model's expectation, and the real answer where there is one."""
    st.markdown("#### Likely audience")
    if item is not None:
        models = [r for r in models if r.key.split == "cold-item"]
    if not models:
        st.info(
            f"No model that reads {encoder}’s vectors is trained here yet. Train lightgcn_multimodal or dlrm_multimodal"
            f" with encoder {encoder} on Train.",
            icon=":material/model_training:",
        )
        return
    labels = [f"{r.label} · {r.key.split}" for r in models]
    chosen = st.pills("Models", labels, selection_mode="multi", default=labels[:3], key=f"nf.models.{item is None}")
    for row, label in zip(models, labels, strict=True):
        if label not in (chosen or []):
            continue
        with st.container(border=True):
            try:
                found = audience_of(str(row.trained), content, dataset, row)
            except MMRecError as error:
                layout.show_error(error)
                continue
            reception_view(dataset, row, found, item)


def reception_view(dataset: Dataset, row: Row, found: new_item.Reception, item: int | None) -> None:
    """One model's word: figures, tastes, people."""
    real: dict[str, Any] | None = new_item.observed_reception(dataset, item, found) if item is not None else None
    st.markdown(f"**{layout.escape(row.label)}** :small[:gray[learned on split {row.key.split}]]")
    with st.container(horizontal=True):
        st.metric(
            "Stands above",
            f"{100 * float(found.share.mean()):.0f} % of films",
            border=True,
            help=(
                "Mean over people: the share of known films that it would stand above in their ranking. 50 % is an"
                " average film."
            ),
        )
        if found.mean_stars is not None:
            st.metric(
                "Predicted mean rating",
                f"★ {found.mean_stars:.2f}",
                border=True,
                help="Mean of predicted stars over everybody asked.",
            )
        if real is not None:
            st.metric(
                "Its real mean rating",
                "–" if real["mean"] is None else f"★ {real['mean']:.2f}",
                border=True,
                help=f"Of {real['ratings']} ratings, all held out.",
            )
            st.metric(
                "Fans told from others",
                "–" if real["auc"] is None else f"{real['auc']:.2f}",
                border=True,
                help=(
                    f"AUC: the chance that one of the {real['fans']} people who really liked it was expected to care"
                    " more than one who did not. .5 is guessing."
                ),
            )
    left, right = st.columns(2)
    with left:
        data = pd.DataFrame(
            [{"people who like most": n, "people": k, "share": s} for n, (k, s) in found.by_genre.items()]
        )
        if len(data):
            st.altair_chart(
                alt.Chart(data, height=alt.Step(20))
                .mark_bar(color="#0072B2")
                .encode(
                    y=alt.Y("people who like most:N", sort="-x", title=None),
                    x=alt.X(
                        "share:Q",
                        title="Stands above this share of films",
                        axis=alt.Axis(format="%"),
                        scale=alt.Scale(domain=[0, 1]),
                    ),
                    tooltip=["people who like most:N", "people:Q", alt.Tooltip("share:Q", format=".1%")],
                ),
                alt="Expected reception by taste: "
                + ", ".join(f"{n} {s:.0%}" for n, (_, s) in list(found.by_genre.items())[:6]),
            )
            st.caption("By the genre that people like more than others do.")
    with right:
        best = np.argsort(-found.share, kind="stable")[:8]
        st.dataframe(
            pd.DataFrame(
                {
                    "User": [str(dataset.users.raw[found.users[at]]) for at in best],
                    "Stands above": [100 * float(found.share[at]) for at in best],
                    "Open": [
                        f"/errors?dataset={dataset.name}&look=User&who={dataset.users.raw[found.users[at]]}"
                        for at in best
                    ],
                }
            ),
            hide_index=True,
            height="content",
            key=f"nf.people.{row.run.id}",
            alt="People most likely to care",
            column_config={
                "Stands above": st.column_config.NumberColumn(format="%.1f %%"),
                "Open": st.column_config.LinkColumn(display_text="who is this?"),
            },
        )
        st.caption("People most likely to care.")
