"""Exports of a model table for a paper: LaTeX, Markdown and CSV, with the full evaluation setup; and a seed table."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmrec_core import csv_out
from mmrec_core.analysis import text_table
from mmrec_core.analysis.comparison import Key, ModelGroup
from mmrec_core.analysis.model_table import ALPHA, PER_USER, Estimate, ModelTable
from mmrec_core.analysis.text_table import Cell, TextTable
from mmrec_core.evaluation.protocols import Protocol, default_seen
from mmrec_core.metrics import metric as metric_of
from mmrec_core.types import Dataset

DECIMALS = (3, 4)
"""Choices of the number of decimals."""
ACRONYMS = {"ap", "auc", "hr", "mae", "map", "mrr", "ndcg", "rmse"}
"""Metrics that are written in capitals."""
COLD_CANDIDATES = "Candidates: the films that left training (cold films), ranked among themselves. "
SAME = 0.00005
"""Half widths below this are 0 with four decimals."""


def metric_name(metric: str) -> str:
    """A metric as papers write it: ``NDCG@10``, ``Recall@10``, ``Log loss (like)``."""
    base, _, label = metric.partition(":")
    name, at, k = base.partition("@")
    written = name.upper() if name in ACRONYMS else name.replace("_", " ").capitalize()
    return f"{written}{at}{k}" + (f" ({label})" if label else "")


def column(metric: str) -> str:
    """A metric as the head of a column: ``NDCG@10 ↑``."""
    return f"{metric_name(metric)} {'↓' if metric_of(metric).lower_is_better else '↑'}"


def setup_in_words(dataset: Dataset, key: Key, among_cold: bool = False) -> str:
    """Dataset, split, candidates, regime, threshold and known rows of a setup, as sentences of a caption.

    Args:
        dataset: the dataset.
        key: the setup.
        among_cold: cold items are ranked among themselves.
    """
    protocol, films = Protocol.parse(key.protocol), dataset.manifest.get("films") or 0
    size = [f"{dataset.manifest['users']:,} users"] if dataset.manifest.get("users") else []
    size += [f"{films:,} films"] if films else []
    of = f" ({', '.join(size)})" if size else ""
    generated = " Generated data: a check of the method, not evidence about films." * dataset.manifest["generated"]
    dropped = f" Ratings below {key.filter_from:g} are dropped." if key.filter_from is not None else ""
    known = "" if key.regime == "stream" else f" Models were fitted on {key.known} rows."
    regime = "streaming (models observe each test event after it is ranked)" if key.regime == "stream" else "static"
    return (
        f"Dataset: {dataset.name}{of}.{generated} "
        f"Split: {key.split}, split seed {key.split_seed}.{dropped} "
        f"Protocol: {key.protocol}, regime {regime}. "
        f"{COLD_CANDIDATES if among_cold else _candidates(protocol, films, dataset)}"
        f"{_relevant(key)}{known}"
    )


def _candidates(protocol: Protocol, films: int, dataset: Dataset) -> str:
    if not films:
        return ""
    among = f"all {films:,} films"
    if protocol.shipped:
        among = "those published with the split"
    elif protocol.negatives is not None:
        how = "by popularity" if protocol.by_popularity else "uniformly"
        among = f"{protocol.negatives:,} films drawn {how} for each relevant film"
    existing = ", of those that existed at the time" * protocol.existing
    seen = (protocol.seen or default_seen(dataset)) == "hide"
    of = f" A sample of {protocol.users:,} users is evaluated." if protocol.users is not None else ""
    of += f" A sample of {protocol.of:,} relevant rows is evaluated." if protocol.of is not None else ""
    hidden = "are no candidates" if seen else "stay candidates"
    return f"Candidates: {among}{existing}. Films that the user knows already {hidden}.{of} "


def _relevant(key: Key) -> str:
    if key.relevant_from is None:
        return "Every test event counts as relevant."
    return f"Ratings of {key.relevant_from:g} or more count as relevant."


def caption(table: ModelTable, differences: bool = True) -> str:
    """What the table's values are and how they were computed."""
    parts = [setup_in_words(table.dataset, table.key, table.among_cold), _seeds_in_words(table)]
    tested = [m for m in table.metrics if table.tests(m)]
    if table.baseline is not None and tested:
        shown = f"Δ: mean difference to {table.baseline}, p: its adjusted p-value. " if differences else ""
        parts.append(
            f"{shown}+ and −: significantly better and worse than {table.baseline} (p < {ALPHA:g}), by a paired "
            f"permutation test over {_users_in_words(table, tested)}, whose values are averaged over seeds, with "
            f"Holm's correction for {_tests_in_words(table, tested)} tested against it, for each metric on its own."
        )
    parts.append(
        "Bold: best. Underlined: no significant difference to the best (the same test, Holm-corrected over "
        f"{table.noun}s)."
    )
    rows_based = [m for m in table.metrics if m in PER_USER]
    if rows_based:
        names = {"rmse": "users' mean squared errors", "mae": "users' mean absolute errors"}
        parts.append("".join(f"Tests of {metric_name(m)} compare {names[m]}. " for m in rows_based).strip())
    if untested := [m for m in table.metrics if m not in tested]:
        if table.baseline is not None:
            parts.append(
                f"Not tested, because there are no values per user: {', '.join(metric_name(m) for m in untested)}."
            )
    if beyond := [g for g in table.groups if g.rows[0].key.beyond]:
        parts.append("† " + "; ".join(f"{g.label}: {g.rows[0].key.beyond}" for g in beyond) + ".")
    if any(g.kind == "oracle" for g in table.groups):
        parts.append("Oracles use knowledge that models do not have; they are no competitors.")
    return " ".join(parts)


