"""Commands: models, train, train-all, ablate, tune."""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
def models(
    name: Annotated[
        str | None, typer.Argument(help="A model: list its settings with meaning, range and default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models and the names of their settings, or one model's settings with meaning, range and default."""
    from mmrec_core import registry

    if name is not None:
        _model(name, as_json)
        return
    schemas, faults = registry.schemas("models"), registry.faults("models")
    known: list[dict[str, Any]] = [
        {
            "model": n,
            "about": e.summary,
            "fault": faults.get(n),
            "settings": sorted(schemas.get(n, {}).get("config", {}).get("properties", {})),
        }
        for n, e in registry.entries("models").items()
    ]
    if as_json:
        say({"models": known}, True)
    else:
        for row in known:
            print(
                f"{row['model']:<12} {row['fault'] or row['about']}\n{'':<12} settings: "
                f"{', '.join(row['settings'] or ['none'])}"
            )
        print("models NAME lists a model's settings with meaning, range and default.")


def _model(name: str, as_json: bool) -> None:
    """Print what a model needs and each of its settings."""
    from mmrec_core import registry
    from mmrec_core.cli.settings_table import rows_of, settings_table

    made = registry.schema("models", name)
    own, trainer = rows_of(made, "config"), rows_of(made, "train")
    if as_json:
        about = {"model": name, "about": made["summary"], "needs": made["needs"]}
        say({**about, "settings": own, "training": trainer}, True)
        return
    print(f"{name}: {made['summary']}\nNeeds: {registry.in_words(made['needs']) or 'nothing'}\n")
    print("Settings (--set NAME=VALUE)" if own else "It has no settings of its own.")
    print(settings_table(own))
    print("Settings of the training" if trainer else "It is not trained by gradients, so there are no others.")
    print(settings_table(trainer), end="")


@app.command()
def train(
    dataset: DatasetArg,
    model: Annotated[str, typer.Argument(help="Name of a model, see the command models.")],
    how: SplitOption = None,
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
            help="At test time the model knows training and validation rows: it is trained on both (gradient models "
            "for the "
            "best number of epochs), or, for streaming models, observes the validation rows. By default validation "
            "rows "
            "are withheld from all models.",
        ),
    ] = False,
    fraction: Fraction = 1.0,
    encoder: EncoderOption = None,
    modality: Modality = None,
    precision: Annotated[str | None, typer.Option(help="Precision: fp32, bf16 or fp16 (gradient models).")] = None,
    device: Annotated[str | None, typer.Option(help="Device: auto, cpu, cuda or mps (gradient models).")] = None,
    from_run: Annotated[
        str | None, typer.Option(help="Start from the weights of this run, or of a .safetensors, .pt or .pth file.")
    ] = None,
    executor: Executor = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Processes of a distributed training, each with its share of every batch (gradient models)."
        ),
    ] = 1,
    slurm: Annotated[bool, typer.Option("--slurm", help="Print a SLURM job script for this training run.")] = False,
    background: Background = False,
    as_json: Json = False,
) -> None:
    """Train a model and evaluate it on the test rows."""
    from mmrec_core import runs
    from mmrec_core.evaluation import protocols
    from mmrec_core.training import fit

    chosen = options(settings) | {k: v for k, v in (("precision", precision), ("device", device)) if v is not None}
    protocols.Protocol.parse(protocol)
    params = runs.training_params(
        dataset,
        model,
        split=how,
        split_seed=split_seed,
        seed=seed,
        options=chosen,
        relevant_from=relevant_from,
        filter_from=filter_from,
        protocol=protocol,
        regime=regime,
        refit=refit,
        fraction=fraction,
        from_run=from_run,
        encoder=encoder,
        modality=modality,
    )
    fit.split_settings(model, chosen)
    if slurm:
        from mmrec_core.jobs.slurm import script

        print(
            script(
                params, without(sys.argv[2:], "--slurm", "--background", "--json", "--executor", "--workers"), workers
            ),
            end="",
        )
        return
    if params["encoder"] is not None and encoder is None:
        _say_vectors(params)
    queue_or_do("train", params, background, as_json, executor=executor, workers=workers)


def _say_vectors(params: Mapping[str, Any]) -> None:
    """Say on standard error which vectors a training run reads, where the command did not choose them."""
    from mmrec_core import features
    from mmrec_core.cli.run_output import vectors_in_words
    from mmrec_core.data import preparation

    opened = preparation.open_dataset(params["dataset"])
    read = features.vectors_read(opened, params["encoder"], params["modality"])
    others = [name for name in features.available(opened) if name != params["encoder"]]
    also = f" There are also: {', '.join(others)}." if others else ""
    print(
        f"Vectors: {vectors_in_words({'vectors': read})}, the default of {opened.name}. --encoder chooses.{also}",
        file=sys.stderr,
    )


