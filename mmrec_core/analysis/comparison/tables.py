"""Results as tables: paired differences, CSV, Markdown, LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mmrec_core import csv_out, metrics, runs
from mmrec_core.analysis.comparison.results import NOT_RECORDED, Key, Row, find, paired_with, rows
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import full_name
from mmrec_core.types import Dataset

SHOWN = ("rmse", "mae", "ndcg@10", "recall@10", "auc", "mrr")
KINDS = {
    "ranking": "Ranking models",
    "rating": "Rating models",
    "click": "Click models",
    "oracle": "Oracles",
}


def pareto(cost: Sequence[float], quality: Sequence[float]) -> list[int]:
    """Places of the points that no other beats in both: cheaper and at least as good, or better and no dearer; cheapest
    first. Quality counts upwards."""
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -quality[i]))
    front: list[int] = []
    for at in order:
        if not front or quality[at] > quality[front[-1]]:
            front.append(at)
    return front


def compare(dataset: Dataset, how: str, protocol: str, against: str, refit: bool = False) -> dict[str, Any]:
    """Every result on one split and protocol, frozen regime, usual threshold, with paired differences to ``against``.

    Args:
        refit: those of models that know training and validation rows, instead of training rows alone.

    Raises:
        MMRecError: nothing to compare, or nothing of the baseline's name.
    """
    from mmrec_core.data.splits import make_split

    made = make_split(dataset, how)
    usual = dataset.manifest.get("relevant_from")
    protocol = full_name(protocol, dataset)
    key = Key(how, made.seed, made.checksum, None, usual, protocol, "frozen", known=runs.known_rows({"refit": refit}))
    chosen = [row for row in rows(dataset) if row.key == (key.of_oracles if row.kind == "oracle" else key)]
    if not any(row.kind != "oracle" for row in chosen):
        older = sum(
            row.key.known == NOT_RECORDED and row.key == replace(key, known=NOT_RECORDED) for row in rows(dataset)
        )
        left = (
            f" {older} of an earlier version, which does not say what its models knew, cannot be compared; train them again."
            * (older > 0)
        )
        raise MMRecError(
            f"No finished run on {dataset.name} with split {how} and protocol {protocol}.{left} Train some first: train-all {dataset.name}"
        )
    rival = find(chosen, against)
    if rival is None:
        listed = ", ".join(row.label for row in chosen)
        raise MMRecError(f"There is no finished run of '{against}' to pair with. There are: {listed}.")
    against = rival.label
    rivals = [rival, *(row for row in chosen if row.kind == "oracle" and row is not rival)]
    pairs = {
        (rival.label, metric): paired_with(chosen, rival, metric)
        for rival in rivals
        for metric in ("ndcg@10", "squared_error")
    }
    told = [
        {
            "model": row.label, "kind": row.kind, "run": row.trained, "metrics": row.result["metrics"],
            "intervals": row.result["intervals"],
            "paired": {
                rival.label: {m: found for m in ("ndcg@10", "squared_error") if (found := pairs[rival.label, m].get(row.run.id))}
                for rival in rivals if rival is not row
            },
        }
        for row in chosen
    ]  # fmt: skip
    told.sort(key=lambda r: -(r["metrics"].get("ndcg@10") or 0))
    return {"dataset": dataset.name, "generated": dataset.manifest["generated"], "split": how, "split_seed": key.split_seed,
            "split_checksum": key.split_checksum, "protocol": protocol, "regime": "frozen", "known": key.known, "against": against, "rows": told}  # fmt: skip


def cell(row: Row, metric: str) -> str:
    """A value with its interval, ``0.0780 [0.0701, 0.0862]``; a dash where it does not apply."""
    return figure(row.result["metrics"].get(metric), row.result["intervals"].get(metric))


def figure(value: float | None, interval: Sequence[float] | None) -> str:
    """A value with its interval, for people."""
    if value is None:
        return "–"
    return f"{value:.4f} [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else f"{value:.4f}"


CLICK_SHOWN = ("auc", "log_loss", "normalised_entropy")


def shown_metrics(found: Sequence[Row], wanted: Sequence[str] = SHOWN) -> list[str]:
    """Those of the wanted metrics that any row has; click models bring theirs, label by label."""
    clicks = [row for row in found if row.kind == "click"]
    labels = list(dict.fromkeys(m.partition(":")[2] for row in clicks for m in row.result["metrics"] if ":" in m))
    extra = [f"{m}:{label}" for m in CLICK_SHOWN for label in labels]
    others = [row for row in found if row.kind != "click"]
    have = [m for m in wanted if any(row.result["metrics"].get(m) is not None for row in others)]
    return have + [m for m in extra if any(row.result["metrics"].get(m) is not None for row in clicks)]


def as_csv(found: Sequence[Row]) -> str:
    """Machine-readable: value, low and high of each metric in columns of their own, and all that names the result."""
    import io

    names = shown_metrics(found)
    out = io.StringIO()
    head = [
        "model",
        "kind",
        "run",
        "seed",
        "split",
        "split_seed",
        "split_checksum",
        "filter_from",
        "relevant_from",
        "protocol",
        "regime",
        "known",
    ]
    write = csv_out.Writer(out)
    write.writerow(
        [*head, *(c for m in names for c in (m, f"{m}_low", f"{m}_high")), "parameters", "fit_s", "evaluate_s"]
    )
    for row in found:
        told, key = row.result, row.key
        figures = [c for m in names for c in (told["metrics"].get(m), *(told["intervals"].get(m) or (None, None)))]
        spent = told.get("seconds") or {}
        write.writerow([row.label, row.kind, row.trained, told.get("seed"), key.split, key.split_seed, key.split_checksum,
                        key.filter_from, key.relevant_from, key.protocol, key.regime, key.known, *figures, told.get("parameters"),
                        spent.get("fit"), spent.get("evaluate")])  # fmt: skip
    return out.getvalue()


def as_markdown(found: Sequence[Row], dataset: Dataset) -> str:
    """A Markdown table with arrows, intervals, and below it what the figures rest on."""
    names = shown_metrics(found)
    lines = ["| model | " + " | ".join(f"{m} {_arrow(m)}" for m in names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        "| " + " | ".join([row.label.replace("|", "\\|"), *(cell(row, m) for m in names)]) + " |" for row in found
    ]
    return "\n".join([*lines, "", _foot(found, dataset)]) + "\n"


def as_latex(found: Sequence[Row], dataset: Dataset) -> str:
    """A LaTeX table (booktabs)."""
    names = shown_metrics(found)
    body = [" & ".join([_latex(row.label), *(_latex(cell(row, m)) for m in names)]) + r" \\" for row in found]
    arrows = {m: r"$\downarrow$" if _arrow(m) == "↓" else r"$\uparrow$" for m in names}
    head = " & ".join(["Model", *(f"{_latex(m)} {arrows[m]}" for m in names)]) + r" \\"
    rules = [
        r"\begin{tabular}{l" + "r" * len(names) + "}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(["% " + _foot(found, dataset), *rules]) + "\n"


def _latex(text: str) -> str:
    """Text with what LaTeX reads as commands taken literally."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
    return "".join({**{c: "\\" + c for c in "_&%#${}"}, **special}.get(c, c) for c in text)


