"""Rankings of a scorer under a protocol and a regime. Controls which events are visible at each query time.

There are three sets of rows. *Visible* rows are those of the split, without the rows that ``--filter-from`` dropped.
*Before* are the visible rows ahead of the evaluated part: with ``seen=hide`` a user's items in them are no candidates,
and relevant rows of such items are not evaluated, so that what is hidden depends on the history alone. *Streamed* rows
are those that a model observes one after another in the regime ``stream``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec_core.data.availability import exists_from
from mmrec_core.data.row_order import event_hash, id_hash, mixed, uniform
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.evaluation.sampled_negatives import draw_negatives
from mmrec_core.evaluation.tie_ranks import LOWEST, largest, rank_scores
from mmrec_core.types import Array, Dataset, History, Interactions, Progress, Query, Ranking, Split, blocks, quiet

STREAM_BLOCK, SAMPLED_BLOCK = 256, 200
"""Events of a stream that are ranked before the next ones are observed."""
BLOCK = 512
"""Users ranked at once."""
GPU_BLOCK, GPU_SCORES = 2048, 1 << 25
"""Users ranked at once on a GPU, and the most scores at once (128 MiB): larger blocks, because each ends in waiting."""


def _seed(*parts: int) -> int:
    """A number from 0 to 2⁶³ − 1 that depends on all ``parts``."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def history_of(events: Interactions, rows: Array) -> History:
    """Some rows of a table as one user's history."""
    pick: Callable[[Array | None], Array | None] = lambda column: None if column is None else np.asarray(column)[rows]
    items = np.asarray(events.need("item"))[rows].astype(np.int64)
    return History(items, pick(events.rating), pick(events.time))


def revealed(dataset: Dataset, split: Split, users: Array, reveal: int | None) -> list[History]:
    """Revealed history of each cold user: their first ``reveal`` ratings in time order; ``None``: all.

    Args:
        dataset: the dataset.
        split: a ``cold-user`` split.
        users: user rows ``[U]``.
        reveal: how many ratings of each user.

    Returns:
        One history per user.
    """
    events = dataset.interactions.take(split.revealed)
    own_user = np.asarray(events.need("user"))
    order = np.argsort(own_user, kind="stable")
    start, end = np.searchsorted(own_user[order], users), np.searchsorted(own_user[order], users, side="right")
    last = end if reveal is None else np.minimum(end, start + reveal)
    return [history_of(events, order[a:b]) for a, b in zip(start, last, strict=True)]


@dataclass(frozen=True)
class RankingOptions:
    """What is ranked, and what is known while it is ranked."""

    protocol: Protocol
    """Full ranking or sampled negatives."""
    relevance_threshold: float | None = None
    """Lowest rating that counts as relevant; ``None``: all."""
    part: str = "test"
    """Evaluated part of the split: ``test`` or ``validation``."""
    reveal: int | None = None
    """For ``cold-user`` splits, how many first ratings of each user are known; ``None``: all before the targets."""
    regime: str = "frozen"
    """``frozen`` or ``stream``. In a stream an item counts as seen from its first event on, and a repeated pair of user
    and item is evaluated at each of its events, not once."""
    progress: Progress = quiet
    """Called with the progress."""