@app.command()
def ablate(
    dataset: DatasetArg,
    model: Annotated[str, typer.Argument(help="Name of a model, see the command models.")],
    over: Annotated[
        str,
        typer.Option(
            help="What to vary, separated by commas: features, encoder, content (real vectors against controls), a "
            "setting with few values, or dim=16:32."
        ),
    ] = "features,fusion",
    seeds: Annotated[str, typer.Option(help="Training seeds, separated by commas.")] = "1,2,3",
    how: SplitOption = None,
    split_seed: SplitSeed = 0,
    settings: Sets = None,
    encoder: Annotated[
        str | None, typer.Option(help="Encoder whose vectors all arms read, unless encoders are varied.")
    ] = None,
    protocol: ProtocolOption = "full",
    relevant_from: RelevantFrom = None,
    background: Background = False,
    export: Annotated[Path | None, typer.Option(help="File for the table (.csv, .tex or .md).")] = None,
    as_json: Json = False,
) -> None:
    """Run an ablation: train one model with varied settings and several seeds, and print a table with intervals."""
    from mmrec_core import storage
    from mmrec_core.analysis import ablation, content_use
    from mmrec_core.data import preparation, splits
    from mmrec_core.jobs import worker as work

    opened = preparation.open_dataset(dataset)
    if not all(part.strip().isdecimal() for part in seeds.split(",")):
        raise MMRecError(f"--seeds is '{seeds}'; expected whole numbers separated by commas, such as 1,2,3.")
    base = {
        "split": how or splits.default_split(opened),
        "split_seed": split_seed,
        "options": options(settings),
        "encoder": encoder,
        "protocol": protocol,
        "relevant_from": relevant_from,
    }
    varied = [part.strip() for part in over.split(",") if part.strip()]
    study = ablation.load(ablation.save(opened, model, varied, [int(s) for s in seeds.split(",")], base))
    if background:
        say({"ablation": study["id"], "queued": ablation.start(study), "trainings": len(study["cells"])}, as_json)
        return
    work.work_all(
        [
            cell["params"]
            for cell, run in zip(study["cells"], ablation.runs_of(study), strict=True)
            if run is None or run.status != "finished"
        ],
        also=progress,
    )
    found = ablation.table(study)
    if export is not None:
        text = (
            ablation.as_csv(found)
            if export.suffix == ".csv"
            else ablation.as_latex(study)
            if export.suffix == ".tex"
            else ablation.as_markdown(found)
        )
        storage.write_bytes(export.expanduser().resolve(), text.encode())
    if as_json:
        say({**found, "content": content_use.verdict(study)}, True)
    else:
        print(ablation.as_markdown(found))
        if sentence := content_use.verdict(study):
            print(sentence)


@app.command()
def tune(
    dataset: DatasetArg,
    model: Annotated[str, typer.Argument(help="Name of a model, see the command models.")],
    trials: Annotated[
        int,
        typer.Option(
            min=1,
            max=10_000,
            help="Number of trials. The first uses the default settings, or the nearest within the ranges.",
        ),
    ] = 20,
    over: Annotated[
        str | None,
        typer.Option(
            help="Settings to search, separated by commas: names, dim=16:256 for a range, loss=bce|ce for values. "
            "Default: as the model's config suggests."
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric on validation rows to optimise. Default: the one of early stopping.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time budget of the search in minutes.")] = None,
    how: SplitOption = None,
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
    """Search settings on validation rows with Ray Tune; the best are trained again and tested once."""
    from mmrec_core.tuning import sweep

    searched = [part.strip() for part in (over or "").split(",") if part.strip()]
    params = sweep.params(
        dataset,
        model,
        trials=trials,
        over=searched,
        metric=metric,
        minutes=minutes,
        split=how,
        split_seed=split_seed,
        seed=seed,
        options=options(settings),
        relevant_from=relevant_from,
        filter_from=filter_from,
        protocol=protocol,
        fraction=fraction,
        encoder=encoder,
        modality=modality,
    )
    if params.get("encoder") is not None and encoder is None:
        _say_vectors(params)
    queue_or_do("tune", params, background, as_json, executor=executor)


@app.command(name="train-all")
def train_all(dataset: DatasetArg, as_json: Json = False) -> None:
    """Queue a training run of every model with default settings in the background."""
    from mmrec_core import runs as store

    say({"runs": [run.id for run in store.start_all(dataset)]}, as_json)
