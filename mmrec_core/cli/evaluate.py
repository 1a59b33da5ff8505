"""Commands: evaluate, compare, recommend, cold-start."""

from __future__ import annotations

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
    how: SplitOption = "user-temporal",
    protocol: ProtocolOption = "full",
    against: Annotated[str, typer.Option(help="Baseline of the paired comparisons.")] = "popularity",
    refit: Annotated[
        bool, typer.Option("--refit", help="Compare models that know training and validation rows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare all finished runs on one split, paired with a baseline (and with oracles that were evaluated)."""
    from mmrec_core.analysis import comparison
    from mmrec_core.data import preparation

    result = comparison.compare(preparation.open_dataset(dataset), how, protocol, against, refit)
    if as_json:
        say(result, True)
    else:
        print(comparison.as_table(result))


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
        raise MMRecError(f"Run '{run}' is {found.status}; recommendations need a finished training.")
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
