"""The map of a space: films by plot or poster as an encoder sees them; touch it, search it, watch it turn into
another."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from mmrec_core import csv_out, features, registry, runs, settings
from mmrec_core import spaces as projection
from mmrec_core.analysis import comparison
from mmrec_core.errors import MMRecError
from mmrec_core.reading import images
from mmrec_core.spaces import publish
from mmrec_core.spaces import search as searching
from mmrec_core.types import Dataset
from pages.parts import damaged_files, layout, slices
from pages.parts.poster_grid import film_card, poster_grid
from pages.parts.run_card import changed, live_runs, pace, run_card
from pages.parts.space_map import film_map

TITLE = "Space"
ICON = ":material/bubble_chart:"
ORDER = "20"

layout.frame()

HUES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C8C8C"]
RAMP = [
    "#440154",
    "#482878",
    "#3E4A89",
    "#31688E",
    "#26828E",
    "#1F9E89",
    "#35B779",
    "#6DCD59",
    "#B4DE2C",
    "#FDE725",
]  # viridis, read by any eyes
VIEWS = {"text": "Plots", "image": "Posters", "both": "Both"}
COLOURS = [
    "Genre",
    "Decade",
    "Popularity",
    "Average rating",
    "Director",
    "Cast",
    "Tag",
    "Cluster",
    "A model's error",
    "Agreement with the other space",
    "Nothing",
]
TRUST = ("trustworthiness", "continuity", "genre_purity", "hubness", "modality_gap", "overlap")
SHOWN = 24
dataset = layout.needs_dataset()
layout.needs_films(dataset)
catalog = dataset.catalog


def spaces() -> dict[str, list[str]]:
    """What can be shown, with the views of each: encoders whose vectors are there, pairs of them, models with vectors
    of films."""
    ready = features.available(dataset)
    ready = dict(
        sorted(ready.items(), key=lambda pair: (not pair[1]["joint"], pair[0]))
    )  # where words find posters, first
    found = {
        name: [m for m in VIEWS if m in info["modality"] or (m == "both" and len(info["modality"]) == 2)]
        for name, info in ready.items()
    }
    texts = [n for n, v in found.items() if v == ["text"]]
    images = [n for n, v in found.items() if v == ["image"]]
    found |= {f"{t}+{i}": ["text", "image", "both"] for t in texts for i in images}
    schemas = registry.schemas("models")
    learned = {m: run for m, run in runs.finished(dataset).items() if schemas.get(m, {}).get("vectors")}
    return found | {f"run:{run.id}": ["text"] for run in learned.values()}


def called(name: str) -> str:
    """A space's name for people."""
    if not name.startswith("run:"):
        return name
    try:
        return f"{runs.get(name[4:]).params['model']} (learned from ratings)"
    except MMRecError:
        return name


def nothing_yet() -> None:
    """No space is there: what is coming, or what to do."""
    with st.container(border=True):
        live = [r for r in live_runs() if r.kind in {"encode", "project"} and r.params["dataset"] == dataset.name]
        if live:
            st.subheader("The first space is being encoded", anchor=False)
            st.write("Plots and posters become vectors, then the map is drawn. It appears here by itself.")
            return
        st.subheader(f"{dataset.name} has not been encoded yet", anchor=False)
        st.write("An encoder turns plots and posters into vectors; films that it finds alike end up near each other.")
        encode_form(primary=True)


def encode_form(primary: bool = False) -> None:
    """Choose an encoder and start it in the background."""
    names = [n for n, info in features.encoder_list(dataset).items() if info["fault"] is None]
    usual = "mini_clip" if dataset.manifest["generated"] else "classic"
    ready = set(features.available(dataset))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Encoder",
            [*names, *features.PAIRS],
            index=names.index(usual) if usual in names else 0,
            key="encoder",
            width=260,
            accept_new_options=True,
            format_func=lambda n: f"{n} ✓" if n in ready else n,
            help=(
                "✓: encoded. Or type hf:ID, open_clip:MODEL/WEIGHTS, or TEXT+IMAGE. Encoders with somebody's weights"
                " need the hub or a folder with their files."
            ),
        )
        weights = st.text_input(
            "Weights",
            key="weights",
            width=280,
            placeholder="the encoder's own",
            help="A folder or file with its weights, where the hub cannot be reached.",
        )
        if st.button("Encode", icon=":material/memory:", type="primary" if primary else "secondary", key="encode"):
            try:
                runs.start(
                    "encode",
                    runs.encoding_params(dataset.name, str(name), options={"weights": weights} if weights else {}),
                )
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.rerun()


