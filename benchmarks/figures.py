"""Reproduce all results of ``docs/figures.md`` with the commands given there, each in less than ten minutes.

``python -m benchmarks.figures`` prepares the datasets that are at hand (``MMREC_SOURCES``), trains and evaluates
every row in a home of its own (``--home``), writes ``docs/figures.json`` and ``docs/figures.md``, and lists the
figures that lie outside the 95 % interval they had before. ``--only NAME`` takes one table, ``--missing`` only rows
that have no figure yet. Rows of data that are not at hand keep their figure and its commit.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORD, PAGE = ROOT / "docs" / "figures.json", ROOT / "docs" / "figures.md"


@dataclass(frozen=True)
class Table:
    """One table: a dataset, what its rows share on the command line, and the metrics shown."""

    name: str
    title: str
    dataset: str
    shared: str
    metrics: tuple[str, ...]
    rows: tuple[str, ...]
    """Model and settings of each row; ``oracle:…`` evaluates an oracle."""
    note: str = ""
    prepare: str = ""
    """Additional arguments of ``prepare``."""


RANKED = ("ndcg@10", "recall@10", "mrr", "auc")
AMAZON = ("popularity", "itemknn", "markov", "markov --set reach=1")
TABLES = (
    Table(
        "everyday",
        "MovieLens latest-small, everyday split",
        "ml-latest-small",
        "",
        (*RANKED, "rmse", "future_items@10"),
        ("random", "popularity", "bias", "itemknn", "ease", "mf", "bpr", "markov"),
        "Each user's last 10 % is test, full ranking, relevant from 3.5 stars; every model is fitted on the training "
        "rows alone.",
    ),
    Table(
        "everyday-refit",
        "The same with validation rows known to every model",
        "ml-latest-small",
        "--refit",
        (*RANKED, "rmse", "future_items@10"),
        ("popularity", "bias", "itemknn", "ease", "markov"),
    ),
    Table(
        "existing",
        "The same among items that existed at the user's last test event",
        "ml-latest-small",
        "--protocol full:existing",
        RANKED,
        ("popularity", "itemknn", "ease", "markov"),
    ),
    Table(
        "last",
        "MovieLens latest-small, leave-one-out",
        "ml-latest-small",
        "--split leave-one-out",
        RANKED,
        ("popularity", "itemknn", "ease", "markov"),
        "For 15 % of users the last event shares its moment with another: which of them is the test is drawn by the "
        "split's seed.",
    ),
    Table(
        "demo",
        "Reel World (generated) against its oracles",
        "demo",
        "",
        ("rmse", "ndcg@10"),
        ("oracle:all", "oracle:ids", "oracle:content", "popularity", "bias", "itemknn", "ease", "mf", "bpr"),
        "Generated data: a check of the method, never evidence about films.",
    ),
    Table(
        "recbole",
        "MovieLens 1M, RecBole's protocol",
        "ml-1m",
        "--split random:80-10-10 --filter-from 3",
        ("ndcg@10", "recall@10"),
        ("popularity", "itemknn", "ease --set l2=700", "bpr --seed 1 --set batch_size=2048 --set patience=5"),
        "Ratings of 3 or more only, per-user random 8:1:1, full ranking.",
    ),
    *(
        Table(
            f"amazon-{name}",
            f"Amazon {name.title()}, leave-one-out",
            f"amazon-{name}",
            "--split leave-one-out --refit",
            ("ndcg@10", "recall@10"),
            AMAZON,
            "The last purchase is the test; the one before is known to every model, as published tables have it.",
        )
        for name in ("beauty", "sports", "toys")
    ),
    Table(
        "wikipedia",
        "Wikipedia edits, leave-one-out, events repeat",
        "wikipedia",
        "--split leave-one-out",
        ("ndcg@10", "recall@10", "mrr"),
        ("popularity", "markov", "itemknn"),
        "Items met before stay candidates (full:seen=allow): most edits are of a page edited before.",
    ),
    Table(
        "wikipedia-new",
        "The same, new items only",
        "wikipedia",
        "--split leave-one-out --protocol full:seen=hide",
        ("ndcg@10", "recall@10", "mrr"),
        ("popularity", "markov", "itemknn"),
        "Items met before are hidden, and last edits of such items are not asked about.",
    ),
    *(
        Table(
            f"folds-u{n}",
            f"MovieLens 100K, the makers' fold u{n}",
            "ml-100k",
            f"--split folds:u{n} --refit",
            ("rmse", "mae"),
            ("bias", "mf"),
        )
        for n in range(1, 6)
    ),
    Table(
        "ratings-1m",
        "MovieLens 1M, random 90/10",
        "ml-1m",
        "--split random-global:90-0-10 --refit",
        ("rmse", "mae"),
        ("bias", "mf --set batch_size=8192"),
    ),
    Table(
        "ncf",
        "MovieLens 1M, NCF's last ratings and 99 candidates",
        "ml-1m",
        "--split folds:ncf --protocol shipped --relevant-from 1 --refit",
        ("hr@10", "ndcg@10"),
        ("popularity", "itemknn", "ease --set l2=500"),
        "156 of 6,040 lines name the test film itself among its candidates; a tie counts half.",
    ),
    Table(
        "census",
        "Census (UCI Adult), official division",
        "census",
        "--split official --refit",
        ("auc:income", "auc:marital"),
        ("gbdt",),
    ),
)


def command(table: Table, row: str) -> str:
    """The command that prints a row's result."""
    if row.startswith("oracle:"):
        return f"train-all {table.dataset}"
    model, _, more = row.partition(" ")
    return " ".join(part for part in (f"train {table.dataset} {model}", table.shared, more) if part)