def _seeds_in_words(table: ModelTable) -> str:
    """Seeds, and what stands behind a value."""
    trained = [g for g in table.groups if g.kind != "oracle"]
    several = [g for g in trained if len(g.rows) > 1]
    seeds = {tuple(g.seeds) for g in several}
    words = []
    if several:
        listed = ", ".join(map(str, next(iter(seeds)))) if len(seeds) == 1 else "as in the column Seeds"
        words.append(f"Values with ±: mean and half width of the 95% t interval over training seeds ({listed}).")
        exact = [
            g.label for g in several
            if all(e is None or (e.half_width or 0.0) < SAME for e in (table.get(g, m) for m in table.metrics))
        ]  # fmt: skip
        if exact:
            words.append(f"The same under every seed (to four decimals): {', '.join(exact)}.")
    if len(several) < len(table.groups):
        words.append("Values with brackets: one training run and its 95% bootstrap interval over users.")
    return " ".join(words)


def _users_in_words(table: ModelTable, tested: Sequence[str]) -> str:
    counts = [n for m in tested for n in table.tested_users(m)]
    low, high = min(counts), max(counts)
    return f"{low:,} users" if low == high else f"{low:,} to {high:,} users"


def _tests_in_words(table: ModelTable, tested: Sequence[str]) -> str:
    counts = {table.tests(m) for m in tested}
    low, high = min(counts), max(counts)
    return f"the {low} {table.noun}{'s' if low > 1 else ''}" if low == high else f"the {low} to {high} {table.noun}s"


def text_of(table: ModelTable, decimals: int = 4, differences: bool = True) -> TextTable:
    """The table as text, for LaTeX and Markdown.

    Args:
        table: the computed table.
        decimals: decimals of values, 3 or 4.
        differences: whether to show the difference to the baseline and its p-value beside each metric.
    """
    several = {tuple(g.seeds) for g in table.groups if g.kind != "oracle" and len(g.rows) > 1}
    with_seeds = len(several) > 1
    head = [table.noun.capitalize(), *(["Seeds"] if with_seeds else [])]
    for name in table.metrics:
        head += [column(name), *(["Δ", "p"] if differences and table.tests(name) else [])]
    rows, rules = [], set()
    for at, group in enumerate(table.groups):
        if group.kind == "oracle" and at and table.groups[at - 1].kind != "oracle":
            rules.add(at)
        cells = [Cell(group.label + ("†" if group.rows[0].key.beyond else ""))]
        cells += [Cell(", ".join(map(str, group.seeds)) if group.kind != "oracle" else "–")] if with_seeds else []
        for name in table.metrics:
            estimate = table.get(group, name)
            cells.append(_value_cell(estimate, name, decimals))
            if differences and table.tests(name):
                cells += _difference_cells(estimate, decimals)
        rows.append(cells)
    label = f"{table.dataset.name}-{table.key.split}"
    return TextTable(head, rows, caption(table, differences), label, comments(table), frozenset(rules))


