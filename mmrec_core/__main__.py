"""The command line: parses and calls, nothing else. Exit 0 on success, 2 with one clear line on bad input."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmrec_core.errors import MMRecError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
                  help="Multimodal movie recommendation: prepare, train, judge, recommend.")  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object; progress goes to standard error.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A setting as key=value; may be given more than once.")]
DatasetArg = Annotated[str, typer.Argument(help="A prepared dataset.")]
SplitOption = Annotated[str, typer.Option("--split", help="How to divide the events; see docs/contracts.md.")]
SplitSeed = Annotated[int, typer.Option(min=0, help="Seed of what is random in the split.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the model.")]
RelevantFrom = Annotated[float | None, typer.Option(help="Ratings from here on count as liked (3.5 on MovieLens).")]
FilterFrom = Annotated[
    float | None, typer.Option(help="Drop ratings below this before splitting; what is kept counts as liked.")
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="full, sampled:N, sampled:N:popularity, or shipped: the makers' own candidates; each with :seen=hide or :seen=allow "
        "(items that the user has met before; allowed where events repeat) and :existing (only items that existed then).",
    ),
]
Regime = Annotated[str, typer.Option(help="frozen or stream.")]
Executor = Annotated[str | None, typer.Option(help="local or ray; usually the cluster, where one is named (RAY_ADDRESS).")]
Background = Annotated[bool, typer.Option("--background", help="Queue it and return at once.")]
Fraction = Annotated[float, typer.Option(help="Share of the training rows to learn from, such as 0.1.")]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="Whose vectors a model of plots and posters reads; TEXT+IMAGE for two.")
]
Modality = Annotated[str | None, typer.Option(help="Which of them: text, image, both or none.")]
Top = Annotated[int, typer.Option(min=1, max=1000, help="How many films.")]


def options(pairs: list[str] | None) -> dict[str, str]:
    """``["l2=700"]`` → ``{"l2": "700"}``."""
    found = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise MMRecError(f"'--set {pair}' is not a setting; expected key=value, such as --set l2=700.")
        found[key.strip()] = value.strip()
    return found


def without(words: list[str], *left_out: str) -> list[str]:
    """A command line without some options; those named here that take a value lose it, too."""
    found, skip = [], False
    for word in words:
        key, equals, _ = word.partition("=")
        if skip or key in left_out:
            skip = not skip and key in {"--executor", "--workers"} and not equals
            continue
        found.append(word)
    return found


def say(result: dict[str, Any], as_json: bool) -> None:
    """Print a result: one JSON object, or indented JSON for people."""
    print(json.dumps(result, ensure_ascii=False, indent=None if as_json else 1))


def say_result(run: Any, as_json: bool) -> None:
    """Print what a run found, or how it ended without finding anything."""
    say(run.result() if run.status == "finished" else {"run": run.id, "status": run.status}, as_json)


def queue_or_do(kind: str, asked: dict[str, Any], background: bool, as_json: bool, **where: Any) -> None:
    """Queue a piece of work and say its name, or do it here and print what it found."""
    from mmrec_core import runs

    if background:
        run = runs.start(kind, asked, **where)
        say({"run": run.id, "status": run.status}, as_json)
        return
    from mmrec_core import work

    say_result(work.work(runs.create(kind, asked, **where).id, foreground=True, also=progress), as_json)


def progress(done: int, total: int, what: str) -> None:
    """A progress bar on standard error, redrawn in place on a terminal and sparse in a log."""
    share = done / max(total, 1)
    if sys.stderr.isatty():
        filled = int(30 * share)
        print(
            f"\r{what:<44.44} [{'█' * filled}{'·' * (30 - filled)}] {share:4.0%}",
            end="\n" if done >= total else "",
            file=sys.stderr,
            flush=True,
        )
    elif what != getattr(progress, "last", ""):
        print(what, file=sys.stderr, flush=True)
        progress.last = what  # type: ignore[attr-defined]


@app.command()
def datasets(as_json: Json = False) -> None:
    """What can be prepared, and what is."""
    from mmrec_core import preparation, registry

    ready = preparation.prepared()
    known = [
        {"dataset": e.name, "about": e.summary, "prepared": e.name in ready, "fault": e.fault}
        for e in registry.entries("datasets").values()
    ]
    known += [
        {"dataset": name, "about": "brought along", "prepared": True, "fault": None}
        for name in ready
        if name not in registry.entries("datasets")
    ]
    broken = {name: str(fault) for name, fault in preparation.damaged().items()}
    known = [{**row, "fault": broken.pop(str(row["dataset"]))} if row["dataset"] in broken else row for row in known]
    known += [{"dataset": name, "about": "brought along", "prepared": False, "fault": fault} for name, fault in broken.items()]
    if as_json:
        say({"datasets": known}, True)
    else:
        for row in known:
            print(f"{'●' if row['prepared'] else '○'} {row['dataset']:<18} {row['fault'] or row['about']}")


@app.command()
def models(as_json: Json = False) -> None:
    """The models and their settings."""
    from mmrec_core import registry

    schemas, faults = registry.schemas("models"), registry.faults("models")
    known: list[dict[str, Any]] = [
        {"model": n, "about": e.summary, "fault": faults.get(n), "settings": sorted(schemas.get(n, {}).get("config", {}).get("properties", {}))}
        for n, e in registry.entries("models").items()
    ]  # fmt: skip
    if as_json:
        say({"models": known}, True)
    else:
        for row in known:
            print(
                f"{row['model']:<12} {row['fault'] or row['about']}\n{'':<12} settings: {', '.join(row['settings'] or ['none'])}"
            )


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="A dataset of 'datasets', or csv for your own.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder, zip or file to read instead of searching.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    scale: Annotated[str | None, typer.Option(help="Rating scale of your own data, LOW:HIGH.")] = None,
    settings: Sets = None,
    enrich: Annotated[list[str] | None, typer.Option(help="More sources of posters and plots, such as tmdb.")] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing where it is prepared already.")] = False,
    as_json: Json = False,
) -> None:
    """Read, check and store a dataset with its posters and plots."""
    from mmrec_core import preparation

    if if_missing and (name or dataset) in preparation.prepared():
        told = preparation.open_dataset(name or dataset).manifest
        say(
            {
                **{k: told[k] for k in ("dataset", "ratings", "users", "films", "posters", "plots", "coverage")},
                "seconds": 0,
            },
            as_json,
        )
        return
    wanted = options(settings) | ({"scale": scale} if scale else {})
    result = preparation.prepare(
        dataset, source=source, name=name, options=wanted, enrich=enrich or (), progress=progress
    )
    licence = preparation.open_dataset(result["dataset"]).manifest["licence"]
    if licence:
        print(licence, file=sys.stderr)
    say(result, as_json)


@app.command()
def encoders(as_json: Json = False) -> None:
    """The encoders, and what each one reads."""
    from mmrec_core import registry

    schemas, faults = registry.schemas("encoders"), registry.faults("encoders")
    known: list[dict[str, Any]] = [
        {"encoder": n, "about": e.summary, "fault": faults.get(n), "settings": sorted(schemas.get(n, {}).get("config", {}).get("properties", {}))}
        for n, e in registry.entries("encoders").items()
    ]  # fmt: skip
    if as_json:
        say({"encoders": known}, True)
    else:
        for row in known:
            print(f"{row['encoder']:<14} {row['fault'] or row['about']}")


@app.command()
def encode(
    dataset: DatasetArg,
    encoder: Annotated[
        str | None, typer.Option(help="One of 'encoders', two as TEXT+IMAGE, hf:ID or open_clip:MODEL[/WEIGHTS].")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--import", help="Folder of vectors somebody else made (.npy).")
    ] = None,
    name: Annotated[str | None, typer.Option("--as", help="What to call imported vectors.")] = None,
    settings: Sets = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    project: Annotated[bool, typer.Option("--project", help="Draw its maps, too.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Turn plots and posters into vectors, once; or take over vectors made elsewhere."""
    from mmrec_core import features, preparation, runs

    if (encoder is None) == (folder is None):
        raise MMRecError("Say what encodes: --encoder NAME, or --import FOLDER --as NAME for vectors made elsewhere.")
    if folder is not None:
        if not name:
            raise MMRecError("Imported vectors need a name: --as NAME, such as --as minilm.")
        say(features.import_folder(preparation.open_dataset(dataset), folder, name), as_json)
        return
    asked = runs.encoding_params(dataset, encoder or "", options=options(settings), device=device, project=project)
    queue_or_do("encode", asked, background, as_json)


