"""Properties of evaluation over drawn data: every combination of split, protocol, regime, filter and threshold against
a slow reference.

``MMREC_EXAMPLES`` sets how many examples are drawn for each property (40 by default); the draws are the same in every
run.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mmrec_core.data import preparation, splits
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation import ranker
from mmrec_core.evaluation.candidate_export import export_candidates
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.evaluation.ranker import Ranker, RankingOptions
from mmrec_core.training.fit import fit, learned_rows
from mmrec_core.types import Dataset, Head, History, Interactions, Query, Split, UserState

EXAMPLES = int(os.environ.get("MMREC_EXAMPLES", "40"))
SPLITS = ("user-temporal", "random:60-20-20", "random-global:60-20-20", "chronological:60-20-20", "leave-one-out")
drawn = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@dataclass(frozen=True)
class World:
    """A drawn log: ``(user, item, rating, time)`` by raw ids, its rating scale, and whether pairs come again."""

    rows: tuple[tuple[int, int, int, int], ...]
    low: int
    repeats: bool


@st.composite
def worlds(draw: st.DrawFn, repeats: bool | None = None) -> World:
    """A few users and items with many ties in time."""
    again = draw(st.booleans()) if repeats is None else repeats
    low = draw(st.sampled_from([1, -2]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    users, items, n = draw(st.integers(3, 7)), draw(st.integers(6, 12)), draw(st.integers(30, 70))
    pairs = [(int(u), int(i)) for u, i in zip(rng.integers(0, users, n), rng.integers(0, items, n), strict=True)]
    pairs = pairs if again else list(dict.fromkeys(pairs))
    span = draw(st.sampled_from([5, 1000]))
    rows = [
        (10 + u, 100 + i, low + int(rng.integers(0, 5)), 1_000_000_000 + 86_400 * int(rng.integers(0, span)))
        for u, i in pairs
    ]
    return World(tuple(rows), low, again)


def prepared(world: World, folder: Path, name: str, order: Sequence[int] | None = None) -> Dataset:
    """The log as a prepared dataset, its rows in another order if one is given; items have release years."""
    rows = [world.rows[at] for at in order] if order is not None else list(world.rows)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("userId", "movieId", "rating", "timestamp"), *rows])
    items = sorted({row[1] for row in rows})
    with (folder / f"{name}-items.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("movieId", "title", "year"), *((i, f"Film {i}", 1999 + i % 5) for i in items)])
    options = {
        "scale": f"{world.low}:{world.low + 4}",
        "repeats": "allowed" if world.repeats else "refused",
        "items": f"{name}-items.csv",
    }
    preparation.prepare("csv", source=folder / f"{name}.csv", name=name, options=options)
    return preparation.open_dataset(name)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("drawn")
    monkeypatch.setenv("MMREC_HOME", str(folder / "home"))
    yield folder


class Table:
    """A scorer of a fixed table without ties; of a history, the sum of the rows of its items.

    It notes every event it is shown.
    """

    def __init__(self, n_users: int, n_items: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.by_user = rng.permutation(n_users * n_items).reshape(n_users, n_items).astype(np.float64)
        self.by_item = rng.random((n_items, n_items))
        self.shown: list[tuple[int, ...]] = []

    def scorer_heads(self) -> tuple[Head, ...]:
        return (Head("x", "ranking"),)

    def of(self, items: Sequence[int]) -> np.ndarray:
        """Scores ``[I]`` for a history."""
        return np.asarray(self.by_item[sorted(items)].sum(0) + np.arange(self.by_item.shape[1]) * 1e-6)

    def fold_in(self, histories: Sequence[History]) -> UserState:
        self.shown += [tuple(h.items.tolist()) for h in histories]
        table = np.stack([self.of(h.items.tolist()) for h in histories])
        return UserState({"scores": torch.from_numpy(table)}, ("folded",) * len(histories))

    def score_all(self, query: Any) -> torch.Tensor:
        if isinstance(query, Query):
            return torch.from_numpy(self.by_user[np.asarray(query.user)].copy())
        return query.tensors["scores"].clone()  # type: ignore[no-any-return]


class Counting(Table):
    """A scorer with a memory: an item's events so far; what it observes is noted by moment."""

    streams = True

    def __init__(self, n_users: int, n_items: int, seed: int, start: np.ndarray) -> None:
        super().__init__(n_users, n_items, seed)
        self.start, self.counts = start.astype(np.float64), start.astype(np.float64)
        self.seen: list[tuple[int, int]] = []

    def snapshot(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, snapshot: dict[str, torch.Tensor]) -> None:
        self.counts = self.start.copy()

    def observe(self, events: Interactions) -> None:
        self.seen += list(zip(np.asarray(events.item).tolist(), np.asarray(events.time).tolist(), strict=True))
        self.counts = self.counts + np.bincount(np.asarray(events.item), minlength=len(self.counts))

    def score_all(self, query: Any) -> torch.Tensor:
        return torch.from_numpy(np.tile(self.counts + np.arange(len(self.counts)) * 1e-3, (len(query.user), 1)))

    def score(self, users: np.ndarray, items: np.ndarray, at: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((self.counts + np.arange(len(self.counts)) * 1e-3)[items])[:, None]


# The slow reference


def years_from(dataset: Dataset) -> list[float]:
    """When each item existed: the start of its year or its first event."""
    events = dataset.interactions
    pairs = list(zip(events.need("item"), events.need("time"), strict=True))
    first = [min((int(t) for i, t in pairs if i == at), default=float("inf"))
             for at in range(len(dataset.items))]  # fmt: skip
    start = [np.datetime64(f"{int(y)}-01-01").astype("datetime64[s]").astype(int) for y in dataset.catalog["year"]]
    return [min(a, b) for a, b in zip(first, start, strict=True)]


def measures(ranked: list[int], liked: set[int]) -> tuple[float, float, float]:
    """NDCG@10, recall@10 and reciprocal rank of one list without ties."""
    hits = [1.0 if i in liked else 0.0 for i in ranked]
    gain = sum(h / np.log2(at + 2) for at, h in enumerate(hits[:10]))
    best = sum(1 / np.log2(at + 2) for at in range(min(10, len(liked))))
    first = next(at for at, h in enumerate(hits) if h)
    return gain / best, sum(hits[:10]) / len(liked), 1 / (first + 1)


def reference(
    scorer: Table, dataset: Dataset, split: Split, protocol: Protocol, threshold: float | None, regime: str,
    candidates: dict[int, list[int]] | None,
) -> dict[int, tuple[float, float, float]]:  # fmt: skip
    """Per-user measures by loops over events, one question at a time."""
    events = dataset.interactions
    user, item, time, rating = (np.asarray(events.need(c)).tolist() for c in ("user", "item", "time", "rating"))
    visible = sorted({*split.train.tolist(), *split.validation.tolist(), *split.test.tolist()})
    before = {*split.train.tolist(), *split.validation.tolist()}
    exists = years_from(dataset) if protocol.existing else [float("-inf")] * len(dataset.items)
    evaluated: dict[tuple[int, ...], int] = {}
    for row in sorted(split.test.tolist(), key=lambda r: (time[r], r)):
        # a ranking holds an item once; a stream evaluates each event
        if threshold is None or rating[row] >= threshold:
            evaluated.setdefault((user[row], item[row], *([time[row]] if regime == "stream" else [])), row)

    def known(row: int) -> list[int]:
        if regime == "stream":
            return [r for r in visible if user[r] == user[row] and time[r] < time[row]]
        return [r for r in before if user[r] == user[row]]

    hides = protocol.seen == "hide"
    kept = [row for row in evaluated.values() if not (hides and item[row] in {item[r] for r in known(row)})]
    single = regime == "stream" or candidates is not None
    groups = (
        [[row] for row in kept]
        if single
        else [[r for r in kept if user[r] == u] for u in sorted({user[r] for r in kept})]
    )
    found: dict[int, list[tuple[float, float, float]]] = {}
    for rows in groups:
        own, moment = rows[0], max(time[r] for r in rows)
        seen = {item[r] for r in known(own)} if hides else set()
        liked = {item[r] for r in rows}
        if regime == "stream":
            scores = scorer.of([item[r] for r in known(own)])
        else:
            scores = scorer.by_user[user[own]]
        if candidates is not None:
            if own not in candidates:
                continue
            among = [item[own], *candidates[own]]
        else:
            among = [i for i in range(len(dataset.items)) if i in liked or (i not in seen and exists[i] <= moment)]
        ranked = sorted(among, key=lambda i: -scores[i])
        found.setdefault(user[own], []).append(measures(ranked, liked))
    return {u: tuple(np.mean(values, 0).tolist()) for u, values in found.items()}


OPTIONS = st.fixed_dictionaries(
    {
        "split": st.sampled_from(SPLITS),
        "seed": st.integers(0, 3),
        "filtered": st.booleans(),
        "bar": st.sampled_from([None, 0, 1, 3]),
        "seen": st.sampled_from([None, "hide", "allow"]),
        "existing": st.booleans(),
        "regime": st.sampled_from(["frozen", "stream"]),
        "kind": st.sampled_from(["full", "full", "sampled:3", "sampled:40", "sampled:3:popularity", "shipped"]),
    }
)


def choose(dataset: Dataset, how: dict[str, Any]) -> tuple[Split, Protocol, float | None, float | None] | None:
    """What a drawn combination asks for; ``None`` where the data have no such split."""
    words = (
        [how["kind"]]
        + [f"seen={how['seen']}"] * (how["seen"] is not None)
        + ["existing"] * (how["existing"] and how["kind"] != "shipped")
    )
    protocol = Protocol.parse(":".join(words)).on(dataset)
    low = dataset.scale[0] if dataset.scale else 0
    dropped = low + 1 if how["filtered"] else None
    name = how["split"]
    if how["kind"] == "shipped":
        official(dataset, how["seed"])
        name = "folds:mine"
    try:
        split = make_split(dataset, name, how["seed"], dropped, how["bar"])
    except MMRecError:
        return None
    return split, protocol, how["bar"] if how["bar"] is not None else dropped, dropped


def official(dataset: Dataset, seed: int) -> None:
    """A split of the makers with four candidates for each of its test rows."""
    rng, n = np.random.default_rng(seed), len(dataset.interactions)
    test = np.sort(rng.permutation(n)[: n // 3])
    item = np.asarray(dataset.interactions.need("item"))
    among = np.stack([rng.permutation(np.setdiff1d(np.arange(len(dataset.items)), item[[row]]))[:4] for row in test])
    folder = dataset.folder / "official"
    for part, rows in (("train", np.setdiff1d(np.arange(n), test)), ("test", test)):
        np.save(folder / f"mine.{part}.npy", rows)
    np.save(folder / "mine.candidates.npy", among.astype(np.int32))


@drawn
@given(world=worlds(), how=OPTIONS, seed=st.integers(0, 1000))
def test_every_combination_equals_the_slow_reference(place: Path, world: World, how: dict[str, Any], seed: int) -> None:
    dataset = prepared(world, place, "drawn")
    found = choose(dataset, how)
    if found is None:
        return
    split, protocol, threshold, _ = found
    scorer = Table(len(dataset.users), len(dataset.items), seed)
    threshold = threshold if threshold is not None else dataset.manifest["relevant_from"]
    drawing = Ranker(scorer, dataset, split, RankingOptions(protocol, threshold, regime=how["regime"]))
    candidates = None
    if how["kind"] != "full":
        candidates = {
            int(row): own[own >= 0].tolist() for row, own in zip(drawing.rows, drawing.candidates(), strict=True)
        }
    result = evaluate(
        scorer,
        dataset,
        split,
        protocol=protocol.name(),
        regime=how["regime"],
        relevant_from=threshold,  # type: ignore[arg-type]
        only=["ndcg@10", "recall@10", "mrr"],
        groups=False,
        intervals=False,
    )
    expected = reference(scorer, dataset, split, protocol, threshold, how["regime"], candidates)
    relevant = int((np.asarray(dataset.interactions.need("rating"))[split.test] >= threshold).sum())
    assert len(drawing.rows) + sum(result.left_out.values()) == relevant  # rows that are not evaluated are counted
    assert result.queries.tolist() == sorted(expected)
    for at, metric in enumerate(("ndcg@10", "recall@10", "mrr")):
        assert result.per_query.get(metric, np.zeros(0)).tolist() == pytest.approx(
            [expected[u][at] for u in sorted(expected)], abs=1e-9
        )


@drawn
@given(world=worlds(), how=OPTIONS)
def test_candidates_are_each_rows_own_and_hide_by_history_alone(place: Path, world: World, how: dict[str, Any]) -> None:
    """Shipped candidates are those of the makers' row; drawn ones are never an item of the user's, or where items met
    before are allowed never a right answer; what is exported is what is ranked."""
    dataset = prepared(world, place, "drawn")
    if how["kind"] == "full" or (found := choose(dataset, how)) is None:
        return
    split, protocol, threshold, _ = found
    threshold = threshold if threshold is not None else dataset.manifest["relevant_from"]
    other_regime = "stream" if how["regime"] == "frozen" else "frozen"
    drawing = Ranker(None, dataset, split, RankingOptions(protocol, threshold, regime=how["regime"]))
    other = Ranker(None, dataset, split, RankingOptions(protocol, threshold, regime=other_regime))
    user, item, rating, time = (np.asarray(dataset.interactions.need(c)) for c in ("user", "item", "rating", "time"))
    visible = np.concatenate([split.train, split.validation, split.test])
    drawn_rows = drawing.candidates()
    theirs = dict(zip(other.rows.tolist(), other.candidates().tolist(), strict=True))
    for row, own in zip(drawing.rows.tolist(), drawn_rows.tolist(), strict=True):
        assert theirs.get(row, own) == own  # a row's candidates do not depend on which other rows are evaluated
    if how["kind"] == "shipped":
        makers, test = dataset.candidates("mine"), dataset.official("mine")
        assert makers is not None and test is not None
        by_row = dict(zip(test[2].tolist(), makers.tolist(), strict=True))
        assert [by_row[r] for r in drawing.rows.tolist()] == drawn_rows.tolist()
        return
    for row, own in zip(drawing.rows, drawn_rows, strict=True):
        own = own[own >= 0]
        assert len(own)
        mine = visible[user[visible] == user[row]]
        right = mine[np.isin(mine, split.test) & (rating[mine] >= threshold)]
        assert not np.isin(own, item[mine if protocol.seen == "hide" else right]).any()
        if protocol.existing:
            exists = years_from(dataset)
            assert all(exists[i] <= time[row] for i in own)
    (place / "out").mkdir(exist_ok=True)
    if len(drawing.rows):
        export_candidates(dataset, split, protocol.name(), place / "out", threshold, how["regime"])
        with (place / "out" / "candidates.csv").open() as file:
            written = [[int(v) for v in line["candidates"].split()] for line in csv.DictReader(file)]
        assert written == [dataset.items.raw[own[own >= 0]].tolist() for own in drawn_rows]


@drawn
@given(world=worlds(), how=OPTIONS)
def test_dropped_rows_are_seen_by_nobody(place: Path, world: World, how: dict[str, Any]) -> None:
    """Neither observed, nor folded in, nor in a group, nor evaluated."""
    dataset = prepared(world, place, "drawn")
    found = choose(dataset, {**how, "filtered": True, "regime": "stream", "kind": "full"})
    if found is None:
        return
    split, protocol, threshold, dropped = found
    assert dropped is not None
    n = len(dataset.items)
    item, time, rating = (np.asarray(dataset.interactions.need(c)) for c in ("item", "time", "rating"))
    allowed = sorted(zip(item[rating >= dropped].tolist(), time[rating >= dropped].tolist(), strict=True))
    counting = Counting(len(dataset.users), n, 0, np.bincount(item[split.train], minlength=n))
    result = evaluate(counting, dataset, split, protocol=protocol.name(), regime="stream", relevant_from=threshold)  # type: ignore[arg-type]
    remaining = list(allowed)
    for event in counting.seen:  # at most as often as it was kept
        assert event in remaining
        remaining.remove(event)
    folding = Table(len(dataset.users), n, 0)
    evaluate(
        folding, dataset, split, protocol=protocol.name(), regime="stream", relevant_from=threshold, intervals=False
    )  # type: ignore[arg-type]
    kept = {i for i, _ in allowed}
    assert all(i in kept for history in folding.shown for i in history)
    if result.groups:
        by_then = [
            g.get("films", 0)
            for name, g in result.groups.items()
            if name.startswith("user with") and name.endswith("by then")
        ]
        assert sum(by_then) == sum(
            g.get("films", 0) for name, g in result.groups.items() if name.startswith(("transd", "induct"))
        )


@drawn
@given(world=worlds(), seed=st.integers(0, 5), split_name=st.sampled_from(SPLITS))
def test_a_stream_of_blocks_of_one_equals_a_loop(place: Path, world: World, seed: int, split_name: str) -> None:
    """A model with a memory, evaluated event by event, has observed exactly the events strictly before each one."""
    dataset = prepared(world, place, "drawn")
    split = make_split(dataset, split_name, seed)
    user, item, time, rating = (np.asarray(dataset.interactions.need(c)) for c in ("user", "item", "time", "rating"))
    threshold, n, hides = (
        dataset.manifest["relevant_from"],
        len(dataset.items),
        dataset.manifest["repeats"] == "refused",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranker, "STREAM_BLOCK", 1)
        scorer = Counting(len(dataset.users), n, 0, np.bincount(item[split.train], minlength=n))
        result = evaluate(scorer, dataset, split, regime="stream", only=["mrr"], groups=False, intervals=False)  # type: ignore[arg-type]
    evaluated: dict[tuple[int, int, int], int] = {}
    for row in sorted(split.test.tolist(), key=lambda r: (time[r], r)):
        if rating[row] >= threshold:
            evaluated.setdefault((int(user[row]), int(item[row]), int(time[row])), row)
    visible = np.concatenate([split.train, split.validation, split.test])
    found: dict[int, list[float]] = {}
    for row in evaluated.values():
        counts = np.bincount(item[split.train], minlength=n).astype(float)
        for other in np.setdiff1d(visible, split.train):
            counts[item[other]] += time[other] < time[row]
        mine = {int(item[r]) for r in visible if user[r] == user[row] and time[r] < time[row]} if hides else set()
        ranked = sorted((i for i in range(n) if i not in mine), key=lambda i: -(counts[i] + i * 1e-3))
        found.setdefault(int(user[row]), []).append(1 / (ranked.index(int(item[row])) + 1))
    assert result.queries.tolist() == sorted(found)
    assert result.per_query.get("mrr", np.zeros(0)).tolist() == pytest.approx(
        [np.mean(found[u]) for u in sorted(found)]
    )


@drawn
@given(world=worlds(), data=st.data())
def test_permuting_the_rows_of_the_file_changes_nothing(place: Path, world: World, data: st.DataObject) -> None:
    """Ids, stored columns, splits, sampled negatives and a model's metrics do not depend on the order of the file."""
    order = data.draw(st.permutations(range(len(world.rows))))
    one, other = prepared(world, place, "one"), prepared(world, place, "other", order)
    assert one.checksum == other.checksum
    assert one.manifest["ties"] == other.manifest["ties"]
    for name in (*SPLITS, "cold-item"):
        seed = data.draw(st.integers(0, 3))
        a, b = make_split(one, name, seed), make_split(other, name, seed)
        assert a.checksum == b.checksum, name
        assert np.array_equal(learned_rows(a, False, one), learned_rows(b, False, other))
        draws = [Ranker(None, d, s, RankingOptions(Protocol.parse("sampled:3"), 2)) for d, s in ((one, a), (other, b))]
        assert np.array_equal(draws[0].candidates(), draws[1].candidates())
    model = data.draw(st.sampled_from(["popularity", "markov", "itemknn"]))
    figures = []
    for dataset in (one, other):
        split = make_split(dataset, "leave-one-out")
        fitted = fit(model, dataset, split, relevant_from=world.low).model
        figures.append(evaluate(fitted, dataset, split, groups=False, intervals=False, relevant_from=world.low).metrics)
    assert figures[0] == figures[1]


@drawn
@given(world=worlds(), name=st.sampled_from(SPLITS), seed=st.integers(0, 3), refit=st.booleans(), data=st.data())
def test_every_model_learns_from_the_same_rows(
    place: Path, world: World, name: str, seed: int, refit: bool, data: st.DataObject
) -> None:
    """A closed form's counts are those of training rows, or of training and validation rows with ``refit``; a model
    that takes in events is shown validation rows only where they are known."""
    dataset = prepared(world, place, "drawn")
    split = make_split(dataset, data.draw(st.sampled_from([name, "cold-item"])), seed)
    rows = learned_rows(split, refit, dataset)
    item, rating = np.asarray(dataset.interactions.need("item")), np.asarray(dataset.interactions.need("rating"))
    try:
        counts = fit("itemknn", dataset, split, refit=refit).model.known_items[:-1].numpy()
    except MMRecError:
        assert not (rating[rows] >= dataset.manifest["relevant_from"]).any()
        return
    assert np.flatnonzero(counts).tolist() == np.unique(item[rows]).tolist()
    scorer = Counting(len(dataset.users), len(dataset.items), 0, np.zeros(len(dataset.items)))
    for known in ("training", "training + validation"):
        scorer.seen = []
        evaluate(scorer, dataset, split, known=known, groups=False, intervals=False)  # type: ignore[arg-type]
        expected = split.validation if known != "training" else split.validation[:0]
        assert sorted(i for i, _ in scorer.seen) == sorted(item[expected].tolist())


@drawn
@given(world=worlds(), name=st.sampled_from(SPLITS), seed=st.integers(0, 3), filtered=st.booleans())
def test_splits_divide_what_is_kept_and_keep_time(
    place: Path, world: World, name: str, seed: int, filtered: bool
) -> None:
    dataset = prepared(world, place, "drawn")
    dropped = world.low + 1 if filtered else None
    try:
        split = make_split(dataset, name, seed, dropped)
    except MMRecError:
        return
    user, time, rating = (np.asarray(dataset.interactions.need(c)) for c in ("user", "time", "rating"))
    together = np.concatenate([split.train, split.validation, split.test])
    kept = np.flatnonzero(rating >= dropped) if dropped is not None else np.arange(len(rating))
    assert sorted(together.tolist()) == kept.tolist()
    owners = [None] if name.startswith("chronological") else np.unique(user).tolist()
    if name.startswith(("chronological", "user-temporal", "leave-one-out")):
        for who in owners:
            parts = [time[p if who is None else p[user[p] == who]] for p in (split.train, split.validation, split.test)]
            filled = [p for p in parts if len(p)]
            assert all(a.max() <= b.min() for a, b in zip(filled, filled[1:], strict=False))
    cut = splits.with_validation(split, dataset=dataset)
    assert sorted([*cut.train, *cut.validation]) == sorted([*split.train, *split.validation])
