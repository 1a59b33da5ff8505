"""Commands: evaluate, compare, recommend, cold-start."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from mmrec_core.cli.options import (
    DatasetArg,
    Json,
    ProtocolOption,
    Regime,
    RelevantFrom,
    Seed,
    SplitOption,
    SplitSeed,
    Top,
    app,
    progress,
    queue_or_do,
    say,
)
from mmrec_core.errors import MMRecError


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Id of a finished run.")],
    protocol: ProtocolOption = "full",
    regime: Regime = "frozen",
    relevant_from: RelevantFrom = None,
    tables: Annotated[
        str | None,
        typer.Option(
            help="Also evaluate with quantized embedding tables, fp16 or int8, and print the change of the metrics."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate a trained model under another protocol, or with quantized embedding tables."""
    from mmrec_core import runs

    if tables not in {None, "fp16", "int8"}:
        raise MMRecError(f"--tables is '{tables}'; expected fp16 or int8.")
    params = runs.evaluation_params(run, protocol, regime, relevant_from, tables)
    queue_or_do("evaluate", params, False, as_json)


@app.command()
def compare(
    dataset: DatasetArg,
    how: SplitOption = None,
    protocol: ProtocolOption = "full",
    against: Annotated[
        str, typer.Option("--against", "--baseline", help="Baseline of the paired comparisons.")
    ] = "popularity",
    refit: Annotated[
        bool, typer.Option("--refit", help="Compare models that know training and validation rows.")
    ] = False,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics of the table, separated by commas, such as ndcg@10,recall@10.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Models of the table, in this order, separated by commas: names or labels.")
    ] = None,
    latex: Annotated[Path | None, typer.Option(help="Write the table to this file as LaTeX (booktabs).")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table to this file as CSV.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file as Markdown.")] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Write each training seed's values instead of means and tests.")
    ] = False,
    differences: Annotated[
        bool, typer.Option(help="Show differences to the baseline and p-values beside each metric.")
    ] = True,
    decimals: Annotated[int, typer.Option(min=3, max=4, help="Decimals in LaTeX and Markdown.")] = 4,
    as_json: Json = False,
) -> None:
    """Compare all finished runs on one split, paired with a baseline (and with oracles that were evaluated).

    With --metrics, --models, --seeds or a file, one row for each model: training runs that differ in their seed alone
    are averaged, and p-values are adjusted for the number of models.
    """
    from mmrec_core.analysis import comparison
    from mmrec_core.data import preparation, splits

    files = {"tex": latex, "csv": csv, "md": markdown}
    opened = preparation.open_dataset(dataset)
    how = how or splits.default_split(opened)
    if not (metrics or models or seeds or any(files.values())):
        result = comparison.compare(opened, how, protocol, against, refit)
        if as_json:
            say(result, True)
        else:
            print(comparison.as_table(result))
        return
    from mmrec_core import storage
    from mmrec_core.analysis import model_table_export as export
    from mmrec_core.analysis.cold_items import among_cold_items
    from mmrec_core.analysis.model_table import model_table

    _, rows = comparison.results_of_setup(opened, how, protocol, refit)
    table = model_table(
        opened, among_cold_items(rows), metrics=_names(metrics), baseline=against, models=_names(models)
    )
    for ending, file in files.items():
        if file is not None:
            text = (
                export.seed_export(table, ending, decimals)
                if seeds
                else export.FORMATS[ending](table, decimals, differences)
            )
            storage.write_bytes(file.expanduser().resolve(), text.encode())
    if as_json:
        say(export.as_dict(table), True)
    else:
        print(export.seed_export(table, "md", decimals) if seeds else export.as_markdown(table, decimals, differences))


def _names(listed: str | None) -> list[str] | None:
    """Names separated by commas that stand outside brackets: labels such as ``mf (dim=8, lr=0.1)`` contain commas."""
    if listed is None:
        return None
    return [name.strip() for name in re.split(r",(?![^()]*\))", listed) if name.strip()] or None


@app.command()
def recommend(
    run: Annotated[str, typer.Argument(help="Id of a finished run.")],
    user: Annotated[str | None, typer.Option(help="Id of a user of the dataset.")] = None,
    ratings: Annotated[
        str | None, typer.Option(help="Ratings of a new user as movieId:rating, separated by commas.")
    ] = None,
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """Recommend films to a known or a new user with a trained model."""
    from mmrec_core import runs
    from mmrec_core.data import preparation
    from mmrec_core.serving import recommender

    found = runs.get(run)
    if found.status != "finished" or found.kind != "train":
        raise MMRecError(f"Run '{run}' is {found.status}; recommendations need a finished training run.")
    dataset = preparation.open_dataset(found.params["dataset"])
    if (user is None) == (ratings is None):
        raise MMRecError(
            'Choose the user: --user ID for a user of the dataset, or --ratings "movieId:rating,…" for a new one.'
        )
    if user is not None:
        answer = recommender.recommend_known(found, dataset, dataset.users.row(user, "user"), top)
    else:
        answer = recommender.recommend(
            found, recommender.history(dataset, recommender.parse_ratings(ratings or "")), top
        )
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
    k: Annotated[str, typer.Option("--k", help="Numbers of known ratings, separated by commas.")] = "0,1,2,3,5,10,20",
    seed: Seed = 0,
    split_seed: SplitSeed = 0,
    as_json: Json = False,
) -> None:
    """Evaluate models for new users with k known ratings (cold-start curve)."""
    from mmrec_core.analysis.cold_start_curve import crossing
    from mmrec_core.data import preparation

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