class Ranker:
    """Ranks items with a scorer and gives the ranks of relevant items as :class:`Ranking`.

    Args:
        scorer: a model or oracle; ``None`` where only candidates are drawn.
        dataset: the dataset.
        split: its split.
        options: what is ranked.
    """

    def __init__(self, scorer: Any, dataset: Dataset, split: Split, options: RankingOptions) -> None:
        part, regime = options.part, options.regime
        self.scorer, self.dataset, self.split, self.part = scorer, dataset, split, part
        self.protocol, self.relevance_threshold = options.protocol.on(dataset), options.relevance_threshold
        self.reveal, self.progress = options.reveal, options.progress
        self.hides_seen = self.protocol.seen == "hide"
        self.n_items = len(dataset.items)
        events = dataset.interactions
        self.user, self.item = np.asarray(events.need("user")), np.asarray(events.need("item"))
        self.rating = None if events.rating is None else np.asarray(events.rating)
        self.time = None if events.time is None else np.asarray(events.time)
        before = [split.train] if part == "validation" else [split.train, split.validation]
        self.before = np.concatenate([*before, self.revealed_rows()])
        """Rows whose items the user has seen before the evaluated part."""
        self.known = self.before
        """Rows that the scorer knows; set by the evaluation, for groups by length of history."""
        visible = [*before, split.validation] if part == "validation" else [*before, split.test, split.revealed]
        self.visible = np.unique(np.concatenate(visible))
        self.left_out: dict[str, int] = {}
        """Number of relevant rows that are not evaluated, by reason."""
        self.exists = exists_from(dataset) if self.protocol.existing else None
        self.rows = self._sample(self._unseen(self._relevant(getattr(split, part), regime), regime))
        self._leave_out_without_candidates()
        self.raw_scores: list[tuple[Array, Array]] = []
        """Scores of relevant rows ``[p]`` and of their candidates ``[p, n]``, if candidates are sampled."""
        self.first = np.zeros((0, 0), np.int64)
        """Top items of each user ``[U, K]``, best first, −1 where none is left; filled by :meth:`frozen` with ``keep``.
        """
        self.users, self.query = np.unique(self.user[self.rows], return_inverse=True)

    def revealed_rows(self) -> Array:
        """Revealed rows of cold users, at most ``reveal`` each."""
        rows = self.split.revealed
        if len(rows) and self.reveal is not None:  # in time order by user
            user = self.user[rows]
            rows = rows[np.arange(len(rows)) - np.searchsorted(user, user) < self.reveal]
        return rows

    def _relevant(self, rows: Array, regime: str) -> Array:
        """Relevant rows, ordered by user and time.

        Of a pair of user and item that repeats only the first row counts, because a ranking holds an item once. A
        stream evaluates each event, but equal events at the same time once.
        """
        if self.rating is not None and self.relevance_threshold is not None:
            rows = rows[self.rating[rows] >= self.relevance_threshold]
        if self.time is not None:
            rows = rows[np.argsort(self.time[rows], kind="stable")]
        rows = rows[np.argsort(self.user[rows], kind="stable")]
        pair = self._pair(rows)
        order = np.argsort(pair, kind="stable")  # by pair, within a pair by time
        repeated = pair[order][1:] == pair[order][:-1]
        if regime == "stream" and self.time is not None:
            repeated &= self.time[rows][order][1:] == self.time[rows][order][:-1]
        if repeated.any():
            self.left_out["same user and item as an earlier one"] = int(repeated.sum())
        return np.delete(rows, order[1:][repeated])

    def _pair(self, rows: Array) -> Array:
        """User and item of rows as one number."""
        return self.user[rows].astype(np.int64) * self.n_items + self.item[rows]

    def _unseen(self, rows: Array, regime: str) -> Array:
        """Rows of items that their user has not seen before, if seen items are hidden; else all rows."""
        if not self.hides_seen:
            return rows
        if regime == "stream" and self.time is not None:
            pair = self._pair(self.visible)
            order = np.lexsort((self.time[self.visible], pair))
            pairs, first = np.unique(pair[order], return_index=True)
            seen = self.time[self.visible][order][first][np.searchsorted(pairs, self._pair(rows))] < self.time[rows]
        else:
            seen = np.isin(self._pair(rows), self._pair(self.before))
        if seen.any():
            self.left_out["item met before"] = int(seen.sum())
        return rows[~seen]

    def _sample(self, rows: Array) -> Array:
        """The protocol's sample of rows or users: those with the lowest hash, so that other rows change it little."""
        split, protocol = self.split, self.protocol
        if protocol.of is not None and protocol.of < len(rows):
            order = np.argsort(event_hash(self.dataset, rows, _seed(split.seed, protocol.of, 5)), kind="stable")
            rows = rows[np.sort(order[: protocol.of])]
        users = np.unique(self.user[rows])
        if protocol.users is not None and protocol.users < len(users):
            salt = np.array([_seed(split.seed, protocol.users, 7)], np.uint64)
            order = np.argsort(mixed(id_hash(self.dataset.users)[users] ^ mixed(salt)), kind="stable")
            rows = rows[np.isin(self.user[rows], users[order[: protocol.users]])]
        return rows

    def _leave_out_without_candidates(self) -> None:
        """Leave out and count relevant rows without candidates, because their users have seen all items."""
        if self.protocol.negatives is None:
            return
        keep = np.ones(len(self.rows), bool)
        fewest = self.n_items if not self.protocol.by_popularity else len(np.unique(self.item[self.split.train]))
        users, start, n = np.unique(self.user[self.rows], return_index=True, return_counts=True)
        for user, a, b in zip(users.tolist(), start, start + n, strict=True):
            if self.exists is None and len(self._own(user)) < fewest:
                continue  # a user with fewer events than items has not seen all items
            free = self._free(user)
            keep[a:b] = [bool(self._pool(free, row).any()) for row in self.rows[a:b]]
        if not keep.all():
            self.left_out["no item left to draw"] = int((~keep).sum())
            self.rows = self.rows[keep]

    @cached_property
    def _by_user(self) -> tuple[Array, Array]:
        """Visible rows ordered by user, and the user of each."""
        order = self.visible[np.argsort(self.user[self.visible], kind="stable")]
        return order, self.user[order]

    def _own(self, user: int) -> Array:
        """Visible rows of a user."""
        order, sorted_user = self._by_user
        a, b = np.searchsorted(sorted_user, [user, user + 1])
        return order[a:b]

    def _free(self, user: int) -> Array:
        """bool ``[I]``: items that may be drawn as negatives for a user.

        Items of the user's events are left out. If seen items stay candidates, only the relevant items of the evaluated
        part are left out.
        """
        free = np.ones(self.n_items, bool)
        own = self._own(user)
        free[self.item[own if self.hides_seen else own[self._is_relevant[own]]]] = False
        if self.protocol.by_popularity:
            free &= self._counts > 0
        return free

    @cached_property
    def _is_relevant(self) -> Array:
        """bool ``[N]``: all relevant rows of the evaluated part, with repeated ones."""
        found = np.zeros(len(self.user), bool)
        found[getattr(self.split, self.part)] = True
        if self.rating is not None and self.relevance_threshold is not None:
            found &= self.rating >= self.relevance_threshold
        return found

    @cached_property
    def _counts(self) -> Array:
        """Training events of each item."""
        return np.bincount(self.item[self.split.train], minlength=self.n_items)

    def _pool(self, free: Array, row: int) -> Array:
        """bool ``[I]``: items that may be drawn for one row: with ``existing``, only items that existed at its time."""
        if self.exists is None or self.time is None:
            return free
        existing: Array = free & (self.exists <= self.time[row])
        return existing

    @property
    def moment(self) -> Array | None:
        """int64 ``[U]``: latest query time of each of :attr:`users` in seconds; ``None`` without times."""
        if self.time is None:
            return None
        latest = np.full(len(self.users), np.iinfo(np.int64).min)
        np.maximum.at(latest, self.query, self.time[self.rows])
        return latest

    def hidden_rows(self) -> Array:
        """Rows whose items are no candidates for their users: all rows before the evaluated part, or none."""
        return self.before if self.hides_seen else self.before[:0]

    def states(self, users: Array) -> Any:
        """Queries for the scorer: known users, or states folded in from revealed ratings."""
        if len(self.split.revealed):
            return self.scorer.fold_in(revealed(self.dataset, self.split, users, self.reveal))
        return Query(users)

    def frozen(self, cut: int | None, candidates: Array | None = None, keep: int = 0) -> Ranking:
        """One ranking per user with all relevant items of the evaluated part; in a sampled protocol one per relevant
        item.

        Args:
            cut: only ranks up to here are needed; ``None``: all.
            candidates: bool ``[I]``; ``None``: all items.
            keep: how many top items of each user go into :attr:`first`.
        """
        if self.protocol.shipped or self.protocol.negatives is not None:
            return self._sampled(BLOCK)
        on_gpu = getattr(getattr(self.scorer, "known_users", None), "is_cuda", False)
        # fold-in by gradient steps needs memory for all events of a block, so it keeps the small one
        large = on_gpu and not len(self.split.revealed)
        size = max(1, min(GPU_BLOCK, GPU_SCORES // self.n_items)) if large else BLOCK
        hidden = self.hidden_rows()
        hidden = hidden[np.argsort(self.user[hidden], kind="stable")]
        hidden_user = self.user[hidden]
        n_hidden = np.zeros(len(self.users), np.int64)
        moment = self.moment
        parts: list[tuple[Array, ...]] = []
        first: list[Array] = []
        excluded = None if candidates is None else torch.from_numpy(~candidates)
        for done in blocks(len(self.users), size):
            self.progress(done.start, len(self.users), "ranking")
            users = self.users[done]
            scores = self._scores(self.states(users), stay=True)
            a, b = np.searchsorted(hidden_user, [users[0], users[-1] + 1])
            own = np.searchsorted(users, hidden_user[a:b])
            mine = users[np.minimum(own, len(users) - 1)] == hidden_user[a:b]
            rows = own[mine]
            columns = self.item[hidden[a:b]][mine]
            if excluded is not None:
                scores[:, excluded.to(scores.device)] = LOWEST
            p, q = np.searchsorted(self.query, [done.start, done.stop])
            liked = (
                torch.from_numpy(self.query[p:q] - done.start),
                torch.from_numpy(self.item[self.rows[p:q]].astype(np.int64)),
            )
            if self.dataset.manifest["repeats"] == "allowed":  # an item seen twice is hidden once
                pairs = np.unique(rows.astype(np.int64) * self.n_items + columns)
                rows, columns = pairs // self.n_items, pairs % self.n_items
            if self.exists is not None and moment is not None:
                absent = self.exists[None] > moment[done][:, None]
                scores[torch.from_numpy(absent).to(scores.device)] = LOWEST
                existing = ~absent[rows, columns]  # an item that is hidden for two reasons counts once
                rows, columns = rows[existing], columns[existing]
                n_hidden[done] += (absent if candidates is None else absent & candidates).sum(1)
            counted = np.ones(len(rows)) if candidates is None else candidates[columns]
            n_hidden[done] += np.bincount(rows, weights=counted, minlength=len(users)).astype(np.int64)
            index = (torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(columns.astype(np.int64)))
            which, *ranks = rank_scores(scores, index, liked, cut)
            parts.append((which + p, *ranks))
            if keep:
                best, at = largest(scores, min(keep, self.n_items))
                first.append(torch.where(best > LOWEST, at, -1).cpu().numpy())
        self.first = np.concatenate(first) if first else self.first
        total = self.n_items if candidates is None else int(candidates.sum())
        return self._ranking(parts, self.query, total - n_hidden, cut)

    def _scores(self, query: Any, stay: bool = False) -> Tensor:
        """Scores ``[B, I]`` on the CPU; with ``stay``, on the GPU if they were computed there."""
        scores: Tensor = self.scorer.score_all(query).detach()
        scores = scores if stay and scores.is_cuda else scores.cpu()
        scores = scores if scores.dtype in {torch.float32, torch.float64} else scores.float()
        if bool(torch.isnan(scores).any()):
            raise MMRecError("The model scores films as NaN: its training diverged. Train it again with a smaller lr.")
        return scores.clamp_(min=LOWEST * 0.99)

    def _ranking(self, parts: list[tuple[Array, ...]], query: Array, n_candidates: Array, cut: int | None) -> Ranking:
        """Join blocks of ranks.

        Args:
            parts: blocks of what :func:`rank_scores` gives, with indices into :attr:`rows`.
            query: ranking of each relevant row.
            n_candidates: number of candidates of each ranking.
            cut: ranks are known up to here; ``None``: all.
        """
        empty = (np.zeros(0, np.int64),) * 4
        which, above, tied, tied_liked = (np.concatenate(p) for p in zip(*(parts or [empty]), strict=True))
        gain = np.ones(len(self.rows)) if self.rating is None else self.rating[self.rows].astype(np.float64)
        if self.rating is not None and self.dataset.scale is not None:
            gain = gain - min(self.dataset.scale[0], 0.0)  # gains below zero would let NDCG leave 0 to 1
        return Ranking(query, gain, which, above, tied, tied_liked, n_candidates, cut)

    def candidates(self) -> Array:
        """Negatives of each relevant row: item rows ``[rows, n]``, the same for all models.

        They are drawn with replacement, as in published code. If ``n`` reaches the number of a user's other items, each
        item comes once and −1 fills the row. The draw for a row depends on the split's seed, the ids and the time of
        the row and the items that may be drawn, not on which other rows are evaluated.

        Raises:
            MMRecError: the protocol is a full ranking, or no candidates were published with the split.
        """
        parts = list(self._drawn())
        return np.concatenate(parts) if parts else np.zeros((0, self.protocol.negatives or 0), np.int64)

    def _drawn(self) -> Iterator[Array]:
        """:meth:`candidates` user by user: ``[rows of the user, n]``."""
        if self.protocol.shipped:
            yield from self._shipped()
            return
        n = self.protocol.negatives
        if n is None:
            raise MMRecError("Protocol 'full' ranks every film; only sampled ones draw candidates.")
        seed = _seed(self.split.seed, n, self.protocol.by_popularity)
        keys = event_hash(self.dataset, self.rows, seed)
        by_id = np.argsort(self.dataset.items.raw, kind="stable")  # the draw must not depend on the catalog's order
        counts = self._counts if self.protocol.by_popularity else None
        bounds = np.searchsorted(self.query, np.arange(len(self.users) + 1))
        for at, user in enumerate(self.users):
            rows = self.rows[bounds[at] : bounds[at + 1]]
            drawn = np.empty((len(rows), n), np.int64)
            free = self._free(int(user))
            pool = by_id[free[by_id]]
            random = uniform(keys[bounds[at] : bounds[at + 1]], n)
            for index, row in enumerate(rows):
                if self.exists is not None:
                    allowed = self._pool(free, row)
                    pool = by_id[allowed[by_id]]
                drawn[index] = draw_negatives(pool, random[index], counts)
            yield drawn

    def _shipped(self) -> Iterator[Array]:
        """Candidates that were published with the split."""
        name = self.split.strategy.removeprefix("folds:")
        drawn = self.dataset.candidates(name) if self.part == "test" else None
        if drawn is None:
            raise MMRecError(
                "Protocol 'shipped' needs candidates that were published with the split; "
                f"'{self.split.strategy}' has none. Use full or sampled:N."
            )
        official = self.dataset.official(name)
        assert official is not None  # candidates are stored with their split
        position = np.searchsorted(official[2], self.rows)  # among the published test rows, before any filter
        bounds = np.searchsorted(self.query, np.arange(len(self.users) + 1))
        for at in range(len(self.users)):
            yield np.asarray(drawn[position[bounds[at] : bounds[at + 1]]]).astype(np.int64)

    def _sampled(self, size: int) -> Ranking:
        """Rank each relevant item among its own negatives, ``size`` users at once."""
        drawn = self._drawn()
        n_candidates = np.zeros(len(self.rows), np.int64)
        parts: list[tuple[Array, ...]] = []
        for done in blocks(len(self.users), size):
            self.progress(done.start, len(self.users), "ranking")
            scores = self._scores(self.states(self.users[done]))
            p, q = np.searchsorted(self.query, [done.start, done.stop])
            theirs = np.concatenate([next(drawn) for _ in range(done.stop - done.start)])
            row = torch.from_numpy(self.query[p:q] - done.start)
            mine = scores[row, torch.from_numpy(self.item[self.rows[p:q]].astype(np.int64))]
            others = scores[row[:, None], torch.from_numpy(np.maximum(theirs, 0))]
            parts.append((np.arange(p, q), *self._among(mine, others, theirs >= 0)))
            n_candidates[p:q] = 1 + (theirs >= 0).sum(1)
        return self._ranking(parts, np.arange(len(self.rows)), n_candidates, None)

    def _among(self, mine: Tensor, theirs: Tensor, there: Array) -> tuple[Array, Array, Array]:
        """Rank relevant items among sampled negatives.

        Args:
            mine: scores of relevant items ``[p]``.
            theirs: scores of their negatives ``[p, n]``.
            there: bool ``[p, n]``: which entries hold a negative.

        Returns:
            How many candidates score higher, how many score the same (the relevant item among them), and how many of
            those are relevant.
        """
        theirs = theirs.masked_fill(~torch.from_numpy(there), torch.nan)  # NaN is neither above nor equal
        self.raw_scores.append((mine.numpy(), theirs.numpy()))
        above, tied = (theirs > mine[:, None]).sum(1).numpy(), 1 + (theirs == mine[:, None]).sum(1).numpy()
        return above, tied, np.ones(len(mine), np.int64)

    def pairs(self) -> tuple[Array, Array]:
        """All scored pairs of a sampled protocol: 1 for the relevant item and 0 for negatives, and the score."""
        mine, theirs = (np.concatenate([part[at].ravel() for part in self.raw_scores]) for at in (0, 1))
        theirs = theirs[~np.isnan(theirs)]
        return np.concatenate([np.ones(len(mine)), np.zeros(len(theirs))]), np.concatenate([mine, theirs])

    def stream(self) -> Ranking:
        """One ranking per relevant test event with all earlier events known, which the model observes or folds in."""
        sampled = self.protocol.shipped or self.protocol.negatives is not None
        drawn = self.candidates() if sampled else None
        time_s = np.asarray(self.dataset.interactions.need("time"))
        in_time = np.argsort(time_s[self.rows], kind="stable")
        scored = self.rows[in_time]
        by_time = self.visible[np.argsort(time_s[self.visible], kind="stable")]
        by_user = by_time[np.argsort(self.user[by_time], kind="stable")]
        sorted_user = self.user[by_user]
        events = self.dataset.interactions
        streams = bool(getattr(self.scorer, "streams", False))
        # validation must not observe training rows that --fraction left out, nor test rows
        later = self.split.validation if self.part == "validation" else np.setdiff1d(by_time, self.split.train)
        later = later[np.argsort(time_s[later], kind="stable")]
        seen_until = 0
        parts: list[tuple[Array, ...]] = []
        n_candidates = np.full(len(scored), self.n_items if drawn is None else drawn.shape[1] + 1)
        for done in blocks(len(scored), STREAM_BLOCK if drawn is None else SAMPLED_BLOCK):
            self.progress(done.start, len(scored), "ranking the stream")
            rows = scored[done]
            if streams:  # within a block nothing later than its first event is observed
                upto = int(np.searchsorted(time_s[later], time_s[rows[0]]))
                self.scorer.observe(events.take(later[seen_until:upto]))
                seen_until = upto
            own = []
            for row in rows if drawn is None or not streams else ():
                a, b = np.searchsorted(sorted_user, [self.user[row], self.user[row] + 1])
                own.append(by_user[a:b][time_s[by_user[a:b]] < time_s[row]])
            relevant = torch.from_numpy(self.item[rows].astype(np.int64))
            if drawn is not None:
                theirs = drawn[in_time[done]]
                items = torch.cat([relevant[:, None], torch.from_numpy(np.maximum(theirs, 0))], 1)
                scores = self._pairs_at(rows, items, time_s, own)
                n_candidates[done] = 1 + (theirs >= 0).sum(1)
                parts.append((np.arange(done.start, done.stop), *self._among(scores[:, 0], scores[:, 1:], theirs >= 0)))
                continue
            query = Query(self.user[rows], time_s[rows])
            scores = self._scores(query if streams else self.scorer.fold_in([history_of(events, o) for o in own]))
            r = np.repeat(np.arange(len(own)), [len(o) for o in own]) if self.hides_seen else np.zeros(0, np.int64)
            c = self.item[np.concatenate(own)].astype(np.int64) if self.hides_seen else np.zeros(0, np.int64)
            r, c = np.divmod(np.unique(r * self.n_items + c), self.n_items)
            if self.exists is not None:
                absent = self.exists[None] > time_s[rows][:, None]
                absent[r, c] = True
                r, c = np.nonzero(absent)
            n_candidates[done] = self.n_items - np.bincount(r, minlength=len(rows))
            liked = (torch.arange(len(rows)), relevant)
            which, *ranks = rank_scores(scores, (torch.from_numpy(r), torch.from_numpy(c)), liked, None)
            parts.append((which + done.start, *ranks))
        self.rows = scored
        self.users, self.query = np.unique(self.user[scored], return_inverse=True)
        return self._ranking(parts, np.arange(len(scored)), n_candidates, None)

    def _pairs_at(self, rows: Array, items: Tensor, time_s: Array, own: list[Array]) -> Tensor:
        """Scores of candidate items at the time of each event.

        Args:
            rows: events ``[b]``.
            items: item rows ``[b, n]``.
            time_s: times of all rows in seconds.
            own: earlier rows of each event's user, for models that are not updated by events.

        Returns:
            Scores ``[b, n]``.

        Raises:
            MMRecError: a score is NaN.
        """
        if not getattr(self.scorer, "streams", False):
            events = self.dataset.interactions
            scores = self._scores(self.scorer.fold_in([history_of(events, o) for o in own]))
            return scores.gather(1, items)
        n = items.shape[1]
        at = np.repeat(time_s[rows], n)
        found: Tensor = self.scorer.score(np.repeat(self.user[rows], n), items.numpy().ravel(), at)[:, 0].view(-1, n)
        if bool(torch.isnan(found).any()):
            raise MMRecError("The model scores films as NaN: its training diverged. Train it again with a smaller lr.")
        return found
