"""Options shared by several commands, and output of results and progress."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Annotated, Any

import typer

from mmrec_core.errors import MMRecError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Multimodal movie recommendation: prepare data, train and evaluate models, recommend films.",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object; progress goes to standard error.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A setting as key=value; may be repeated.")]
DatasetArg = Annotated[str, typer.Argument(help="Name of a prepared dataset.")]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="Split strategy, such as user-temporal or random:80-10-10; see docs/contracts.md. Default: user-temporal, "
        "or the published split (official) of datasets that have one with validation rows.",
    ),
]
SplitSeed = Annotated[int, typer.Option(min=0, help="Random seed of the split.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Random seed of the training run.")]
RelevantFrom = Annotated[
    float | None, typer.Option(help="Relevance threshold: ratings at or above it count as liked (3.5 on MovieLens).")
]
FilterFrom = Annotated[
    float | None, typer.Option(help="Drop ratings below this value before splitting; all others count as liked.")
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="Evaluation protocol: full (full ranking), sampled:N or sampled:N:popularity (N sampled negatives), or "
        "shipped (candidates from the dataset). Optional suffixes: :seen=hide or :seen=allow (items that the user "
        "already knows; allowed by default if events repeat) and :existing (only items that existed at the time).",
    ),
]
Regime = Annotated[
    str, typer.Option(help="Evaluation regime: frozen (static, the model does not see test events) or stream.")
]
Executor = Annotated[
    str | None, typer.Option(help="local or ray. Default: ray if a cluster is set (RAY_ADDRESS), else local.")
]
Background = Annotated[bool, typer.Option("--background", help="Queue the run and return at once.")]
Fraction = Annotated[float, typer.Option(help="Share of the training rows to use, such as 0.1.")]
EncoderOption = Annotated[
    str | None,
    typer.Option("--encoder", help="Encoder whose plot and poster vectors the model reads; two as TEXT+IMAGE."),
]
Modality = Annotated[str | None, typer.Option(help="Modality to read: text, image, both or none.")]
Top = Annotated[int, typer.Option(min=1, max=1000, help="Number of films.")]


def options(pairs: list[str] | None) -> dict[str, str]:
    """Parse ``--set`` options: ``["l2=700"]`` → ``{"l2": "700"}``."""
    found = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise MMRecError(f"'--set {pair}' is not a setting; expected key=value, such as --set l2=700.")
        found[key.strip()] = value.strip()
    return found


def without(words: list[str], *left_out: str) -> list[str]:
    """Command-line words without some options and their values."""
    found, skip = [], False
    for word in words:
        key, equals, _ = word.partition("=")
        if skip or key in left_out:
            skip = not skip and key in {"--executor", "--workers"} and not equals
            continue
        found.append(word)
    return found


def say(result: dict[str, Any], as_json: bool) -> None:
    """Print a result as one line of JSON, or as indented JSON."""
    print(json.dumps(result, ensure_ascii=False, indent=None if as_json else 1))


def say_result(run: Any, as_json: bool) -> None:
    """Print the result of a run, or its status if it has none: as JSON, or an evaluation as a short table."""
    result = run.result() if run.status == "finished" else {"run": run.id, "status": run.status}
    if as_json or run.status != "finished" or "split_checksum" not in (result or {}):
        say(result, as_json)
        return
    from mmrec_core.cli.run_output import result_table

    print(result_table(run, result))


def do(run: Any, as_json: bool) -> None:
    """Execute a queued run here and print its result; without ``--json`` also a line per epoch."""
    from mmrec_core.cli.run_output import epoch_lines
    from mmrec_core.jobs import worker as work

    with contextlib.nullcontext() if as_json else epoch_lines(run):
        done = work.work(run.id, foreground=True, also=progress)
    say_result(done, as_json)


def queue_or_do(kind: str, params: dict[str, Any], background: bool, as_json: bool, **where: Any) -> None:
    """Queue a run and print its id, or execute it here and print its result.

    Args:
        kind: kind of the run.
        params: parameters of the run.
        background: queue it and return.
        as_json: print one line of JSON.
        where: ``executor`` and ``workers``.
    """
    from mmrec_core import runs

    if background:
        run = runs.start(kind, params, **where)
        say({"run": run.id, "status": run.status}, as_json)
        return
    do(runs.create(kind, params, **where), as_json)


def progress(done: int, total: int, what: str) -> None:
    """Show progress on standard error: a bar on a terminal, otherwise one line for each step."""
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