@app.command(name="train-encoder")
def train_encoder(
    dataset: Annotated[str, typer.Argument(help="A prepared dataset, or several separated by commas.")],
    encoder: Annotated[str, typer.Argument(help="mini_clip or mini_siglip.")],
    settings: Sets = None,
    seed: Seed = 0,
    held_out: Annotated[
        float,
        typer.Option(
            min=0.0, max=0.9, help="Share of films kept for the test; 0: the last dataset is not learned from."
        ),
    ] = 0.2,
    out: Annotated[Path | None, typer.Option(help="Where to write the weights (.safetensors).")] = None,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Train a small dual encoder from scratch on posters and plots; held-out films tell how well text and poster find each other."""
    from mmrec_core import runs

    asked = runs.encoder_training_params(
        [part.strip() for part in dataset.split(",") if part.strip()], encoder, options=options(settings), seed=seed,
        held_out=held_out, out=str(out.expanduser().resolve()) if out else None,
    )  # fmt: skip
    queue_or_do("train-encoder", asked, background, as_json)


@app.command()
def project(
    dataset: DatasetArg,
    encoder: Annotated[
        str, typer.Option(help="An encoder whose vectors are there, TEXT+IMAGE, or run:ID for a model's films.")
    ],
    modality: Annotated[str, typer.Option(help="text, image or both.")] = "both",
    dim: Annotated[int, typer.Option(min=2, max=3, help="Dimensions of the map.")] = 2,
    seed: Seed = 0,
    again: Annotated[bool, typer.Option("--again", help="Draw it anew though it is there.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Draw the map of a space (UMAP), with how far it can be trusted."""
    from mmrec_core import runs

    if modality not in {"text", "image", "both"}:
        raise MMRecError(f"--modality is '{modality}'; expected text, image or both.")
    asked = runs.projection_params(dataset, encoder, modality, dim=dim, seed=seed, again=again)
    queue_or_do("project", asked, background, as_json)


@app.command()
def search(
    dataset: DatasetArg,
    encoder: Annotated[str, typer.Option(help="An encoder whose vectors are there.")],
    text: Annotated[str | None, typer.Option(help="Words.")] = None,
    film: Annotated[str | None, typer.Option(help="A film of the dataset.")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture file.")] = None,
    modality: Annotated[str, typer.Option(help="With --film: like it by text (plot) or by image (poster).")] = "image",
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """Find films by words, by a film or by a picture; exact, in the original space."""
    from mmrec_core import images, preparation
    from mmrec_core import search as room

    opened = preparation.open_dataset(dataset)
    if sum(given is not None for given in (text, film, image)) != 1:
        raise MMRecError("Say what to search by: one of --text, --film or --image.")
    if text is not None:
        found = room.by_text(opened, encoder, text, top)
    elif film is not None:
        if modality not in {"text", "image"}:
            raise MMRecError(f"--modality is '{modality}'; expected text or image.")
        found = room.by_film(opened, encoder, opened.items.row(film, "item"), top, modality)  # type: ignore[arg-type]
    else:
        found = room.by_image(opened, encoder, images.open_image(image or Path()), top)
    films = [
        {"movieId": opened.items.raw[i].item(), "title": opened.catalog["title"].iloc[i], "score": float(c)}
        for i, c in zip(found.items, found.cosine, strict=True)
    ]
    say({"encoder": encoder, "into": found.into, "results": films}, as_json)


@app.command()
def split(
    dataset: DatasetArg,
    how: SplitOption = "user-temporal",
    split_seed: SplitSeed = 0,
    filter_from: FilterFrom = None,
    export: Annotated[Path | None, typer.Option(help="Folder to write the parts to as CSV.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Export, too, what each liked test row is ranked among, such as sampled:100:of=5000.")
    ] = None,
    regime: Regime = "frozen",
    relevant_from: RelevantFrom = None,
    as_json: Json = False,
) -> None:
    """Divide a dataset and say how; export it for others."""
    from mmrec_core import preparation, protocols, runs, splits

    opened = preparation.open_dataset(dataset)
    liked = runs.liked_from({"relevant_from": relevant_from, "filter_from": filter_from})
    made = splits.make_split(opened, how, split_seed, filter_from, liked)
    if protocol is not None:
        if export is None:
            raise MMRecError("--protocol says which candidates to export; name the folder with --export FOLDER.")
        protocols.Protocol.parse(protocol)
    told = {}
    if export is not None:
        splits.export_split(opened, made, export)
        if protocol is not None:
            from mmrec_core.rankings import export_candidates

            told = {"candidates": export_candidates(opened, made, protocol, export, liked, regime)}
    sizes = {part: len(getattr(made, part)) for part in made.PARTS}
    say(
        {"dataset": dataset, "split": made.strategy, "split_seed": made.seed, **sizes, "checksum": made.checksum, **told},
        as_json,
    )


@app.command()
def train(
    dataset: DatasetArg,
    model: Annotated[str, typer.Argument(help="A model of 'models'.")],
    how: SplitOption = "user-temporal",
    split_seed: SplitSeed = 0,
    seed: Seed = 0,
    settings: Sets = None,
    relevant_from: RelevantFrom = None,
    filter_from: FilterFrom = None,
    protocol: ProtocolOption = "full",
    regime: Regime = "frozen",
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="The model knows training and validation rows: fitted on both (gradient models for the best number of epochs), or, "
            "for models that take in events, shown the validation rows. Otherwise validation rows are withheld from every model.",
        ),
    ] = False,
    fraction: Fraction = 1.0,
    encoder: EncoderOption = None,
    modality: Modality = None,
    precision: Annotated[str | None, typer.Option(help="fp32, bf16 or fp16 (gradient models).")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps (gradient models).")] = None,
    from_run: Annotated[
        str | None, typer.Option(help="Begin with the weights of this run, or of a .safetensors, .pt or .pth file.")
    ] = None,
    executor: Executor = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train together, each on its share of every batch (gradient models).")] = 1,
    slurm: Annotated[bool, typer.Option("--slurm", help="Print a SLURM job script that does this, and do nothing.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Fit a model and judge it on the test rows."""
    from mmrec_core import protocols, runs, training

    wanted = options(settings) | {k: v for k, v in (("precision", precision), ("device", device)) if v is not None}
    protocols.Protocol.parse(protocol)
    asked = runs.training_params(
        dataset, model, split=how, split_seed=split_seed, seed=seed, options=wanted, relevant_from=relevant_from,
        filter_from=filter_from, protocol=protocol, regime=regime, refit=refit, fraction=fraction, from_run=from_run,
        encoder=encoder, modality=modality,
    )  # fmt: skip
    training.split_settings(model, wanted)
    if slurm:
        from mmrec_core.slurm import script

        print(script(asked, without(sys.argv[2:], "--slurm", "--background", "--json", "--executor", "--workers"), workers), end="")
        return
    queue_or_do("train", asked, background, as_json, executor=executor, workers=workers)


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="A finished run.")],
    protocol: ProtocolOption = "full",
    regime: Regime = "frozen",
    relevant_from: RelevantFrom = None,
    tables: Annotated[
        str | None, typer.Option(help="Also with embedding tables for serving: fp16 or int8; tells what that costs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge a trained model again, under another protocol, or with smaller tables."""
    from mmrec_core import runs

    if tables not in {None, "fp16", "int8"}:
        raise MMRecError(f"--tables is '{tables}'; expected fp16 or int8.")
    asked = runs.evaluation_params(run, protocol, regime, relevant_from, tables)
    queue_or_do("evaluate", asked, False, as_json)


@app.command()
def compare(
    dataset: DatasetArg,
    how: SplitOption = "user-temporal",
    protocol: ProtocolOption = "full",
    against: Annotated[str, typer.Option(help="The model that the others are paired with.")] = "popularity",
    refit: Annotated[bool, typer.Option("--refit", help="Runs whose models know training and validation rows.")] = False,
    as_json: Json = False,
) -> None:
    """All finished runs on one split side by side, paired with a baseline; oracles too where they were evaluated (train-all)."""
    from mmrec_core import comparison, preparation

    result = comparison.compare(preparation.open_dataset(dataset), how, protocol, against, refit)
    if as_json:
        say(result, True)
    else:
        print(comparison.as_table(result))


@app.command()
def ablate(
    dataset: DatasetArg,
    model: Annotated[str, typer.Argument(help="A model of 'models'.")],
    over: Annotated[
        str,
        typer.Option(
            help="What to vary: features, encoder, any setting with few values, or dim=16:32; separated by commas."
        ),
    ] = "features,fusion",
    seeds: Annotated[str, typer.Option(help="Seeds of the model, separated by commas.")] = "1,2,3",
    how: SplitOption = "user-temporal",
    split_seed: SplitSeed = 0,
    settings: Sets = None,
    encoder: Annotated[
        str | None, typer.Option(help="Whose vectors all arms read, unless encoders are varied.")
    ] = None,
    protocol: ProtocolOption = "full",
    relevant_from: RelevantFrom = None,
    background: Background = False,
    export: Annotated[Path | None, typer.Option(help="File to write the table to (.csv or .md).")] = None,
    as_json: Json = False,
) -> None:
    """Train one model with and without each thing, over several seeds; one table with intervals."""
    from mmrec_core import ablation, preparation, storage, work

    opened = preparation.open_dataset(dataset)
    if not all(part.strip().isdecimal() for part in seeds.split(",")):
        raise MMRecError(f"--seeds is '{seeds}'; expected whole numbers separated by commas, such as 1,2,3.")
    base = {"split": how, "split_seed": split_seed, "options": options(settings), "encoder": encoder, "protocol": protocol,
            "relevant_from": relevant_from}  # fmt: skip
    wanted = [part.strip() for part in over.split(",") if part.strip()]
    told = ablation.load(ablation.save(opened, model, wanted, [int(s) for s in seeds.split(",")], base))
    if background:
        say({"ablation": told["id"], "queued": ablation.start(told), "trainings": len(told["cells"])}, as_json)
        return
    work.work_all([cell["params"] for cell, run in zip(told["cells"], ablation.runs_of(told), strict=True)
                   if run is None or run.status != "finished"], also=progress)  # fmt: skip
    found = ablation.table(told)
    if export is not None:
        text = ablation.as_csv(found) if export.suffix == ".csv" else ablation.as_markdown(found)
        storage.write_bytes(export.expanduser().resolve(), text.encode())
    if as_json:
        say(found, True)
    else:
        print(ablation.as_markdown(found))


@app.command()
def tune(
    dataset: DatasetArg,
    model: Annotated[str, typer.Argument(help="A model of 'models'.")],
    trials: Annotated[int, typer.Option(min=1, max=10_000, help="How many settings are tried; the first are the usual ones, or the nearest within the ranges.")] = 20,
    over: Annotated[
        str | None,
        typer.Option(help="What to search: names, dim=16:256 for a range, loss=bce|ce for values; separated by commas. Else what the model's config suggests."),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What is judged on validation rows; else what early stopping watches.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Time budget of the search.")] = None,
    how: SplitOption = "user-temporal",
    split_seed: SplitSeed = 0,
    seed: Seed = 0,
    settings: Sets = None,
    relevant_from: RelevantFrom = None,
    filter_from: FilterFrom = None,
    protocol: ProtocolOption = "full",
    fraction: Fraction = 1.0,
    encoder: EncoderOption = None,
    modality: Modality = None,
    executor: Executor = None,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Search good settings on validation rows with Ray Tune; the best are trained once more and tested once."""
    from mmrec_core import tuning

    wanted = [part.strip() for part in (over or "").split(",") if part.strip()]
    asked = tuning.params(
        dataset, model, trials=trials, over=wanted, metric=metric, minutes=minutes, split=how, split_seed=split_seed, seed=seed,
        options=options(settings), relevant_from=relevant_from, filter_from=filter_from, protocol=protocol, fraction=fraction,
        encoder=encoder, modality=modality,
    )  # fmt: skip
    queue_or_do("tune", asked, background, as_json, executor=executor)


@app.command()
def recommend(
    run: Annotated[str, typer.Argument(help="A finished run.")],
    user: Annotated[str | None, typer.Option(help="A user of the dataset.")] = None,
    ratings: Annotated[
        str | None, typer.Option(help="A new user's ratings, movieId:rating, separated by commas.")
    ] = None,
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """What a trained model recommends to a known or a new user."""
    from mmrec_core import cold_start, preparation, runs

    found = runs.get(run)
    if found.status != "finished" or found.kind != "train":
        raise MMRecError(f"Run '{run}' is {found.status}; recommendations need a finished training.")
    dataset = preparation.open_dataset(found.params["dataset"])
    if (user is None) == (ratings is None):
        raise MMRecError('Say who: --user ID for a user of the dataset, or --ratings "movieId:rating,…" for a new one.')
    if user is not None:
        answer = cold_start.recommend_known(found, dataset, dataset.users.row(user, "user"), top)
    else:
        answer = cold_start.recommend(found, cold_start.history(dataset, cold_start.parse_ratings(ratings or "")), top)
    films = [
        {"movieId": dataset.items.raw[i].item(), "title": dataset.catalog["title"].iloc[i], "score": float(s)}
        for i, s in zip(answer.items, answer.scores, strict=True)
    ]
    say({"run": run, "model": answer.model, "source": answer.source, "recommendations": films}, as_json)


@app.command(name="cold-start")
def cold_start_command(
    dataset: DatasetArg,
    models: Annotated[
        str, typer.Option(help="Models to compare, separated by commas.")
    ] = "popularity,itemknn,ease,bpr",
    k: Annotated[str, typer.Option("--k", help="Numbers of ratings known, separated by commas.")] = "0,1,2,3,5,10,20",
    seed: Seed = 0,
    split_seed: SplitSeed = 0,
    as_json: Json = False,
) -> None:
    """How good each model is for users of whom it knows k ratings."""
    from mmrec_core import preparation
    from mmrec_core.crossing import crossing

    try:
        ks = [int(part) for part in k.split(",")]
        if min(ks) < 0:
            raise ValueError
    except ValueError:
        raise MMRecError(f"--k is '{k}'; expected whole numbers separated by commas, such as 0,1,5.") from None
    names = [m.strip() for m in models.split(",") if m.strip()]
    if not names:
        raise MMRecError("--models names no model; expected names separated by commas, such as popularity,ease.")
    say(crossing(preparation.open_dataset(dataset), names, ks, seed, split_seed, progress=progress), as_json)


@app.command()
def runs(as_json: Json = False) -> None:
    """Every run and how it stands."""
    from mmrec_core import runs as room

    rows = []
    for run in room.all_runs():
        last = run.last("progress") or {}
        rows.append({"run": run.id, "kind": run.kind, "dataset": run.params.get("dataset"), "model": run.params.get("model"), "status": run.status,
                     "pid": run.told.get("pid"), "step": last.get("done"), "checkpoint": run.has_checkpoint,
                     "error": run.error or (str(run.damage) if run.damage else None)})  # fmt: skip
    for name, fault in room.damaged_runs().items():
        rows.append({"run": name, "kind": None, "dataset": None, "model": None, "status": "damaged", "pid": None, "step": None, "checkpoint": False, "error": str(fault)})
    if as_json:
        say({"runs": rows}, True)
    else:
        for row in rows:
            print(f"{row['status']:<9} {row['run']}  {row['error'] or ''}")


@app.command()
def stop(run: Annotated[str, typer.Argument(help="A queued or running run.")], as_json: Json = False) -> None:
    """Stop a run; a training keeps its best weights and can be resumed."""
    from mmrec_core import runs as room

    say({"run": run, "status": room.stop(run).status}, as_json)


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="A failed or stopped run.")],
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that failed or was stopped, from its last checkpoint."""
    from mmrec_core import runs as room
    from mmrec_core import work as worker

    found = room.resume(run, background=background)
    if background or found.told.get("pid") is not None:
        say({"run": run, "status": found.status}, as_json)
    else:
        say_result(worker.work(run, foreground=True, also=progress), as_json)


@app.command()
def delete(
    what: Annotated[str, typer.Argument(help="dataset or run.")],
    name: Annotated[str, typer.Argument(help="Which one.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete it; without this, what would be deleted is listed.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a dataset or a run; what depends on it is named first."""
    from mmrec_core import housekeeping

    if what not in {"dataset", "run"}:
        raise MMRecError(f"'{what}' cannot be deleted; expected dataset or run, such as: delete run RUN.")
    plan = housekeeping.plan_dataset(name) if what == "dataset" else housekeeping.plan_run(name)
    freed = plan.size
    told = {"deletes": list(plan.deleted), "affects": list(plan.affected), "bytes": freed, "deleted": yes}
    if yes:
        housekeeping.delete(plan)
    if as_json:
        say(told, True)
        return
    print(f"{'Deleted' if yes else 'Would delete'} ({freed / 1e6:,.1f} MB):")
    for line in (*plan.deleted, *(f"! {line}" for line in plan.affected)):
        print(f"  {line}")
    if not yes:
        print("Nothing was deleted. Add --yes to delete it.")


@app.command()
def clean(
    budget: Annotated[float, typer.Option(min=0, help="Megabytes that generated maps for the browser may take; those used longest ago go first.")] = 1000.0,
    thumbnails: Annotated[bool, typer.Option("--thumbnails", help="Also thumbnails that no catalog names.")] = False,
    aside: Annotated[bool, typer.Option("--set-aside", help="Rename damaged files of slices, coded cases and the cluster, so that they begin anew.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, what would be done is listed.")] = False,
    as_json: Json = False,
) -> None:
    """Clear away generated files that nothing refers to any more; list damaged files, and set them aside."""
    from mmrec_core import damage, housekeeping

    found = housekeeping.waste(budget, thumbnails)
    told, broken = found.told(), damage.survey()
    movable = [d for d in broken if aside and d.about in damage.OWN]
    if yes:
        housekeeping.clean(found)
    kept = [str(damage.set_aside(d.about, d.name)) for d in movable] if yes else []
    if as_json:
        say({"removes": told, "damaged": [d.line for d in broken], "set_aside": kept or [d.place for d in movable], "done": yes}, True)
        return
    for kind, own in told.items():
        print(f"{own['n']:>6} {kind} ({own['bytes'] / 1e6:,.1f} MB)")
    for one in broken:
        print(f"{'! set aside: ' if one in movable and yes else '! '}{one.line}")
    print("Done." if yes else "Nothing was changed. Add --yes to do it." if told or movable else "There is nothing to clear away.")


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="tensorboard or mlflow.")],
    to: Annotated[Path | None, typer.Option(help="Folder to write event files to (tensorboard).")] = None,
    as_json: Json = False,
) -> None:
    """Give every run's history to TensorBoard or MLflow."""
    from mmrec_core import tracking

    if what == "tensorboard":
        say({"runs": tracking.to_tensorboard(to or Path("tensorboard")), "folder": str(to or "tensorboard")}, as_json)
    elif what == "mlflow":
        say({"runs": tracking.mirror(), "store": tracking.store()}, as_json)
    else:
        raise MMRecError(f"Nothing is exported as '{what}'. Known: tensorboard, mlflow.")


@app.command(hidden=True)
def mirror() -> None:
    """Copy what is new into MLflow; started by workers, not by people."""
    from mmrec_core import tracking

    tracking.mirror()


@app.command(hidden=True)
def supervise() -> None:
    """Look after runs that wait; started by the app and by workers, not by people."""
    from mmrec_core import supervision

    supervision.supervise()


@app.command(hidden=True)
def work(run: str) -> None:
    """Do a queued run's work; started by the app, not by people."""
    from mmrec_core import work as worker

    worker.work(run)


@app.command(name="work-here", hidden=True)
def work_here(run: str) -> None:
    """Do a run's work for a worker that waits elsewhere; started by the cluster, not by people."""
    from mmrec_core import work as worker

    worker.work_here(run)


@app.command()
def smoke(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that train one model together; 1 leaves that out.")] = 2,
    as_json: Json = False,
) -> None:
    """Check this machine, and the cluster where one is named, by a few small trainings whose figures must agree."""
    from mmrec_core.smoke import smoke as check

    found = check(workers, progress)
    if as_json:
        say({"checks": found}, True)
    else:
        for row in found:
            print(f"{'✓' if row['passed'] else '✗'} {row['check']}: {row['said']}")
    if not all(row["passed"] for row in found):
        raise typer.Exit(1)


@app.command()
def cluster(
    use: Annotated[str | None, typer.Option(help="Send work to this Ray cluster from now on: HOST:PORT.")] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Work on this machine again.")] = False,
    as_json: Json = False,
) -> None:
    """The Ray cluster that runs are sent to, its nodes and what is free on them."""
    from mmrec_core import cluster as room

    if use or forget:
        room.name(None if forget else use)
    where = room.address()
    found = [vars(node) for node in room.nodes()] if where else []
    if as_json:
        say({"address": where, "nodes": found}, True)
    elif where is None:
        print("No cluster is named; everything runs on this machine. Name one with --use HOST:PORT, or RAY_ADDRESS.")
    else:
        print(f"{where}: {len(found)} nodes")
        for node in found:
            free, total = node["free"], node["total"]
            print(f"{'●' if node['alive'] else '○'} {node['address']:<16} CPU {free.get('CPU', 0):g} of {total.get('CPU', 0):g} free, "
                  f"GPU {free.get('GPU', 0):g} of {total.get('GPU', 0):g} free")  # fmt: skip


@app.command(name="train-all")
def train_all(dataset: DatasetArg, as_json: Json = False) -> None:
    """Queue every model with its usual settings in the background."""
    from mmrec_core import runs as room

    say({"runs": [run.id for run in room.start_all(dataset)]}, as_json)


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    showcase: Annotated[
        str | None, typer.Option(help="Dataset whose models are trained in the background once the app is up.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Anything but localhost lets others look and rate; to start work they need the owner's token, which is printed.")
    ] = "localhost",
    names: Annotated[list[str] | None, typer.Option("--name", help="A further name by which people reach the app, such as lab.example.org; may be repeated.")] = None,
) -> None:
    """Bring up the app, on localhost unless told otherwise."""
    from mmrec_core import launch

    raise typer.Exit(launch.serve(port, showcase, headless, host, names or ()))


def main() -> None:
    """Entry point: known errors become one line on standard error and exit 2."""
    from mmrec_core.settings import silence_telemetry

    silence_telemetry()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except MMRecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