def under_way() -> None:
    """What is being encoded or drawn."""
    live = [
        r
        for r in live_runs()
        if r.kind in {"encode", "project", "train-encoder"} and r.params["dataset"] == dataset.name
    ]
    if changed("space_live", [dataset.name, *(r.id for r in live)]):
        st.rerun()
    for run in live[:2]:
        run_card(run)
    failed = [
        r
        for r in runs.all_runs()[-6:]
        if r.kind in {"encode", "project"} and r.status == "failed" and r.params["dataset"] == dataset.name
    ]
    if failed and not live:
        run_card(failed[-1])


def drawn(name: str, view: str) -> projection.Map | None:
    """A map, or ``None`` with its drawing under way."""
    found = projection.stored(dataset, name, view)  # type: ignore[arg-type]
    if found is None or found.manifest["layout"] != "umap":
        wanted = runs.projection_params(dataset.name, name, view)
        tried = [
            r
            for r in runs.all_runs()
            if r.kind == "project" and r.params == wanted and r.record.get("data") in {None, dataset.checksum}
        ]
        if not any(r.status in runs.LIVE for r in live_runs() if r.kind in {"encode", "project"}) and not any(
            r.status == "failed" for r in tried[-1:]
        ):
            runs.start("project", wanted)
        if found is None:
            st.info(
                f"The map of {called(name)} is being drawn; it appears here in a moment.",
                icon=":material/hourglass_top:",
            )
    return found


@st.cache_resource(max_entries=12, show_spinner=False)
def published(name: str, view: str, folder: str, modified_ns: int, _map: projection.Map) -> publish.Published:
    """A map's files for the browser, written once."""
    return publish.publish(dataset, _map)


def files_of(name: str, view: str, found: projection.Map) -> publish.Published:
    """The same, for a map as it is now; written again where it was cleared away since."""
    asked = (name, view, str(found.folder), (found.folder / "manifest.json").stat().st_mtime_ns, found)
    files = published(*asked)
    if not all(
        (settings.static_dir() / file).exists()
        for file in (files.files["points"], *files.files["near"], *files.files["films"])
    ):
        published.clear()
        files = published(*asked)
    return files


@st.cache_data(max_entries=16, show_spinner=False)
def cluster_codes(points: str, _xy: np.ndarray) -> np.ndarray:
    """Clusters of a map, by the name of its file."""
    return publish.clusters(_xy)


def best_rating() -> comparison.Row | None:
    """The result with the lowest RMSE that keeps its errors row by row."""
    rows = [r for r in comparison.rows(dataset) if r.kind == "rating" and r.result["metrics"].get("rmse") is not None]
    rows = [r for r in rows if (r.run.folder / "row_errors.npz").exists() and not r.key.beyond]
    return min(rows, key=lambda r: r.result["metrics"]["rmse"], default=None)


def errors_of_films() -> tuple[np.ndarray, str] | None:
    """By catalog row the root mean squared error of the best rating model on test ratings, and that model's name."""
    best = best_rating()
    if best is None or dataset.interactions.item is None:
        return None
    held = comparison.arrays(best.run, "row_errors.npz")
    if held is None or "row" not in held:
        return None
    item, error = np.asarray(dataset.interactions.item)[held["row"]], held["squared_error"]
    n = np.bincount(item, minlength=len(catalog))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.bincount(item, error, len(catalog)) / np.where(n > 0, n, np.nan)), best.label


@st.cache_data(max_entries=4, show_spinner=False)
def genres_of(name: str, checksum: str, _dataset: Dataset) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """How many films bear each genre, the most frequent first; which film bears which; each film's first one, as a
    place in the counts."""
    lists = [list(own) for own in _dataset.catalog["genres"]]
    counts = pd.Series([g for own in lists for g in own], dtype=object).value_counts()
    place = {genre: at for at, genre in enumerate(counts.index)}
    has = np.zeros((len(lists), len(counts)), bool)
    for row, own in enumerate(lists):
        has[row, [place[g] for g in own]] = True
    return counts, has, np.array([place[own[0]] if own else len(place) for own in lists])


def genres() -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """The same of the chosen dataset."""
    return genres_of(dataset.name, dataset.checksum, dataset)


@st.cache_data(max_entries=48, show_spinner=False)
def tint_of(
    what: str,
    name: str,
    checksum: str,
    points: str,
    stamp: str,
    _files: publish.Published,
    _agreement: np.ndarray | None,
) -> dict[str, Any]:
    """Colours, kept as long as map, data and results are the same."""
    return colours_for(what, _files, _agreement)