def take(table: Table, row: str) -> dict[str, Any]:
    """The results of one row, by training a model or evaluating an oracle."""
    from mmrec_core import runs, runtime
    from mmrec_core.jobs import worker

    if row.startswith("oracle:"):
        kind, asked = "evaluate", runs.oracle_params(table.dataset, row)
    else:
        kind, asked = "train", parsed(table, row)
    started = time.perf_counter()
    run = worker.work(runs.create(kind, asked).id, foreground=True)
    result = run.result() or {}
    names = [m for m in table.metrics if result["metrics"].get(m) is not None]
    return {
        "values": {m: result["metrics"][m] for m in names},
        "intervals": {m: result["intervals"].get(m) for m in names},
        "seconds": round(time.perf_counter() - started, 1),
        "commit": (runtime.commit() or "")[:7] + ("+" if "+" in (runtime.commit() or "") else ""),
        "protocol": result["protocol"],
        "known": result["known"],
        "left_out": result.get("left_out") or {},
        "notes": result.get("notes") or [],
        "best_epoch": result.get("best_epoch"),
        "epochs": result.get("epochs"),
    }


def parsed(table: Table, row: str) -> dict[str, Any]:
    """The parameters of a row's training, parsed as the command line does."""
    from mmrec_core import runs

    model, *words = shlex.split(f"{row} {table.shared}")
    parser = argparse.ArgumentParser()
    for name in ("split", "protocol"):
        parser.add_argument(f"--{name}", default=runs.DEFAULT_PARAMS[name])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--filter-from", type=float)
    parser.add_argument("--relevant-from", type=float)
    parser.add_argument("--refit", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    given = vars(parser.parse_args(words))
    return runs.training_params(
        table.dataset, model, options=dict(pair.split("=", 1) for pair in given.pop("set")), **given
    )


def ready(table: Table) -> bool:
    """Whether the table's dataset is prepared or can be."""
    from mmrec_core.data import preparation
    from mmrec_core.errors import MMRecError

    if table.dataset in preparation.prepared():
        return True
    try:
        preparation.prepare(table.dataset)
    except MMRecError as error:
        print(f"{table.dataset} is not at hand: {error}", flush=True)
        return False
    return True


def moved(before: dict[str, Any] | None, now: dict[str, Any]) -> list[str]:
    """Results outside their previous interval."""
    found = []
    for name, value in now["values"].items():
        span = (before or {}).get("intervals", {}).get(name)
        if span and not span[0] <= value <= span[1]:
            found.append(f"{name} {before['values'][name]:.4f} → {value:.4f}")  # type: ignore[index]
    return found


def page(record: dict[str, Any]) -> str:
    """The Markdown page of all tables."""
    out = [
        "# Figures that a command takes again",
        "",
        "`python -m benchmarks.figures` trains and evaluates every row below and writes this page; it says which "
        "figures lie outside the "
        "interval they had before. Each row takes less than ten minutes on two CPU cores. Brackets: 95 % bootstrap "
        "intervals over users. "
        "Seed 0 and split seed 0 unless said. Longer training runs, with the commit at which they ran, are in "
        "[results.md](results.md).",
    ]
    for table in TABLES:
        rows = {row: record[table.name][row] for row in table.rows if row in record.get(table.name, {})}
        if not rows:
            continue
        any_row = next(iter(rows.values()))
        out += [
            "",
            f"## {table.title}",
            "",
            f"`train {table.dataset} MODEL{' ' + table.shared if table.shared else ''}`. {table.note}".strip(),
            "",
        ]
        out += [f"Protocol {any_row['protocol']}; models fitted on {any_row['known']} rows.", ""]
        shown = [m for m in table.metrics if any(m in r["values"] for r in rows.values())]
        out += ["| model | " + " | ".join(shown) + " | s | commit |", "|---" * (len(shown) + 3) + "|"]
        for row, figures in rows.items():
            cells = [cell(figures, m) for m in shown]
            out.append(f"| `{row}` | " + " | ".join(cells) + f" | {figures['seconds']:g} | {figures['commit']} |")
        left = {k: v for r in rows.values() for k, v in r["left_out"].items()}
        out += [f"\nNot asked about: {', '.join(f'{n:,} rows ({why})' for why, n in left.items())}."] if left else []
    return "\n".join(out) + "\n"


def cell(figures: dict[str, Any], metric: str) -> str:
    """A value with its interval."""
    value, span = figures["values"].get(metric), figures["intervals"].get(metric)
    if value is None:
        return "–"
    text = f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.4f}"
    return text + (f" [{span[0]:.4f}, {span[1]:.4f}]".replace("0.", ".") if span else "")


def main() -> None:
    """Reproduce the tables and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one table by name")
    parser.add_argument("--missing", action="store_true", help="only rows without a figure")
    parser.add_argument("--home", help="where datasets and runs are kept; else a temporary folder")
    asked = parser.parse_args()
    os.environ["MMREC_HOME"] = asked.home or tempfile.mkdtemp(prefix="figures-")
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    changed = []
    for table in TABLES:
        if (asked.only and table.name != asked.only) or not ready(table):
            continue
        for row in table.rows:
            before = record.get(table.name, {}).get(row)
            if asked.missing and before is not None:
                continue
            now = take(table, row)
            changed += [f"{table.name} {row}: {text}" for text in moved(before, now)]
            record.setdefault(table.name, {})[row] = now
            print(f"{table.name:16} {row:40} {now['values']} {now['seconds']} s", flush=True)
            RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
            PAGE.write_text(page(record))
    print(
        "\n".join(
            ["Outside the interval they had before:", *changed] if changed else ["No figure lies outside its interval."]
        )
    )


if __name__ == "__main__":
    main()
