"""Evaluation against brute force: masks, thresholds, protocols, regimes, groups, intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.candidate_export import export_candidates
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.evaluation.ranker import Ranker, RankingOptions
from mmrec_core.evaluation.subgroups import prior_counts, row_groups
from mmrec_core.evaluation.tie_ranks import largest
from mmrec_core.stats import mean_intervals, paired
from mmrec_core.types import Dataset, Head, Interactions, Query, Split


class Fixed:
    """A scorer whose scores are a given table."""

    def __init__(self, table: np.ndarray, kind: str = "ranking") -> None:
        self.table, self.kind = torch.tensor(table, dtype=torch.float32), kind

    def scorer_heads(self) -> tuple[Head, ...]:
        return (Head("x", self.kind),)  # type: ignore[arg-type]

    def score_rows(self, rows: Interactions) -> torch.Tensor:
        return self.table[np.asarray(rows.user).astype(int), np.asarray(rows.item).astype(int)][:, None]

    def score_all(self, query: Query) -> torch.Tensor:
        return self.table[torch.from_numpy(np.asarray(query.user, np.int64))].clone()


@pytest.fixture(scope="module")
def split(demo: Dataset) -> Split:
    return make_split(demo)


@pytest.fixture(scope="module")
def table(demo: Dataset) -> np.ndarray:
    return np.random.default_rng(0).random((len(demo.users), len(demo.items)))


def test_ndcg_and_recall_equal_a_ten_line_loop(demo: Dataset, split: Split, table: np.ndarray) -> None:
    found = evaluate(Fixed(table), demo, split, groups=False, intervals=False)
    events = demo.interactions
    user, item, rating = (np.asarray(c) for c in (events.user, events.item, events.rating))
    before = np.concatenate([split.train, split.validation])
    ndcg, recall, mrr = [], [], []
    for u in range(len(demo.users)):
        test = split.test[user[split.test] == u]
        liked = set(item[test][rating[test] >= 3.5].tolist())
        if not liked:
            continue
        seen = set(item[before[user[before] == u]].tolist())
        order = [i for i in np.argsort(-table[u].astype(np.float32), kind="stable") if i not in seen]
        hits = np.array([i in liked for i in order])
        discount = 1 / np.log2(np.arange(2, 12))
        ndcg.append((hits[:10] * discount).sum() / discount[: min(10, len(liked))].sum())
        recall.append(hits[:10].sum() / len(liked))
        mrr.append(1 / (np.flatnonzero(hits)[0] + 1))
    assert found.metrics["ndcg@10"] == pytest.approx(np.mean(ndcg), abs=1e-9)
    assert found.metrics["recall@10"] == pytest.approx(np.mean(recall), abs=1e-9)
    assert found.metrics["mrr"] == pytest.approx(np.mean(mrr), abs=1e-9)
    assert len(found.queries) == len(ndcg)


def test_among_some_films_only(demo: Dataset, split: Split, table: np.ndarray) -> None:
    """Ranking among some films is ranking all, the others far below."""
    some = np.arange(0, len(demo.items), 3)
    below = table - 10
    below[:, some] += 10
    liked = np.isin(np.asarray(demo.interactions.item)[split.test], some)
    part = replace(split, test=split.test[liked])
    among = evaluate(Fixed(table), demo, part, among=some, only=["ndcg@10", "mrr"], groups=False, intervals=False)
    whole = evaluate(Fixed(below), demo, part, only=["ndcg@10", "mrr"], groups=False, intervals=False)
    assert among.metrics == pytest.approx(whole.metrics)


def test_the_fast_path_and_the_whole_ranking_agree(demo: Dataset, split: Split, table: np.ndarray) -> None:
    rough = np.round(table * 40) / 40  # many ties
    fast = evaluate(Fixed(rough), demo, split, only=["ndcg@10", "hr@10"], groups=False, intervals=False)
    whole = evaluate(Fixed(rough), demo, split, only=["ndcg@10", "hr@10", "mrr"], groups=False, intervals=False)
    for name in ("ndcg@10", "hr@10"):
        assert fast.metrics[name] == pytest.approx(whole.metrics[name], abs=1e-12)


def test_a_constant_scorer_scores_chance_under_every_protocol(demo: Dataset, split: Split) -> None:
    constant = Fixed(np.zeros((len(demo.users), len(demo.items))))
    for protocol in ("full", "sampled:100", "sampled:1", "sampled:20:popularity"):
        found = evaluate(constant, demo, split, protocol=protocol, groups=False, intervals=False)
        assert found.metrics["auc"] == pytest.approx(0.5)
    one = evaluate(constant, demo, split, protocol="sampled:1", groups=False, intervals=False)
    assert one.metrics["mrr"] == pytest.approx(0.75)


def test_sampled_candidates_are_the_same_for_every_scorer(demo: Dataset, split: Split, table: np.ndarray) -> None:
    first = evaluate(Fixed(table), demo, split, protocol="sampled:50", groups=False, intervals=False)
    mirrored = evaluate(Fixed(-table), demo, split, protocol="sampled:50", groups=False, intervals=False)
    assert first.metrics["auc"] + mirrored.metrics["auc"] == pytest.approx(1.0)  # type: ignore[operator]


def test_rmse_is_over_all_rows_and_clear_of_batches(demo: Dataset, split: Split) -> None:
    guess = np.full((len(demo.users), len(demo.items)), 3.0)
    found = evaluate(Fixed(guess, "rating"), demo, split, only=["rmse"], groups=True)
    rating = np.asarray(demo.interactions.rating)[split.test]
    assert found.metrics["rmse"] == pytest.approx(np.sqrt(np.mean((rating - 3.0) ** 2)), abs=1e-6)
    low, high = found.intervals["rmse"]  # type: ignore[misc]
    assert low < found.metrics["rmse"] < high  # type: ignore[operator]
    known, new = (
        found.groups.get("transductive (user and film known)", {}),
        found.groups.get("inductive (user or film new)", {}),
    )
    assert known.get("rows", 0) + new.get("rows", 0) == len(split.test)


def test_nan_scores_are_refused(demo: Dataset, split: Split, table: np.ndarray) -> None:
    broken = table.copy()
    broken[:, 3] = np.nan
    with pytest.raises(MMRecError, match="NaN"):
        evaluate(Fixed(broken), demo, split)
    with pytest.raises(MMRecError, match="NaN"):
        evaluate(Fixed(broken * np.nan, "rating"), demo, split)


@pytest.mark.parametrize("protocol", ["half", "sampled", "sampled:0", "sampled:x", "sampled:10:alphabet"])
def test_unknown_protocols_are_refused(demo: Dataset, split: Split, table: np.ndarray, protocol: str) -> None:
    with pytest.raises(MMRecError, match="Known: full"):
        evaluate(Fixed(table), demo, split, protocol=protocol)


def test_prior_counts_are_strictly_before(demo: Dataset, split: Split) -> None:
    events = demo.interactions
    user, item, time = np.asarray(events.user), np.asarray(events.item), np.asarray(events.time)
    rows = split.test[::97]
    by_user, by_item = prior_counts(demo, split, rows)
    for at, row in enumerate(rows):
        assert by_user[at] == ((user == user[row]) & (time < time[row])).sum()
        assert by_item[at] == ((item == item[row]) & (time < time[row])).sum()
    bins = [
        m
        for name, m in row_groups(demo, split, split.test).items()
        if name.startswith("user with") and name.endswith("by then")
    ]
    assert (np.sum(bins, axis=0) == 1).all()


def test_intervals_cover_and_shrink() -> None:
    rng = np.random.default_rng(0)
    wide = mean_intervals(rng.normal(0.3, 1, (100, 1)))[0]
    narrow = mean_intervals(rng.normal(0.3, 1, (10_000, 1)))[0]
    assert wide[0] < 0.3 < wide[1] and narrow[0] < 0.33 and narrow[1] - narrow[0] < (wide[1] - wide[0]) / 5


def test_paired_differences_count_wins_and_exclude_strangers() -> None:
    a, b = {1: 0.5, 2: 0.4, 3: 0.3, 9: 1.0}, {1: 0.4, 2: 0.4, 3: 0.5, 8: 0.0}
    found = paired(a, b)
    assert (found["wins"], found["ties"], found["losses"], found["users"]) == (1, 1, 1, 3)
    assert found["difference"] == pytest.approx(-0.1 / 3)
    with pytest.raises(MMRecError):
        paired({1: 1.0}, {2: 1.0})


def test_stream_lets_popularity_count_what_came_before(demo: Dataset) -> None:
    from mmrec_core.training.fit import fit

    split = make_split(demo, "chronological:70-15-15")
    model = fit("popularity", demo, split).model
    before = model.snapshot()
    frozen = evaluate(model, demo, split, groups=False, intervals=False)
    stream = evaluate(model, demo, split, regime="stream", groups=False, intervals=False)
    again = evaluate(model, demo, split, regime="stream", groups=False, intervals=False)
    assert stream.metrics == again.metrics
    assert all(torch.equal(before[k], v) for k, v in model.snapshot().items())
    assert stream.metrics["ndcg@10"] != frozen.metrics["ndcg@10"]


def test_cold_users_are_judged_by_what_is_revealed(demo: Dataset) -> None:
    from mmrec_core.training.fit import fit

    split = make_split(demo, "cold-user")
    model = fit("ease", demo, split).model
    none, many = (
        evaluate(model, demo, split, reveal=k, groups=False, intervals=False).metrics["ndcg@10"] for k in (0, 20)
    )
    assert many > none  # type: ignore[operator]


def test_a_perfect_scorer_is_perfect_even_where_films_repeat(home: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{u},{i},{rng.integers(6, 11) / 2},{t}" for u in range(12) for t, i in enumerate(rng.integers(0, 9, 40))]
    (tmp_path / "r.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines))
    preparation.prepare(
        "csv", source=tmp_path / "r.csv", name="again", options={"scale": "0.5:5", "repeats": "allowed"}
    )
    dataset = preparation.open_dataset("again")
    split = make_split(dataset)
    table = np.zeros((len(dataset.users), len(dataset.items)))
    rows = dataset.interactions.take(split.test)
    liked = np.asarray(rows.rating) >= 3.5
    table[np.asarray(rows.user)[liked], np.asarray(rows.item)[liked]] = 1.0
    found = evaluate(Fixed(table), dataset, split, groups=False, intervals=False).metrics
    assert found["ndcg@10"] == found["ap"] == found["recall@10"] == pytest.approx(1.0)
    assert found["auc"] is None or found["auc"] == pytest.approx(1.0)


def test_cold_user_validation_judges_known_users(demo: Dataset) -> None:
    from mmrec_core.data.splits import with_validation
    from mmrec_core.training.fit import fit

    split = with_validation(make_split(demo, "cold-user"))
    model = fit("bpr", demo, split, options={"max_epochs": 3}).model
    known = evaluate(model, demo, split, part="validation", only=["ndcg@10"], groups=False, intervals=False).metrics
    plain = Split("", 0, split.train, split.validation, split.test)
    assert (
        known
        == evaluate(model, demo, plain, part="validation", only=["ndcg@10"], groups=False, intervals=False).metrics
    )


class Streaming(Fixed):
    """The same scorer with ``observe``, which keeps only the latest event."""

    streams = True
    known_until = -1

    def snapshot(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, snapshot: dict[str, torch.Tensor]) -> None:
        self.known_until = -1

    def observe(self, events: Interactions) -> None:
        if len(events):
            self.known_until = max(self.known_until, int(np.asarray(events.time).max()))

    def score(self, users: np.ndarray, items: np.ndarray, at: np.ndarray) -> torch.Tensor:
        assert self.known_until < int(at.min())
        return self.table[torch.from_numpy(users.astype(np.int64)), torch.from_numpy(items)][:, None]


def test_a_stream_asks_for_the_same_candidates_at_their_moment(demo: Dataset, split: Split, table: np.ndarray) -> None:
    """A scorer that makes nothing of events fares alike in both regimes; what it was told is older than what it is
    asked."""
    frozen = evaluate(Fixed(table), demo, split, protocol="sampled:10", groups=False, intervals=False).metrics
    stream = evaluate(
        Streaming(table), demo, split, protocol="sampled:10", regime="stream", groups=False, intervals=False
    ).metrics
    assert set(frozen) == set(stream) >= {"ndcg@10", "ndcg@20", "recall@20", "pooled_ap", "pooled_auc"}
    for name, value in frozen.items():
        assert stream[name] == pytest.approx(value, abs=1e-12), name


def test_a_memory_is_not_asked_about_its_past(demo: Dataset, split: Split, table: np.ndarray) -> None:
    """A model of events in time is refused in ``stream`` if training continues after the first test event."""
    scorer = Streaming(table)
    scorer.needs = frozenset({"ids", "time"})  # type: ignore[attr-defined]
    with pytest.raises(MMRecError, match="contain the future"):
        evaluate(scorer, demo, split, regime="stream")
    evaluate(scorer, demo, make_split(demo, "chronological:70-15-15"), regime="stream", groups=False, intervals=False)


def test_pooled_figures_and_the_one_negative_identity(demo: Dataset, split: Split, table: np.ndarray) -> None:
    """Pooled AUC of an oracle that knows what is liked is 1; with one negative MRR is (1 + AUC) / 2, ties included."""
    rough = np.round(table * 5)
    found = evaluate(Fixed(rough), demo, split, protocol="sampled:1", groups=False, intervals=False).metrics
    assert found["mrr"] is not None and found["auc"] is not None
    assert found["mrr"] == pytest.approx((1 + found["auc"]) / 2, abs=1e-9)
    assert found["pooled_auc"] == pytest.approx(0.5, abs=0.03) and found["pooled_ap"] == pytest.approx(0.5, abs=0.03)
    user, item = (np.asarray(c)[split.test] for c in (demo.interactions.user, demo.interactions.item))
    knowing = np.zeros_like(table)
    knowing[user, item] = 1
    best = evaluate(Fixed(knowing), demo, split, protocol="sampled:1", groups=False, intervals=False).metrics
    assert best["pooled_auc"] == best["pooled_ap"] == 1


def test_a_sample_of_rows_is_a_part_of_the_whole(
    demo: Dataset, split: Split, table: np.ndarray, tmp_path: Path
) -> None:
    """``of=…`` asks for so many liked rows, the same for every scorer, and events' groups sum to them."""
    options = RankingOptions(Protocol.parse("sampled:10:of=300"), demo.manifest["relevant_from"])
    some = Ranker(Fixed(table), demo, split, options)
    other = Ranker(Fixed(-table), demo, split, options)
    assert len(some.rows) == 300 and np.array_equal(some.candidates(), other.candidates())
    events = demo.interactions
    met = set(zip(np.asarray(events.user).tolist(), np.asarray(events.item).tolist(), strict=True))
    drawn = some.candidates()
    assert not any((int(some.user[row]), int(i)) in met for row, own in zip(some.rows, drawn, strict=True) for i in own)
    manifests = [export_candidates(demo, split, "sampled:10:of=300", tmp_path) for _ in range(2)]
    assert manifests[0] == manifests[1] and manifests[0]["rows"] == 300
    written = pd.read_csv(tmp_path / "candidates.csv")
    own = [demo.items.rows(np.array(c.split(), dtype=np.int64)) for c in written["candidates"].astype(str)]
    assert np.array_equal(np.stack(own), drawn) and written["row"].tolist() == some.rows.tolist()
    groups = evaluate(Fixed(table), demo, split, protocol="sampled:10:of=300", intervals=False).groups
    known = [g["films"] for name, g in groups.items() if name.startswith("film with") and name.endswith("by then")]
    assert sum(known) == 300 == sum(g["films"] for n, g in groups.items() if n.startswith(("transd", "induct")))


@pytest.mark.parametrize("width", [40, 2816, 3706, 9742])
def test_the_largest_are_those_of_topk(width: int) -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(9, width, generator=draw)
    for mine, theirs in zip(largest(scores, 11), torch.topk(scores, 11, dim=1), strict=True):
        assert torch.equal(mine, theirs)
    tied = torch.randint(0, 3, (9, width), generator=draw).float()
    best, column = largest(tied, 11)
    assert torch.equal(best, torch.topk(tied, 11, dim=1).values) and torch.equal(tied.gather(1, column), best)
    assert all(len(set(row)) == 11 for row in column.tolist())
