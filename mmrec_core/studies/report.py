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

FEWEST = 5
"""Below so many people who prefer one model, only counts are reported."""


def table(study: Study, records: Sequence[Record]) -> str:
    """One row per person as CSV: what they compared, every answer, and whether they count."""
    ids = [q.id for q in study.definition.questions]
    head = ["participant", "first", "second", "seconds", "films_rated", *ids]
    if study.definition.layout == INTERLEAVED:
        head += ["credit_first", "credit_second"]
    out = io.StringIO()
    rows = csv_out.Writer(out)
    rows.writerow([*head, "excluded"])
    for r in records:
        own = [r.number + 1, r.first, r.second, "" if r.seconds is None else f"{r.seconds:.1f}", r.rated]
        own += [r.answers.get(q, "") for q in ids]
        if study.definition.layout == INTERLEAVED:
            own += [sum(r.teams[place] == team for place in set(r.chosen)) for team in (0, 1)]
        rows.writerow([*own, outcome.excluded(study.definition, r) or ""])
    return out.getvalue()


def exclusions(study: Study, records: Sequence[Record]) -> Counter[str]:
    """How many do not count, by reason."""
    return Counter(why for r in records if (why := outcome.excluded(study.definition, r)))


def asked(study: Study, question: str) -> str:
    """The question of a finding as people read it."""
    if question == outcome.CHOSEN:
        return "Whose films would they watch?"
    return next((q.text for q in study.definition.questions if q.id == question), question)


def sentence(found: Finding) -> str:
    """A finding in one sentence."""
    own = found.preference
    if not own.a + own.b + own.neither:
        return "no answers yet."
    split = f"{own.a} prefer {found.a}, {own.b} prefer {found.b}, {own.neither} see no difference."
    if own.share is None or own.interval is None or own.p is None:
        return split
    if own.a + own.b < FEWEST:
        return f"{split} Too few to say more."
    low, high = own.interval
    said = "a difference" if own.p < 0.05 else "no difference is shown"
    share = f"{found.a} has {own.share:.0%} [{low:.0%}, {high:.0%}] of those who prefer one"
    return f"{split} {share}, {p_value(own.p)}: {said}."


def printable(study: Study, records: Sequence[Record]) -> str:
    """A report as an HTML page to print."""
    own = study.definition
    parts = [
        f"<li>{html.escape(asked(study, f.question))} {html.escape(sentence(f))}</li>"
        for f in outcome.findings(own, records)
    ]
    left_out = [f"<li>{n}: {html.escape(why)}</li>" for why, n in exclusions(study, records).most_common()]
    every = [f"<li><b>{html.escape(q.id)}</b>: {html.escape(q.text)}</li>" for q in own.questions]
    day = time.strftime("%d %B %Y", time.localtime(study.created))
    kept = len(records) - sum(exclusions(study, records).values())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(own.title)}</title>"
        f"<style>{STYLE}</style><h1>{html.escape(own.title)}</h1><p>{day}. Dataset {html.escape(own.dataset)}, models"
        f" {html.escape(', '.join(own.models))}, lists {own.layout}, {own.list_length} films, after"
        f" {own.films_to_rate} ratings. {len(records)} people came, {kept} count.</p><h2>Findings</h2>"
        f"<ul>{''.join(parts)}</ul><p>Sign test with mid-p values; brackets are 95 % Wilson intervals.</p>"
        f"<h2>Left out</h2><ul>{''.join(left_out) or '<li>nobody</li>'}</ul><h2>Questions</h2>"
        f"<ul>{''.join(every)}</ul></html>"
    )