def tint(what: str, files: publish.Published, agreement: np.ndarray | None, other: str = "") -> dict[str, Any]:
    """The same for a map as it is now."""
    best = best_rating() if what == "A model's error" else None
    results = f"{best.run.id} {(best.run.folder / 'row_errors.npz').stat().st_mtime_ns}" if best else ""
    asked = (
        what,
        dataset.name,
        dataset.checksum,
        files.files["points"],
        f"{other} {agreement is None} {results}",
        files,
        agreement,
    )
    colour = tint_of(*asked)
    if not (settings.static_dir() / colour["file"]).exists():  # it was cleared away since
        tint_of.clear()
        colour = tint_of(*asked)
    return colour


def colours_for(what: str, files: publish.Published, agreement: np.ndarray | None) -> dict[str, Any]:
    """A byte a point, a palette, and the legend."""
    items = files.items
    if what == "Genre":
        counts, _, first = genres()
        names = counts.index[:7].tolist()
        first = np.where(first < len(names), first, 7).astype(np.uint8)
        return {
            "file": publish.colours(first[items]),
            "palette": HUES,
            "names": [*names, "other"],
            "hint": "A film's first genre.",
        }
    if what in {"Director", "Cast", "Tag"}:
        column = {"Director": "director", "Cast": "cast", "Tag": "tags"}[what]
        own = [
            [v] if isinstance(v, str) else list(v) if isinstance(v, (list, np.ndarray)) else [] for v in catalog[column]
        ]
        names = pd.Series([v for some in own for v in some], dtype=object).value_counts().index[:7].tolist()
        place = {value: at for at, value in enumerate(names)}
        codes = np.array([min((place.get(v, 7) for v in some), default=255) for some in own], np.uint8)
        hint = (
            f"The seven most frequent values of {column}; grey: none is known."
            if names
            else f"No {column} is known here."
        )
        return {
            "file": publish.colours(codes[items]),
            "palette": HUES,
            "names": [*map(str, names), "other"] if names else [],
            "hint": hint,
        }
    if what == "Nothing":
        return {"file": publish.colours(np.zeros(len(items))), "palette": HUES, "names": [], "hint": ""}
    if what == "Agreement with the other space":
        if agreement is None:
            return {
                "file": publish.colours(np.full(len(items), 255)),
                "palette": RAMP,
                "names": [],
                "hint": "Choose another space under Compare with space.",
            }
        codes = np.where(np.isfinite(agreement), np.clip(agreement * 10, 0, 9), 255)[items]
        names = [f"{low / 10:.0%} – {(low + 1) / 10:.0%}" for low in range(10)]
        return {
            "file": publish.colours(np.nan_to_num(codes, nan=255)),
            "palette": RAMP,
            "names": names,
            "hint": "Share of nearest neighbours that both spaces have in common.",
        }
    if what == "Cluster":
        codes = cluster_codes(files.files["points"], files.xy)
        palette = [HUES[at % 8] for at in range(publish.REGIONS)]
        return {
            "file": publish.colours(codes),
            "palette": palette,
            "names": [],
            "hint": "Neighbouring regions of the map; their names stand on it.",
        }
    info = ""
    if what == "Decade":
        value = catalog["year"].astype("float64").to_numpy(na_value=np.nan) // 10 * 10
    elif what == "Popularity":
        value = np.log10(np.maximum(catalog["n_ratings"].to_numpy(np.float64), 0.5))
    elif what == "A model's error":
        found = errors_of_films()
        if found is None:
            return {
                "file": publish.colours(np.full(len(items), 255)),
                "palette": RAMP,
                "names": [],
                "hint": "No rating model has been evaluated here; train mf, say.",
            }
        value, info = (
            found[0],
            f"Root mean squared error of {found[1]} on the test ratings of each film, in stars; grey: none. ",
        )
    else:
        value = (
            catalog["mean_rating"].to_numpy(np.float64) if "mean_rating" in catalog else np.full(len(catalog), np.nan)
        )
    known = value[np.isfinite(value)]
    if not len(known):
        return {
            "file": publish.colours(np.full(len(items), 255)),
            "palette": RAMP,
            "names": [],
            "hint": "Nothing is known of it here.",
        }
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 11)))
    codes = np.where(np.isfinite(value), np.clip(np.searchsorted(edges, value, "right") - 1, 0, len(edges) - 2), 255)
    shown = (
        (lambda v: f"{10**v:,.0f}")
        if what == "Popularity"
        else (lambda v: f"{v:.0f}" if what == "Decade" else f"{v:.2f}")
    )
    names = [f"from {shown(low)}" for low in edges[:-1]]
    picked = [RAMP[int(round(at * 9 / max(len(edges) - 2, 1)))] for at in range(len(edges) - 1)]
    return {
        "file": publish.colours(np.nan_to_num(codes, nan=255)[items]),
        "palette": picked,
        "names": names,
        "hint": f"{info}In steps of equal size.",
    }


