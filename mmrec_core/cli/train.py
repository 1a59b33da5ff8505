"""Commands: models, train, train-all, ablate, tune."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmrec_core.cli.options import (
    Background,
    DatasetArg,
    EncoderOption,
    Executor,
    FilterFrom,
    Fraction,
    Json,
    Modality,
    ProtocolOption,
    Regime,
    RelevantFrom,
    Seed,
    Sets,
    SplitOption,
    SplitSeed,
    app,
    options,
    progress,
    queue_or_do,
    say,
    without,
)
from mmrec_core.errors import MMRecError


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
    workers: Annotated[
        int,
        typer.Option(min=1, help="Processes that train together, each on its share of every batch (gradient models)."),
    ] = 1,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Print a SLURM job script that does this, and do nothing.")
    ] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Fit a model and judge it on the test rows."""
    from mmrec_core import runs
    from mmrec_core.evaluation import protocols
    from mmrec_core.training import fit

    wanted = options(settings) | {k: v for k, v in (("precision", precision), ("device", device)) if v is not None}
    protocols.Protocol.parse(protocol)
    asked = runs.training_params(
        dataset, model, split=how, split_seed=split_seed, seed=seed, options=wanted, relevant_from=relevant_from,
        filter_from=filter_from, protocol=protocol, regime=regime, refit=refit, fraction=fraction, from_run=from_run,
        encoder=encoder, modality=modality,
    )  # fmt: skip
    fit.split_settings(model, wanted)
    if slurm:
        from mmrec_core.jobs.slurm import script

        print(
            script(
                asked, without(sys.argv[2:], "--slurm", "--background", "--json", "--executor", "--workers"), workers
            ),
            end="",
        )
        return
    queue_or_do("train", asked, background, as_json, executor=executor, workers=workers)


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
    from mmrec_core import storage
    from mmrec_core.analysis import ablation
    from mmrec_core.data import preparation
    from mmrec_core.jobs import worker as work

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
    trials: Annotated[
        int,
        typer.Option(
            min=1,
            max=10_000,
            help="How many settings are tried; the first are the usual ones, or the nearest within the ranges.",
        ),
    ] = 20,
    over: Annotated[
        str | None,
        typer.Option(
            help="What to search: names, dim=16:256 for a range, loss=bce|ce for values; separated by commas. Else what the model's config suggests."
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="What is judged on validation rows; else what early stopping watches.")
    ] = None,
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
    from mmrec_core.tuning import sweep

    wanted = [part.strip() for part in (over or "").split(",") if part.strip()]
    asked = sweep.params(
        dataset, model, trials=trials, over=wanted, metric=metric, minutes=minutes, split=how, split_seed=split_seed, seed=seed,
        options=options(settings), relevant_from=relevant_from, filter_from=filter_from, protocol=protocol, fraction=fraction,
        encoder=encoder, modality=modality,
    )  # fmt: skip
    queue_or_do("tune", asked, background, as_json, executor=executor)


@app.command(name="train-all")
def train_all(dataset: DatasetArg, as_json: Json = False) -> None:
    """Queue every model with its usual settings in the background."""
    from mmrec_core import runs as room

    say({"runs": [run.id for run in room.start_all(dataset)]}, as_json)
