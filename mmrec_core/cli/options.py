"""Options that several commands share, and how results and progress are printed."""

from __future__ import annotations

import json
import sys
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
Executor = Annotated[
    str | None, typer.Option(help="local or ray; usually the cluster, where one is named (RAY_ADDRESS).")
]
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
    from mmrec_core.jobs import worker as work

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