def polygon() -> list[list[float]]:
    """What is chosen, from the address."""
    try:
        points = [[float(v) for v in p.split(",")] for p in st.query_params.get("sel", "").split("_") if p]
    except ValueError:
        return []
    return points if len(points) > 2 and all(len(p) == 2 and np.isfinite(p).all() for p in points) else []


def camera(key: str) -> list[float] | None:
    """Where the map begins, from the address."""
    try:
        found = [float(v) for v in st.query_params.get(key, "").split("_")]
    except ValueError:
        return None
    return found if len(found) == 3 and np.isfinite(found).all() else None


def on_select(key: str) -> None:
    """A lasso or a box was drawn, or cleared."""
    event = st.session_state[key].get("select")
    if event is None:
        return
    st.query_params.pop("slice", None)
    if event["polygon"]:
        st.query_params["sel"] = "_".join(f"{x:g},{y:g}" for x, y in event["polygon"])
    else:
        st.query_params.pop("sel", None)


def on_open(key: str) -> None:
    """A film was clicked: it is shown beside the map."""
    event = st.session_state[key].get("open")
    if event is not None and 0 <= int(event["item"]) < len(catalog):
        st.query_params["film"] = str(dataset.items.raw[int(event["item"])])


def on_fallback() -> None:
    """The browser has no WebGL2."""
    st.session_state["no_webgl"] = True


@st.cache_resource(max_entries=3, show_spinner=False)
def encoder_for(name: str, checksum: str) -> Any:
    """A loaded encoder, for queries."""
    return features.restore_encoder(dataset, name)


def find(name: str, words: str) -> tuple[searching.Found | None, str]:
    """Films that fit some words, or why they cannot be searched for."""
    side = features.split_pair(name)["text"]
    if name.startswith("run:"):
        return None, "A model's own space knows no words; search in an encoder's."
    try:
        with st.spinner("Reading the words …"):
            return searching.by_text(dataset, name, words, SHOWN, encoder_for(side, dataset.checksum)), ""
    except MMRecError as error:
        return None, str(error)


def controls(known: dict[str, list[str]]) -> tuple[str, str, str, str | None, bool]:
    """Which space, which view, which colours, and what it may turn into."""
    names = list(known)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.session_state.get("space") not in names:
            st.session_state.pop("space", None)
        name = st.selectbox(
            "Space",
            names,
            key="space",
            bind="query-params",
            format_func=called,
            width=230,
            help="Whose eyes: an encoder's, two encoders' together, or a model's that learned from ratings.",
        )
        views = known[name]
        if len(views) > 1:
            if st.session_state.get("view") not in views:
                st.session_state.pop("view", None)
            view = st.segmented_control(
                "View",
                views,
                key="view",
                default="image" if "image" in views else views[0],
                required=True,
                bind="query-params",
                format_func=VIEWS.get,
                help="Vectors of plots, of posters, or both in one map.",
            )
        else:
            view = views[0]
        colour = st.selectbox(
            "Colour",
            COLOURS,
            key="colour",
            bind="query-params",
            width=210,
            help="What the colours mean; the legend is on the map.",
        )
        others = [f"{n}|{v}" for n, own in known.items() for v in own if (n, v) != (name, view)]
        if st.session_state.get("into") not in [None, *others]:
            st.session_state.pop("into", None)
        into = st.selectbox(
            "Compare with space",
            others,
            index=None,
            key="into",
            bind="query-params",
            width=240,
            placeholder="another space",
            format_func=lambda o: (
                f"{called(o.split('|')[0])}: {VIEWS[o.split('|')[1]].lower()}"
                if not o.startswith("run:")
                else called(o.split("|")[0])
            ),
            help="The same films in another space: watch which neighbourhoods hold and which fall apart.",
        )
        morph = False
        if into:
            morph = st.toggle(
                "Turned",
                key="turned",
                bind="query-params",
                help="Moves every film to its place in the other space, and back.",
            )
    return name, str(view), colour, into, morph