def comments(table: ModelTable) -> list[str]:
    """Where the figures come from: checksums of data and split, and the runs."""
    lines = [f"Data {table.dataset.checksum}, split {table.key.split_checksum}. Runs:"]
    return lines + [f"{g.label}: {', '.join(str(row.trained or row.run.id) for row in g.rows)}" for g in table.groups]


def _value_cell(estimate: Estimate | None, metric: str, decimals: int) -> Cell:
    if estimate is None:
        return Cell("–")
    after = ""
    if estimate.half_width is not None:
        after = f"±\u00a0{estimate.half_width:.{decimals}f}"
    elif estimate.interval is not None:
        after = f"[{estimate.interval[0]:.{decimals}f}, {estimate.interval[1]:.{decimals}f}]"
    sign = estimate.sign(metric_of(metric).lower_is_better)
    return Cell(f"{estimate.value:.{decimals}f}", estimate.best, estimate.tied, sign, after)


def _difference_cells(estimate: Estimate | None, decimals: int) -> list[Cell]:
    pair = estimate.against if estimate is not None else None
    if pair is None:
        return [Cell("–"), Cell("–")]
    return [Cell(f"{pair['difference']:+.{decimals}f}".replace("-", "−")), Cell(p_in_words(pair["p_holm"]))]


def p_in_words(p: float) -> str:
    """A p-value with three decimals: ``0.012``, ``< 0.001``."""
    return "<\u00a00.001" if p < 0.001 else f"{p:.3f}"


def as_latex(table: ModelTable, decimals: int = 4, differences: bool = True) -> str:
    """The table as LaTeX (booktabs), with its full setup in the caption."""
    return text_table.as_latex(text_of(table, decimals, differences))


def as_markdown(table: ModelTable, decimals: int = 4, differences: bool = True) -> str:
    """The table as Markdown, with its full setup below."""
    return text_table.as_markdown(text_of(table, decimals, differences))


def as_csv(table: ModelTable) -> str:
    """CSV with one row for each model and metric, in full precision, with what identifies the results."""
    out = io.StringIO()
    write = csv_out.DictWriter(
        out,
        [
            "model", "metric", "value", "interval_low", "interval_high", "interval_kind", "seeds", "baseline",
            "difference", "difference_low", "difference_high", "p", "p_holm", "tests", "users", "best",
            "tied_with_best", "dataset", "data", "split", "split_seed", "split_checksum", "filter_from",
            "relevant_from", "protocol", "regime", "known", "beyond", "runs",
        ],
    )  # fmt: skip
    write.writeheader()
    for group in table.groups:
        for name in table.metrics:
            if (estimate := table.get(group, name)) is not None:
                write.writerow({**_identity(table, group), "metric": name, **_figures(table, estimate, name)})
    return out.getvalue()


def as_dict(table: ModelTable) -> dict[str, Any]:
    """The table as a dictionary for JSON: one entry for each model and metric, as in the CSV, and the caption."""
    rows = [
        {**_identity(table, group), "metric": name, **_figures(table, estimate, name)}
        for group in table.groups
        for name in table.metrics
        if (estimate := table.get(group, name)) is not None
    ]
    return {"caption": caption(table, False), "baseline": table.baseline, "rows": rows}


def _identity(table: ModelTable, group: ModelGroup) -> dict[str, Any]:
    key = group.rows[0].key
    return {
        "model": group.label, "seeds": " ".join(map(str, group.seeds)) if group.kind != "oracle" else "",
        "dataset": table.dataset.name, "data": table.dataset.checksum, "split": key.split,
        "split_seed": key.split_seed, "split_checksum": key.split_checksum, "filter_from": key.filter_from,
        "relevant_from": key.relevant_from, "protocol": key.protocol, "regime": key.regime, "known": key.known,
        "beyond": key.beyond, "runs": " ".join(str(row.trained or row.run.id) for row in group.rows),
    }  # fmt: skip