def _arrow(metric: str) -> str:
    return "↓" if metrics.metric(metric).better == "lower" else "↑"


def _foot(found: Sequence[Row], dataset: Dataset) -> str:
    made = " (generated data: a check of the method, not evidence about films)" if dataset.manifest["generated"] else ""
    about = f"{dataset.name}{made}. " + (f"{found[0].key}. " if found else "")
    return about + "Brackets: 95 % bootstrap intervals over users. Rating models are ranked by predicted rating."


def as_table(result: dict[str, Any]) -> str:
    """A comparison as plain text, intervals in brackets, stars where the paired interval to the baseline excludes zero."""
    shown = [m for m in SHOWN if any(r["metrics"].get(m) is not None for r in result["rows"])]
    note = " (generated data: a check of the method, not evidence about films)" if result["generated"] else ""
    lines = [
        f"{result['dataset']}{note}, split {result['split']}, protocol {result['protocol']}, regime {result['regime']}, "
        f"models know {result['known']}"
    ]
    lines.append(
        f"{'model':<18}" + "".join(f"{m + ' ' + _arrow(m):>26}" for m in shown) + f"   ndcg@10 − {result['against']}"
    )
    for row in result["rows"]:
        cells = []
        for name in shown:
            cells.append(figure(row["metrics"].get(name), row["intervals"].get(name)))
        pair = row["paired"].get(result["against"], {}).get("ndcg@10")
        told = (
            ""
            if pair is None
            else f"   {pair['difference']:+.4f} [{pair['interval'][0]:+.4f}, {pair['interval'][1]:+.4f}]{'*' if pair['interval'][0] * pair['interval'][1] > 0 else ''}"
        )
        lines.append(f"{row['model']:<18}" + "".join(f"{c:>26}" for c in cells) + told)
    return "\n".join(lines)
