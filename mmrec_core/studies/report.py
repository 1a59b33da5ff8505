"""What a study found, to take away: one row per person as CSV, and a report to print. Without names or addresses."""

from __future__ import annotations

import html
import io
import time
from collections import Counter
from collections.abc import Sequence

from mmrec_core import csv_out
from mmrec_core.stats import p_value
from mmrec_core.studies import outcome
from mmrec_core.studies.definition import INTERLEAVED
from mmrec_core.studies.outcome import Finding, Record
from mmrec_core.studies.store import Study

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222;"
    "background:#fff}"
)


def table(study: Study, records: Sequence[Record]) -> str:
    """One row per person as CSV: what they compared, every answer, and whether they count."""
    asked = [q.id for q in study.definition.questions]
    head = ["participant", "first", "second", "seconds", "films_rated", *asked]
    if study.definition.layout == INTERLEAVED:
        head += ["credit_first", "credit_second"]
    out = io.StringIO()
    rows = csv_out.Writer(out)
    rows.writerow([*head, "excluded"])
    for r in records:
        own = [r.number + 1, r.first, r.second, "" if r.seconds is None else f"{r.seconds:.1f}", r.rated]
        own += [r.answers.get(q, "") for q in asked]
        if study.definition.layout == INTERLEAVED:
            own += [sum(r.teams[place] == team for place in set(r.chosen)) for team in (0, 1)]
        rows.writerow([*own, outcome.excluded(study.definition, r) or ""])
    return out.getvalue()


def exclusions(study: Study, records: Sequence[Record]) -> Counter[str]:
    """How many do not count, by reason."""
    return Counter(why for r in records if (why := outcome.excluded(study.definition, r)))


def sentence(found: Finding) -> str:
    """A finding in one sentence."""
    own = found.preference
    if own.share is None or own.interval is None or own.p is None:
        return f"Nobody preferred {found.a} or {found.b} yet."
    low, high = own.interval
    n = own.a + own.b
    counts = f"{own.a} of {n} who chose preferred {found.a} to {found.b}: {own.share:.0%} [{low:.0%}, {high:.0%}]"
    said = "a difference" if own.p < 0.05 else "no difference is shown"
    return f"{counts}, {p_value(own.p)}: {said}. {own.neither} saw none."


def printable(study: Study, records: Sequence[Record]) -> str:
    """A report as an HTML page to print."""
    own = study.definition
    parts = [f"<li>{html.escape(f.question)}: {html.escape(sentence(f))}</li>" for f in outcome.findings(own, records)]
    left_out = [f"<li>{n}: {html.escape(why)}</li>" for why, n in exclusions(study, records).most_common()]
    asked = [f"<li><b>{html.escape(q.id)}</b>: {html.escape(q.text)}</li>" for q in own.questions]
    day = time.strftime("%d %B %Y", time.localtime(study.created))
    kept = len(records) - sum(exclusions(study, records).values())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(own.title)}</title>"
        f"<style>{STYLE}</style><h1>{html.escape(own.title)}</h1><p>{day}. Dataset {html.escape(own.dataset)}, models"
        f" {html.escape(', '.join(own.models))}, lists {own.layout}, {own.list_length} films, after"
        f" {own.films_to_rate} ratings. {len(records)} people came, {kept} count.</p><h2>Findings</h2>"
        f"<ul>{''.join(parts)}</ul><p>Sign test with mid-p values; brackets are 95 % Wilson intervals.</p>"
        f"<h2>Left out</h2><ul>{''.join(left_out) or '<li>nobody</li>'}</ul><h2>Questions</h2>"
        f"<ul>{''.join(asked)}</ul></html>"
    )
