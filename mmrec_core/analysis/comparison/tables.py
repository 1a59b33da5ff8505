"""Results as tables: plain text with paired differences, CSV, Markdown, LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mmrec_core import csv_out, metrics, runs
from mmrec_core.analysis.comparison.results import NOT_RECORDED, Key, Row, find, rows
from mmrec_core.analysis.comparison.seed_groups import paired_with
from mmrec_core.analysis.text_table import escape
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
    """Indices of the Pareto-optimal points (lowest cost, highest quality), the cheapest first."""
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -quality[i]))
    front: list[int] = []
    for at in order:
        if not front or quality[at] > quality[front[-1]]:
            front.append(at)
    return front


def results_of_setup(dataset: Dataset, how: str, protocol: str, refit: bool = False) -> tuple[Key, list[Row]]:
    """The key of a split and protocol (static, default threshold), and its results with those of oracles.

    Args:
        dataset: the dataset.
        how: name of the split.
        protocol: name of the protocol.
        refit: results of models that know training and validation rows, instead of training rows alone.

    Raises:
        MMRecError: there are none.
    """
    from mmrec_core.data.splits import make_split

    made = make_split(dataset, how)
    usual = dataset.manifest.get("relevant_from")
    protocol = full_name(protocol, dataset)
    key = Key(how, made.seed, made.checksum, None, usual, protocol, "frozen", known=runs.known_rows({"refit": refit}))
    chosen = [row for row in rows(dataset) if row.key == (key.of_oracles if row.kind == "oracle" else key)]
    if any(row.kind != "oracle" for row in chosen):
        return key, chosen
    older = sum(row.key.known == NOT_RECORDED and row.key == replace(key, known=NOT_RECORDED) for row in rows(dataset))
    left = (
        f" {older} of an earlier version cannot be compared, because it lacks which rows the models were fitted on; "
        "train them again."
        if older
        else ""
    )
    raise MMRecError(
        f"No finished run on {dataset.name} with split {how} and protocol {protocol}.{left} "
        f"Train some first: train-all {dataset.name}"
    )


def compare(dataset: Dataset, how: str, protocol: str, against: str, refit: bool = False) -> dict[str, Any]:
    """All results on one split and protocol (static, default threshold), with paired differences to a baseline.

    Args:
        dataset: the dataset.
        how: name of the split.
        protocol: name of the protocol.
        against: label of the baseline, or the name of a model, of which the first result is taken.
        refit: compare models that know training and validation rows, instead of training rows alone.

    Raises:
        MMRecError: there are no results to compare, or none with the baseline's name.
    """
    key, chosen = results_of_setup(dataset, how, protocol, refit)
    baseline = find(chosen, against) or next((row for row in chosen if row.model == against), None)
    if baseline is None:
        listed = ", ".join(row.label for row in chosen)
        raise MMRecError(f"There is no finished run of '{against}' to pair with. There are: {listed}.")
    against = baseline.label
    references = [baseline, *(row for row in chosen if row.kind == "oracle" and row is not baseline)]
    pairs = {
        (baseline.label, metric): paired_with(chosen, baseline, metric)
        for baseline in references
        for metric in ("ndcg@10", "squared_error")
    }
    compared = ("ndcg@10", "squared_error")
    table = []
    for row in chosen:
        differences = {
            other.label: {m: found for m in compared if (found := pairs[other.label, m].get(row.run.id))}
            for other in references
            if other is not row
        }
        table.append(
            {
                "model": row.label,
                "kind": row.kind,
                "run": row.trained,
                "metrics": row.result["metrics"],
                "intervals": row.result["intervals"],
                "paired": differences,
            }
        )
    table.sort(key=lambda r: -(r["metrics"].get("ndcg@10") or 0))
    return {
        "dataset": dataset.name,
        "generated": dataset.manifest["generated"],
        "split": how,
        "split_seed": key.split_seed,
        "split_checksum": key.split_checksum,
        "protocol": key.protocol,
        "regime": "frozen",
        "known": key.known,
        "against": against,
        "rows": table,
    }


def cell(row: Row, metric: str, decimals: int = 4) -> str:
    """A value with its interval, ``0.0780 [0.0701, 0.0862]``; a dash where it does not apply."""
    return figure(row.result["metrics"].get(metric), row.result["intervals"].get(metric), decimals)


def figure(value: float | None, interval: Sequence[float] | None, decimals: int = 4) -> str:
    """A value with its interval, as text."""
    if value is None:
        return "–"
    if not interval:
        return f"{value:.{decimals}f}"
    return f"{value:.{decimals}f} [{interval[0]:.{decimals}f}, {interval[1]:.{decimals}f}]"


CLICK_SHOWN = ("auc", "log_loss", "normalised_entropy")


def shown_metrics(found: Sequence[Row], wanted: Sequence[str] = SHOWN) -> list[str]:
    """The wanted metrics that any row has; the metrics of click models are added for each label."""
    clicks = [row for row in found if row.kind == "click"]
    labels = list(dict.fromkeys(m.partition(":")[2] for row in clicks for m in row.result["metrics"] if ":" in m))
    extra = [f"{m}:{label}" for m in CLICK_SHOWN for label in labels]
    others = [row for row in found if row.kind != "click"]
    have = [m for m in wanted if any(row.result["metrics"].get(m) is not None for row in others)]
    return have + [m for m in extra if any(row.result["metrics"].get(m) is not None for row in clicks)]


def as_csv(found: Sequence[Row]) -> str:
    """CSV: value, lower and upper bound of each metric in separate columns, and what identifies the result."""
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
        result, key = row.result, row.key
        figures = [c for m in names for c in (result["metrics"].get(m), *(result["intervals"].get(m) or (None, None)))]
        spent = result.get("seconds") or {}
        write.writerow(
            [
                row.label,
                row.kind,
                row.trained,
                result.get("seed"),
                key.split,
                key.split_seed,
                key.split_checksum,
                key.filter_from,
                key.relevant_from,
                key.protocol,
                key.regime,
                key.known,
                *figures,
                result.get("parameters"),
                spent.get("fit"),
                spent.get("evaluate"),
            ]
        )
    return out.getvalue()


def as_markdown(found: Sequence[Row], dataset: Dataset) -> str:
    """A Markdown table with intervals, and below it the evaluation setup."""
    names = shown_metrics(found)
    lines = ["| model | " + " | ".join(f"{m} {_arrow(m)}" for m in names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        "| " + " | ".join([row.label.replace("|", "\\|"), *(cell(row, m) for m in names)]) + " |" for row in found
    ]
    return "\n".join([*lines, "", _foot(found, dataset)]) + "\n"


def as_latex(found: Sequence[Row], dataset: Dataset) -> str:
    """A LaTeX table (booktabs)."""
    names = shown_metrics(found)
    body = [" & ".join([escape(row.label), *(escape(cell(row, m)) for m in names)]) + r" \\" for row in found]
    arrows = {m: r"$\downarrow$" if _arrow(m) == "↓" else r"$\uparrow$" for m in names}
    head = " & ".join(["Model", *(f"{escape(m)} {arrows[m]}" for m in names)]) + r" \\"
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


def _arrow(metric: str) -> str:
    return "↓" if metrics.metric(metric).better == "lower" else "↑"


def _foot(found: Sequence[Row], dataset: Dataset) -> str:
    made = " (generated data: a check of the method, not evidence about films)" if dataset.manifest["generated"] else ""
    about = f"{dataset.name}{made}. " + (f"{found[0].key}. " if found else "")
    return about + "Brackets: 95 % bootstrap intervals over users. Rating models are ranked by predicted rating."


def as_table(result: dict[str, Any]) -> str:
    """A comparison as plain text; a star marks a significant paired difference to the baseline."""
    shown = [m for m in SHOWN if any(r["metrics"].get(m) is not None for r in result["rows"])]
    note = " (generated data: a check of the method, not evidence about films)" if result["generated"] else ""
    lines = [
        f"{result['dataset']}{note}, split {result['split']}, protocol {result['protocol']}, "
        f"regime {result['regime']}, models fitted on {result['known']} rows"
    ]
    lines.append(
        f"{'model':<18}" + "".join(f"{m + ' ' + _arrow(m):>26}" for m in shown) + f"   ndcg@10 − {result['against']}"
    )
    for row in result["rows"]:
        cells = []
        for name in shown:
            cells.append(figure(row["metrics"].get(name), row["intervals"].get(name)))
        pair = row["paired"].get(result["against"], {}).get("ndcg@10")
        difference = ""
        if pair is not None:
            low, high = pair["interval"]
            star = "*" if low * high > 0 else ""
            difference = f"   {pair['difference']:+.4f} [{low:+.4f}, {high:+.4f}]{star}"
        lines.append(f"{row['model']:<18}" + "".join(f"{c:>26}" for c in cells) + difference)
    return "\n".join(lines)
