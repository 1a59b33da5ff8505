"""Commands: datasets, prepare, split."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmrec_core.cli.options import (
    DatasetArg,
    FilterFrom,
    Json,
    Regime,
    RelevantFrom,
    Sets,
    SplitOption,
    SplitSeed,
    app,
    options,
    progress,
    say,
)
from mmrec_core.errors import MMRecError


@app.command()
def datasets(as_json: Json = False) -> None:
    """List the datasets and whether they are prepared."""
    from mmrec_core import registry
    from mmrec_core.data import preparation

    ready = preparation.prepared()
    known = [
        {"dataset": e.name, "about": e.summary, "prepared": e.name in ready, "fault": e.fault}
        for e in registry.entries("datasets").values()
    ]
    known += [
        {"dataset": name, "about": "your own files", "prepared": True, "fault": None}
        for name in ready
        if name not in registry.entries("datasets")
    ]
    broken = {name: str(fault) for name, fault in preparation.damaged().items()}
    known = [{**row, "fault": broken.pop(str(row["dataset"]))} if row["dataset"] in broken else row for row in known]
    known += [
        {"dataset": name, "about": "your own files", "prepared": False, "fault": fault}
        for name, fault in broken.items()
    ]
    if as_json:
        say({"datasets": known}, True)
    else:
        for row in known:
            print(f"{'●' if row['prepared'] else '○'} {row['dataset']:<18} {row['fault'] or row['about']}")


@app.command()
def prepare(
    dataset: Annotated[
        str, typer.Argument(help="Name of a dataset, see the command datasets; csv for your own files.")
    ],
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder, zip archive or file to read. Default: search for it.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the prepared dataset.")] = None,
    scale: Annotated[str | None, typer.Option(help="Rating scale of your own files as LOW:HIGH.")] = None,
    settings: Sets = None,
    enrich: Annotated[
        list[str] | None,
        typer.Option(help="Additional source of posters and plots: tmdb, urls, urls:FILE, wikipedia, wikipedia:de."),
    ] = None,
    posters_and_plots: Annotated[
        bool,
        typer.Option(
            "--posters-and-plots",
            help="Fetch posters and plots from the network without an account: --enrich urls --enrich wikipedia. For "
            "ml-100k about 3,200 requests, ten minutes; it continues where it was interrupted.",
        ),
    ] = False,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing if the dataset is prepared already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read, check and store a dataset with its posters and plots."""
    from mmrec_core.data import enrichment, preparation

    if if_missing and (name or dataset) in preparation.prepared():
        manifest = preparation.open_dataset(name or dataset).manifest
        say(
            {
                **{k: manifest[k] for k in ("dataset", "ratings", "users", "films", "posters", "plots", "coverage")},
                "seconds": 0,
            },
            as_json,
        )
        return
    settings_ = options(settings) | ({"scale": scale} if scale else {})
    named = [*(enrich or ()), *(enrichment.ONLINE if posters_and_plots else ())]
    result = preparation.prepare(dataset, source=source, name=name, options=settings_, enrich=named, progress=progress)
    licence = preparation.open_dataset(result["dataset"]).manifest["licence"]
    if licence:
        print(licence, file=sys.stderr)
    say(result, as_json)


@app.command()
def split(
    dataset: DatasetArg,
    how: SplitOption = None,
    split_seed: SplitSeed = 0,
    filter_from: FilterFrom = None,
    export: Annotated[
        Path | None, typer.Option(help="Folder for the training, validation and test rows as CSV.")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Also export the candidates of each liked test row under this protocol, such as sampled:100:of=5000."
        ),
    ] = None,
    regime: Regime = "frozen",
    relevant_from: RelevantFrom = None,
    as_json: Json = False,
) -> None:
    """Split a dataset, print the size of each part, and optionally export the parts."""
    from mmrec_core import runs
    from mmrec_core.data import preparation, splits
    from mmrec_core.evaluation import protocols

    opened = preparation.open_dataset(dataset)
    liked = runs.liked_from({"relevant_from": relevant_from, "filter_from": filter_from})
    made = splits.make_split(opened, how or splits.default_split(opened), split_seed, filter_from, liked)
    if protocol is not None:
        if export is None:
            raise MMRecError("--protocol says which candidates to export; name the folder with --export FOLDER.")
        protocols.Protocol.parse(protocol)
    exported = {}
    if export is not None:
        splits.export_split(opened, made, export)
        if protocol is not None:
            from mmrec_core.evaluation.candidate_export import export_candidates

            exported = {"candidates": export_candidates(opened, made, protocol, export, liked, regime)}
    sizes = {part: len(getattr(made, part)) for part in made.PARTS}
    say(
        {
            "dataset": dataset,
            "split": made.strategy,
            "split_seed": made.seed,
            **sizes,
            "checksum": made.checksum,
            **exported,
        },
        as_json,
    )