@st.cache_data(max_entries=24, show_spinner=False)
def agreement_of(
    one: str, other: str, stamp: tuple[int, int], _one: projection.Map, _other: projection.Map
) -> np.ndarray:
    """By catalog row the share of nearest neighbours that two maps have in common; NaN where a film is in one alone."""
    sides = []
    for own in (_one, _other):
        first = np.unique(own.items, return_index=True)[1]
        sides.append((own.items[first], own.items[np.asarray(own.near)[first]]))
    shared, share = projection.overlap(*sides)
    found = np.full(len(catalog), np.nan)
    found[shared] = share
    return found


def stamp(found: projection.Map) -> int:
    """When a map was written."""
    return (found.folder / "manifest.json").stat().st_mtime_ns


def scores(found: projection.Map, agreement: np.ndarray | None) -> None:
    """How far the map can be trusted, each with what it means."""
    manifest = found.manifest["told"]
    with st.container(horizontal=True, gap="medium"):
        for name in TRUST:
            value, extra = manifest.get(name), ""
            if name == "overlap" and agreement is not None:
                value = float(np.nanmean(agreement))
            if isinstance(value, dict):
                value, extra = value["value"], f" (chance {value['chance']:.2f})"
            if value is None:
                continue
            with st.container(width="content", gap=None):
                st.caption(name.replace("_", " "), help=projection.MEANINGS[name])
                st.markdown(f"**{value:.3f}**{extra}")
    if found.manifest["layout"] == "pca":
        st.caption(":material/hourglass_top: This is PCA, a first look; the UMAP layout takes its place in a moment.")


def chosen_rows(files: publish.Published) -> tuple[np.ndarray, str]:
    """The films that are chosen: by lasso or box, by a saved slice, or by filter; and how."""
    saved = st.query_params.get("slice")
    if saved and (rows := slices.load(dataset, saved)) is not None:
        return rows, f"slice “{saved}”"
    shape = polygon()
    if shape:
        return np.unique(files.items[publish.inside(files.xy, shape)]), "chosen on the map"
    return np.zeros(0, np.int64), ""


def beside(
    found: projection.Map,
    files: publish.Published,
    hits: searching.Found | None,
    why: str,
    chosen: tuple[np.ndarray, str],
) -> None:
    """What is chosen, found or opened, as posters."""
    asked = st.query_params.get("film")
    row = (
        int(dataset.items.rows([asked])[0])
        if asked and (asked.lstrip("-").isdigit() or dataset.items.raw.dtype.kind not in "iu")
        else -1
    )
    if row >= 0:
        one_film(row, found)
    if why:
        st.warning(layout.escape(why), icon=":material/search_off:")
    if hits is not None:
        st.markdown(f"#### Found among {'posters' if hits.into == 'image' else 'plots'}")
        poster_grid(
            [
                film_card(dataset, int(r), note=f"cosine {c:.2f}")
                for r, c in zip(hits.items[:12], hits.cosine[:12], strict=True)
            ],
            key="hits",
            size="small",
            on_open=lambda: opened("hits"),
            label="Films found",
        )
    rows, how = chosen
    if len(rows):
        selection(rows, how)
    elif row < 0 and hits is None:
        st.info(
            "Point at a film for its nearest neighbours in the original space, click it to see it here, draw a lasso to"
            " choose many, or zoom in until dots become posters. By keyboard: arrows, + and −, Enter.",
            icon=":material/touch_app:",
        )
    with st.expander("Choose by filter instead", icon=":material/filter_alt:"):
        by_filter(files)
    damaged_files.note([slices.damage(dataset)])
    if names := slices.names(dataset):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.selectbox(
                "Saved slices",
                names,
                index=None,
                key="saved",
                placeholder="Choose one",
                width=220,
                help="Films you chose earlier.",
            )
            if name and st.button("Show", key="show_slice", icon=":material/visibility:"):
                st.query_params.pop("sel", None)
                st.query_params["slice"] = name
                st.rerun()
            if name and st.button("Remove", key="drop_slice", icon=":material/delete:", type="tertiary"):
                try:
                    slices.remove(dataset, name)
                except MMRecError as error:
                    layout.show_error(error)
                else:
                    st.query_params.pop("slice", None)
                    st.rerun()


def opened(key: str) -> None:
    """A poster beside the map was clicked."""
    event = st.session_state.get(key)
    if event is not None and event.get("open") is not None:
        st.query_params["film"] = str(dataset.items.raw[int(event["open"])])