def _figures(table: ModelTable, estimate: Estimate, metric: str) -> dict[str, Any]:
    low, high = estimate.interval or (None, None)
    kind = "t over seeds" if estimate.seeds > 1 else "bootstrap over users" if estimate.interval else ""
    found = {
        "value": estimate.value, "interval_low": low, "interval_high": high, "interval_kind": kind,
        "best": estimate.best, "tied_with_best": estimate.tied,
    }  # fmt: skip
    if (pair := estimate.against) is None:
        return found
    return found | {
        "baseline": table.baseline, "difference": pair["difference"], "difference_low": pair["interval"][0],
        "difference_high": pair["interval"][1], "p": pair["p"], "p_holm": pair["p_holm"],
        "tests": table.tests(metric), "users": pair["users"],
    }  # fmt: skip


# Seeds


def seed_text(table: ModelTable, metric: str, decimals: int = 4) -> TextTable:
    """One metric of each model under each training seed, with mean, standard deviation and t interval."""
    seeds = sorted({seed for g in table.groups if g.kind != "oracle" for seed in g.seeds})
    head = ["Model", *(f"Seed {seed}" for seed in seeds), "Mean", "SD", "95% interval"]
    rows = []
    for group in table.groups:
        by_seed = _values_by_seed(group, metric)
        estimate = table.get(group, metric)
        if group.kind == "oracle" or estimate is None:
            continue
        each = [f"{by_seed[seed]:.{decimals}f}" if seed in by_seed else "–" for seed in seeds]
        spread = f"{np.std([*by_seed.values()], ddof=1):.{decimals}f}" if len(by_seed) > 1 else "–"
        low, high = estimate.interval or (None, None)
        within = f"[{low:.{decimals}f}, {high:.{decimals}f}]" if len(by_seed) > 1 and low is not None else "–"
        mean = f"{estimate.value:.{decimals}f}"
        rows.append([Cell(text) for text in (group.label, *each, mean, spread, within)])
    words = (
        f"{column(metric)} by training seed. {setup_in_words(table.dataset, table.key, table.among_cold)} "
        "SD: standard deviation over seeds. Interval: 95% t interval of the mean over seeds on the same test rows; it "
        "shows how much training runs differ, not how much users do."
    )
    return TextTable(head, rows, words, f"{table.dataset.name}-{table.key.split}-seeds", comments(table))


def seed_csv(table: ModelTable) -> str:
    """CSV with one row for each model, metric and training seed."""
    out = io.StringIO()
    write = csv_out.DictWriter(
        out,
        ["model", "metric", "seed", "value", "run", "dataset", "split", "split_seed", "split_checksum", "protocol",
         "regime", "known"],
    )  # fmt: skip
    write.writeheader()
    for group in table.groups:
        for name in table.metrics:
            for row in group.rows:
                if (value := row.result["metrics"].get(name)) is None or group.kind == "oracle":
                    continue
                own = {"metric": name, "seed": row.result.get("seed") or 0, "value": value, "run": row.trained}
                write.writerow({**_identity(table, group), **own})
    return out.getvalue()


def _values_by_seed(group: ModelGroup, metric: str) -> dict[int, float]:
    return {
        int(row.result.get("seed") or 0): float(value)
        for row in group.rows
        if (value := row.result["metrics"].get(metric)) is not None
    }


FORMATS: Mapping[str, Callable[[ModelTable, int, bool], str]] = {
    "tex": as_latex,
    "csv": lambda table, decimals, differences: as_csv(table),
    "md": as_markdown,
}
"""Writers by file ending; each takes the table, the decimals and whether differences are shown."""


def seed_export(table: ModelTable, ending: str, decimals: int = 4) -> str:
    """The seed table by file ending: every metric in CSV, one LaTeX or Markdown table for each metric."""
    if ending == "csv":
        return seed_csv(table)
    write = text_table.as_latex if ending == "tex" else text_table.as_markdown
    return "\n".join(write(seed_text(table, metric, decimals)) for metric in table.metrics)
