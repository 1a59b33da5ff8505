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
    refit: Annotated[
        bool, typer.Option("--refit", help="Runs whose models know training and validation rows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """All finished runs on one split side by side, paired with a baseline; oracles too where they were evaluated (train-all)."""
    from mmrec_core.analysis import comparison
    from mmrec_core.data import preparation

    result = comparison.compare(preparation.open_dataset(dataset), how, protocol, against, refit)
    if as_json:
        say(result, True)
    else:
        print(comparison.as_table(result))


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
    from mmrec_core import runs
    from mmrec_core.data import preparation
    from mmrec_core.serving import recommender

    found = runs.get(run)
    if found.status != "finished" or found.kind != "train":
        raise MMRecError(f"Run '{run}' is {found.status}; recommendations need a finished training.")
    dataset = preparation.open_dataset(found.params["dataset"])
    if (user is None) == (ratings is None):
        raise MMRecError('Say who: --user ID for a user of the dataset, or --ratings "movieId:rating,…" for a new one.')
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
    k: Annotated[str, typer.Option("--k", help="Numbers of ratings known, separated by commas.")] = "0,1,2,3,5,10,20",
    seed: Seed = 0,
    split_seed: SplitSeed = 0,
    as_json: Json = False,
) -> None:
    """How good each model is for users of whom it knows k ratings."""
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