def one_film(row: int, found: projection.Map) -> None:
    """A film with its nearest neighbours in this space."""
    record = catalog.iloc[row]
    year = "" if pd.isna(record["year"]) else f" ({record['year']})"
    with st.container(border=True):
        left, right = st.columns([1, 2.2])
        with left:
            poster_grid([film_card(dataset, row)], key="the_film", label="Film")
        with right:
            st.markdown(
                f"**{layout.escape(str(record['title']))}{year}** "
                f" \n:small[{layout.escape(', '.join(record['genres']))}]"
            )
            if isinstance(record["plot"], str):
                st.caption(layout.escape(record["plot"]))
            with st.container(horizontal=True):
                if st.button("Its page", key="its_page", icon=":material/open_in_new:", type="tertiary"):
                    layout.open_film(dataset, row)
                if st.button("Close", key="close_film", icon=":material/close:", type="tertiary"):
                    del st.query_params["film"]
                    st.rerun()
        at = np.flatnonzero(found.items == row)
        if not len(at):
            st.caption("This film has no vector here: its plot or its poster is missing.")
            return
        near, cosine = np.asarray(found.near[at[0]]), np.asarray(found.cosine[at[0]], np.float32)
        kinds = {1: "plot", 2: "poster"} if len(set(found.kind.tolist())) > 1 else {}
        notes = [
            f"{c:.2f}" + (f" · {kinds[int(found.kind[j])]}" if kinds else "") for j, c in zip(near, cosine, strict=True)
        ]
        st.caption("Nearest in the original space, not on the map; below each its cosine.")
        poster_grid(
            [film_card(dataset, int(found.items[j]), note=n) for j, n in zip(near[:8], notes, strict=False)],
            key="near",
            size="small",
            on_open=lambda: opened("near"),
            label="True neighbours",
        )


def by_filter(files: publish.Published) -> None:
    """The same as a lasso, without a canvas."""
    counts, has, _ = genres()
    years = catalog["year"].dropna()
    wanted = st.multiselect("Genres", sorted(counts.index), key="filter_genres", placeholder="any")
    low, high = (int(years.min()), int(years.max())) if len(years) else (1900, 2030)
    span = st.slider("Years", low, high, (low, high), key="filter_years") if low < high else (low, high)
    words = st.text_input("Title holds", key="filter_title")
    if st.button("Choose these films", key="filter_go", icon=":material/done_all:"):
        keep = np.zeros(len(catalog), bool)
        keep[files.items] = True
        if wanted:
            keep &= has[:, counts.index.isin(wanted)].any(1)
        year = catalog["year"].astype("float64").to_numpy(na_value=np.nan)
        if span != (low, high):
            keep &= (year >= span[0]) & (year <= span[1])
        if words.strip():
            keep &= catalog["title"].str.lower().str.contains(words.strip().lower(), regex=False).to_numpy()
        if keep.any():
            if kept("last filter", np.flatnonzero(keep)):
                st.query_params.pop("sel", None)
                st.query_params["slice"] = "last filter"
                st.rerun()
            return
        st.warning("No film on this map passes these filters.", icon=":material/filter_alt_off:")


def selection(rows: np.ndarray, how: str) -> None:
    """Chosen films: numbers, posters, saving and taking along."""
    n_ratings = catalog["n_ratings"].to_numpy()[rows]
    st.markdown(f"#### {len(rows):,} films :small[:gray[{layout.escape(how)}]]")
    counts, has, _ = genres()
    here = has[rows].sum(0)
    lines = [f"{len(rows) / len(catalog):.0%} of all films"]
    mean = catalog["mean_rating"].to_numpy(np.float64) if "mean_rating" in catalog else np.full(len(catalog), np.nan)
    if np.isfinite(mean[rows]).any():
        lines.append(f"average ★ {np.nanmean(mean[rows]):.2f} (all: {np.nanmean(mean):.2f})")
    lines.append(f"{int(n_ratings.sum()):,} ratings")
    st.caption(" · ".join(lines))
    if here.any():
        table = pd.DataFrame(
            {"genre": counts.index, "share": here / len(rows), "all": counts.to_numpy() / len(catalog)}
        )
        table = table.assign(lift=table["share"] / table["all"]).nlargest(8, "share")
        chart = alt.Chart(table, height=alt.Step(20)).encode(
            y=alt.Y("genre:N", sort=None, title=None, axis=alt.Axis(labelOverlap=False))
        )
        bars = chart.mark_bar(color="#0072B2").encode(
            x=alt.X("share:Q", title="Share here; tick: in all films", axis=alt.Axis(format="%")),
            tooltip=[
                "genre",
                alt.Tooltip("share", format=".0%"),
                alt.Tooltip("all", format=".0%"),
                alt.Tooltip("lift", format=".1f"),
            ],
        )
        st.altair_chart(
            bars + chart.mark_tick(color="#D55E00", thickness=3).encode(x="all:Q"),
            alt="Genres of the chosen films against all films",
        )
    order = rows[np.argsort(-n_ratings, kind="stable")]
    poster_grid(
        [film_card(dataset, int(r)) for r in order[:SHOWN]],
        key="chosen",
        size="small",
        on_open=lambda: opened("chosen"),
        label="Chosen films",
    )
    if len(rows) > SHOWN:
        st.caption(f"The {SHOWN} most rated of them.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Save as a slice",
            key="slice_name",
            placeholder="such as: cosy westerns",
            width=200,
            help="Other screens can then look at these films.",
        )
        if st.button("Save", key="save_slice", icon=":material/bookmark_add:", disabled=not name.strip()):
            try:
                slices.save(dataset, name.strip(), rows)
            except MMRecError as error:
                layout.show_error(error)
            else:
                st.toast(f"Saved {len(rows):,} films as “{name.strip()}”.", icon=":material/bookmark_added:")
                st.rerun()
        st.download_button(
            "CSV",
            data=lambda: csv_out.of_table(slices.table(dataset, rows)),
            file_name=f"{dataset.name}-films.csv",
            mime="text/csv",
            key="csv",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Parquet",
            data=lambda: slices.parquet(slices.table(dataset, rows)),
            file_name=f"{dataset.name}-films.parquet",
            key="parquet",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )


