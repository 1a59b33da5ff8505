"""Output of a training run on the terminal: a line per epoch while it runs, and its result as a short table."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from mmrec_core.analysis import comparison
from mmrec_core.runs import Run

POLL_S = 0.2
"""Time between two looks at a run's events."""
NO_SCORE = {"time", "kind", "phase", "epoch", "loss", "lr", "seconds", "samples_s", "judged", "judge_s"}
"""Entries of an epoch's event that are not its validation score."""


@contextlib.contextmanager
def epoch_lines(run: Run) -> Iterator[None]:
    """Print a line for each epoch that ends meanwhile, here or on a cluster: the run's events are followed."""
    ended, seen = threading.Event(), len(run.events())

    def print_new() -> None:
        nonlocal seen
        events = run.events()
        for event in events[seen:]:
            if event.get("kind") == "epoch":
                _clear_bar()
                print(epoch_line(event), flush=True)
        seen = len(events)

    def follow() -> None:
        while not ended.wait(POLL_S):
            print_new()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()
        print_new()


def epoch_line(event: Mapping[str, Any]) -> str:
    """``epoch 3  loss 0.4123  ndcg@10 0.0412  1.3 s``; the time includes the validation."""
    scores = [f"{k} {v:.4f}" for k, v in event.items() if k not in NO_SCORE and isinstance(v, (int, float))]
    how = [f"({event['judged']})"] if event.get("judged") else []
    loss = "–" if event.get("loss") is None else f"{event['loss']:.4f}"
    spent = (event.get("seconds") or 0.0) + (event.get("judge_s") or 0.0)
    phase = "refit " if event.get("phase") == "refit" else ""
    shown = [f"{phase}epoch {event['epoch'] + 1:>3}", f"loss {loss}", *scores, *how, f"{spent:.1f} s"]
    return "  ".join(shown)


def _clear_bar() -> None:
    """Remove an unfinished progress bar, which stands on the same line of the terminal."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def result_table(run: Run, result: Mapping[str, Any]) -> str:
    """A result as a short table: what was trained and how it was evaluated, its main metrics, and what it took."""
    row = comparison.row_of(run, result)
    names = comparison.shown_metrics([row]) or [m for m, v in result["metrics"].items() if v is not None][:6]
    lines = [f"{row.description} on {result['dataset']}, run {result['run']}", f"{row.key}", ""]
    lines += [f"{'metric':<24}{'value':>8}  95% interval over users"]
    for name in names:
        value, interval = result["metrics"].get(name), result["intervals"].get(name)
        if value is not None:
            within = f"[{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "–"
            lines.append(f"{name:<24}{value:>8.4f}  {within}")
    facts = []
    if result.get("epochs"):
        facts.append(f"best epoch {(result.get('best_epoch') or 0) + 1} of {result['epochs']}")
    spent = result.get("seconds") or {}
    facts += [f"{what} {spent[name]:.1f} s" for name, what in (("fit", "training"), ("evaluate", "evaluation"))
              if spent.get(name) is not None]  # fmt: skip
    facts += [f"{result['parameters']:,} parameters"] if result.get("parameters") else []
    facts += [f"vectors: {vectors}"] if (vectors := vectors_in_words(result)) else []
    return "\n".join([*lines, "", " · ".join(facts), "All figures: --json, or the run's result.json."])


def vectors_in_words(result: Mapping[str, Any]) -> str:
    """The vectors that a model read: ``text by classic (256), image by clip (512)``; empty if it read none."""
    return ", ".join(f"{k} by {v['encoder']} ({v['width']})" for k, v in (result.get("vectors") or {}).items())