def flat(found: projection.Map, files: publish.Published, colour: dict[str, Any]) -> None:
    """The map without WebGL2: at most 10,000 points in Plotly, chosen by box or lasso there."""
    import plotly.graph_objects as go

    rows = np.sort(np.random.default_rng(0).permutation(len(files.xy))[:10_000])
    body = np.frombuffer((settings.static_dir() / colour["file"]).read_bytes(), np.uint8)[rows]
    palette = [*colour["palette"], "#808080"]
    shown = [palette[min(int(c), len(palette) - 1)] for c in body]
    figure = go.Figure(
        go.Scattergl(
            x=files.xy[rows, 0],
            y=files.xy[rows, 1],
            mode="markers",
            customdata=files.items[rows],
            marker={"size": 5, "color": shown},
            hovertext=catalog["title"].iloc[files.items[rows]].tolist(),
            hoverinfo="text",
        )
    )
    figure.update_layout(
        height=600,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
        dragmode="lasso",
    )
    st.caption("This browser has no WebGL2, so the map is a plainer one.")
    event = st.plotly_chart(figure, key="flat", on_select="rerun", selection_mode=("lasso", "box"))
    chosen = [
        int(p["customdata"][0] if isinstance(p["customdata"], list) else p["customdata"])
        for p in event["selection"]["points"]
    ]
    if chosen:
        if kept("last selection", np.unique(chosen)):
            st.query_params["slice"] = "last selection"


def kept(name: str, rows: np.ndarray) -> bool:
    """Keep films under a name; whether that could be done, and why not."""
    try:
        slices.save(dataset, name, rows)
    except MMRecError as error:
        layout.show_error(error)
        return False
    return True


def search_box() -> tuple[str, Any]:
    """Words, or a picture, to search by."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Search",
            key="q",
            bind="query-params",
            icon=":material/search:",
            placeholder="Words, such as: saturn and the cosmos",
            help="In a joint space words find posters, in a text space plots. The map flies to what it finds.",
        )
        with st.popover("By picture", icon=":material/image_search:"):
            file = st.file_uploader(
                "A picture",
                type=["jpg", "jpeg", "png", "webp"],
                key="picture",
                help="Finds posters like it. It stays on this machine and is not kept.",
            )
    return words.strip(), file


def find_picture(name: str, file: Any) -> tuple[searching.Found | None, str]:
    """Posters like a picture, or why they cannot be searched for."""
    if name.startswith("run:"):
        return None, "A model's own space knows no pictures; search in an encoder's."
    side = features.split_pair(name)["image"]
    try:
        with st.spinner("Looking at the picture …"):
            return (
                searching.by_image(
                    dataset, name, images.open_image(file.getvalue()), SHOWN, encoder_for(side, dataset.checksum)
                ),
                "",
            )
    except MMRecError as error:
        return None, str(error)


def page() -> None:
    """The map and what lies beside it."""
    known = spaces()
    if not known:
        nothing_yet()
        return
    name, view, colour, into, morph = controls(known)
    words, picture = search_box()
    found = drawn(name, view)
    if found is None:
        return
    files = files_of(name, view, found)
    other, agreement = None, None
    if into:
        other_name, other_view = into.split("|")
        other = drawn(other_name, other_view)
        if other is not None:
            agreement = agreement_of(f"{name}|{view}", into, (stamp(found), stamp(other)), found, other)
    hits, why = find_picture(name, picture) if picture else find(name, words) if words else (None, "")
    asked = "your picture" if picture else words
    shades = tint(colour, files, agreement, into or "")
    pin = None
    if (
        hits is not None
        and not name.startswith("run:")
        and view in ("text", "image", "both")
        and (view == hits.into or view == "both")
    ):
        own = projection.space(dataset, name, view)  # type: ignore[arg-type]
        if own.vectors.shape[1] == len(hits.query):
            low = projection.place(own.vectors, files.xy, hits.query)
            pin = {"at": [float(v) for v in low], "text": asked[:40]}
    chosen = chosen_rows(files)
    rows = chosen[0]
    lit = rows.tolist() if st.query_params.get("slice") and len(rows) < 20_000 else None
    if lit is None and agreement is not None and st.query_params.get("falls") == "true":
        lit = np.argsort(np.where(np.isfinite(agreement), agreement, 9))[:60].tolist()
    left, right = st.columns([2.1, 1], gap="medium")
    answer_first = len(rows) > 0  # after a lasso the map has nothing new to show
    if answer_first:
        with right:
            beside(found, files, hits, why, chosen)
    with left:
        if st.session_state.get("no_webgl"):
            flat(found, files, shades)
        else:
            key = "map"
            film_map(
                files.files,
                shades,
                key=key,
                label=f"Map of {len(files.items):,} points: {called(name)}, {VIEWS[view].lower()}",
                other=files_of(*into.split("|"), other).files if into and other is not None else None,  # type: ignore[call-arg]
                morph=morph,
                polygon=polygon(),
                hits=hits.items[:12].tolist() if hits is not None else (),
                lit=lit,
                fly=(
                    {"items": hits.items[:12].tolist(), "key": f"{name} {view} {picture.file_id if picture else words}"}
                    if hits is not None
                    else None
                ),
                pin=pin,
                pairs=view == "both" and set(found.kind.tolist()) == {1, 2} and len(files.items) < 6_000,
                camera=camera("cam"),
                camera_key="cam",
                on_select=lambda: on_select(key),
                on_open=lambda: on_open(key),
                on_fallback=on_fallback,
            )
        scores(found, agreement)
        if shades["hint"]:
            st.caption(
                f"Colour: {shades['hint']} Distances between far points on a map mean little; neighbours named here are"
                " always those of the original space."
            )
        if agreement is not None:
            st.toggle("Highlight films whose neighbours differ most", key="falls", bind="query-params")
            twin(into or "", other, colour, hits, rows)
        with st.expander("Encode with another encoder", icon=":material/memory:"):
            encode_form()
    if not answer_first:
        with right:
            beside(found, files, hits, why, chosen)


def on_twin_select(files: publish.Published) -> None:
    """Films chosen on the second map are chosen on the first as well: as a slice, since their outline there is
    another."""
    event = st.session_state["twin_map"].get("select")
    if event is None:
        return
    for key in ("sel", "slice"):
        st.query_params.pop(key, None)
    if event["polygon"]:
        if kept("last selection", np.unique(files.items[publish.inside(files.xy, event["polygon"])])):
            st.query_params["slice"] = "last selection"


def twin(into: str, other: projection.Map | None, colour: str, hits: searching.Found | None, rows: np.ndarray) -> None:
    """The other space beside this one; the film under the pointer, and those chosen, light up in both."""
    if other is None or not st.toggle(
        "Side by side",
        key="twin",
        bind="query-params",
        help="Shows the other space below; a film pointed at, and films chosen, are marked in both.",
    ):
        return
    name, view = into.split("|")
    files = files_of(name, view, other)
    film_map(
        files.files,
        tint("Genre" if colour.startswith("Agreement") else colour, files, None),
        key="twin_map",
        label=f"Map of {len(files.items):,} points: {called(name)}, {VIEWS[view].lower()}",
        hits=hits.items[:12].tolist() if hits is not None else (),
        lit=rows.tolist() if len(rows) else None,
        camera=camera("cam2"),
        camera_key="cam2",
        height=460,
        on_select=lambda: on_twin_select(files),
        on_open=lambda: on_open("twin_map"),
        on_fallback=on_fallback,
    )


st.title("Space", anchor=False)
layout.generated_note(dataset)
damaged_files.note([*features.damaged(dataset), *projection.damaged(dataset)])
page()
st.fragment(under_way, run_every=pace())()
