"""Asks a scorer for rankings under a protocol and a regime; it alone decides what may be known when.

Three sets of rows are kept apart. *Visible* rows are those of the split: rows that ``--filter-from`` dropped are seen by
nobody. *Before* are the visible rows ahead of the evaluated part: with ``seen=hide`` a user's items in them are no candidates,
and relevant rows of such items are not asked about, so what is hidden depends on the history alone. *Streamed* rows are those
that a model observes one after another in the regime ``stream``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec_core import storage
from mmrec_core.data.availability import exists_from
from mmrec_core.data.row_order import event_hash, id_hash, mixed, uniform
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.evaluation.tie_ranks import LOWEST, largest, rank_scores
from mmrec_core.types import Array, Dataset, History, Interactions, Progress, Query, Ranking, Split, blocks, quiet

STREAM_BLOCK, SAMPLED_BLOCK = 256, 200
"""Events of a stream asked about before the next are observed."""
BLOCK = 512
"""Users ranked at once."""
GPU_BLOCK, GPU_SCORES = 2048, 1 << 25
"""The same on a GPU, where each block ends in waiting for it: so many users, or fewer, so that there are so many scores (128 MiB) at most."""


def _seed(*parts: int) -> int:
    """One number from 0 to 2⁶³ − 1 from several, each of which changes it."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def history_of(events: Interactions, rows: Array) -> History:
    """Some rows of a table as one user's history."""
    pick: Callable[[Array | None], Array | None] = lambda column: None if column is None else np.asarray(column)[rows]
    items = np.asarray(events.need("item"))[rows].astype(np.int64)
    return History(items, pick(events.rating), pick(events.time))


def revealed(dataset: Dataset, split: Split, users: Array, reveal: int | None) -> list[History]:
    """What each cold user has told so far: their first ``reveal`` ratings in time order."""
    events = dataset.interactions.take(split.revealed)
    own_user = np.asarray(events.need("user"))
    order = np.argsort(own_user, kind="stable")
    start, end = np.searchsorted(own_user[order], users), np.searchsorted(own_user[order], users, side="right")
    last = end if reveal is None else np.minimum(end, start + reveal)
    return [history_of(events, order[a:b]) for a, b in zip(start, last, strict=True)]


def export_candidates(
    dataset: Dataset,
    split: Split,
    protocol: str,
    folder: Path,
    relevant_from: float | None = None,
    regime: str = "frozen",
) -> dict[str, Any]:
    """Write what each relevant test row is ranked among as ``candidates.csv`` (row, user, item, candidates in raw ids) beside an exported split.

    Args:
        regime: ``frozen`` or ``stream``; where pairs of user and item come again they ask about different rows. A row that both ask
            about has the same candidates in both.

    Returns:
        ``protocol``, ``rows`` and a ``checksum`` of rows and candidates, which whoever is judged shares.

    Raises:
        MMRecError: the protocol draws no candidates.
    """
    import pandas as pd

    bar = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
    asked = Ranker(None, dataset, split, "test", Protocol.parse(protocol).on(dataset), bar, None, quiet, regime)
    drawn, raw = asked.candidates(), dataset.items.raw
    table = pd.DataFrame(
        {"row": asked.rows, "user": dataset.users.raw[asked.user[asked.rows]], "item": raw[asked.item[asked.rows]]}
    )
    table["candidates"] = [" ".join(map(str, raw[own[own >= 0]].tolist())) for own in drawn]
    told = {
        "protocol": asked.protocol.name(dataset), "regime": regime, "relevant_from": bar, "rows": len(drawn), "split": split.checksum,
        "checksum": storage.checksum(np.ascontiguousarray(asked.rows).tobytes(), np.ascontiguousarray(drawn).tobytes()),
    }  # fmt: skip
    table.to_csv(folder / "candidates.csv", index=False)
    storage.write_json(folder / "candidates.json", told)
    return told


class Ranker:
    """Asks a scorer for rankings and turns them into :class:`Ranking`.

    Args:
        protocol: with ``seen`` decided (:meth:`Protocol.on`).
        bar: ratings from here on are relevant; ``None``: all.
        reveal: for ``cold-user`` splits, how many first ratings of each user are known; ``None``: all before the targets.
        regime: ``frozen`` or ``stream``; decides by when an item must have been met to count as seen, and whether a pair of user and
            item that comes again in the evaluated part is asked about once or at each of its events.
    """

    def __init__(
        self, scorer: Any, dataset: Dataset, split: Split, part: str, protocol: Protocol, bar: float | None,
        reveal: int | None, progress: Progress, regime: str = "frozen",
    ) -> None:  # fmt: skip
        self.scorer, self.dataset, self.split, self.part = scorer, dataset, split, part
        self.protocol, self.bar, self.reveal, self.progress = protocol.on(dataset), bar, reveal, progress
        self.hides = self.protocol.seen == "hide"
        self.n_items = len(dataset.items)
        events = dataset.interactions
        self.user, self.item = np.asarray(events.need("user")), np.asarray(events.need("item"))
        self.rating = None if events.rating is None else np.asarray(events.rating)
        self.time = None if events.time is None else np.asarray(events.time)
        before = [split.train] if part == "validation" else [split.train, split.validation]
        self.before = np.concatenate([*before, self.revealed_rows()])
        """Rows whose items the user has met by the evaluated part."""
        self.known = self.before
        """Rows that the scorer knows of its users; set by evaluation, for groups by length of history."""
        visible = [*before, split.validation] if part == "validation" else [*before, split.test, split.revealed]
        self.visible = np.unique(np.concatenate(visible))
        self.left_out: dict[str, int] = {}
        """Relevant rows that were not asked about, by reason."""
        self.exists = exists_from(dataset) if self.protocol.existing else None
        self.rows = self._sample(self._unmet(self._relevant(getattr(split, part), regime), regime))
        self._leave_out_without_candidates()
        self.raw_scores: list[tuple[Array, Array]] = []
        """Of relevant rows ``[p]`` and their candidates ``[p, n]``, where candidates are sampled."""
        self.first = np.zeros((0, 0), np.int64)
        """What each user is shown first ``[U, K]``, best first, −1 where nothing is left; where :meth:`frozen` was asked to keep it."""
        self.users, self.query = np.unique(self.user[self.rows], return_inverse=True)

    def revealed_rows(self) -> Array:
        """What is revealed of cold users, at most ``reveal`` rows each."""
        shown = self.split.revealed
        if len(shown) and self.reveal is not None:  # in time order by user
            user = self.user[shown]
            shown = shown[np.arange(len(shown)) - np.searchsorted(user, user) < self.reveal]
        return shown

    def _relevant(self, rows: Array, regime: str) -> Array:
        """Relevant rows by user and time. Of a pair that comes again only the first, since a ranking holds an item once; a stream
        asks about each event, of equal ones at one moment once."""
        if self.rating is not None and self.bar is not None:
            rows = rows[self.rating[rows] >= self.bar]
        if self.time is not None:
            rows = rows[np.argsort(self.time[rows], kind="stable")]
        rows = rows[np.argsort(self.user[rows], kind="stable")]
        pair = self._pair(rows)
        order = np.argsort(pair, kind="stable")  # by pair, within it in time
        again = pair[order][1:] == pair[order][:-1]
        if regime == "stream" and self.time is not None:
            again &= self.time[rows][order][1:] == self.time[rows][order][:-1]
        if again.any():
            self.left_out["same user and item as an earlier one"] = int(again.sum())
        return np.delete(rows, order[1:][again])

    def _pair(self, rows: Array) -> Array:
        """User and item of rows as one number."""
        return self.user[rows].astype(np.int64) * self.n_items + self.item[rows]

    def _unmet(self, rows: Array, regime: str) -> Array:
        """Rows of items that their user has not met before, where items met before are hidden."""
        if not self.hides:
            return rows
        if regime == "stream" and self.time is not None:
            pair = self._pair(self.visible)
            order = np.lexsort((self.time[self.visible], pair))
            pairs, first = np.unique(pair[order], return_index=True)
            met = self.time[self.visible][order][first][np.searchsorted(pairs, self._pair(rows))] < self.time[rows]
        else:
            met = np.isin(self._pair(rows), self._pair(self.before))
        if met.any():
            self.left_out["item met before"] = int(met.sum())
        return rows[~met]

    def _sample(self, rows: Array) -> Array:
        """The rows that the protocol asks for: those of lowest hash, so that which other rows there are changes little."""
        split, protocol = self.split, self.protocol
        if protocol.of is not None and protocol.of < len(rows):
            lot = np.argsort(event_hash(self.dataset, rows, _seed(split.seed, protocol.of, 5)), kind="stable")
            rows = rows[np.sort(lot[: protocol.of])]
        people = np.unique(self.user[rows])
        if protocol.users is not None and protocol.users < len(people):
            salt = np.array([_seed(split.seed, protocol.users, 7)], np.uint64)
            lot = np.argsort(mixed(id_hash(self.dataset.users)[people] ^ mixed(salt)), kind="stable")
            rows = rows[np.isin(self.user[rows], people[lot[: protocol.users]])]
        return rows

    def _leave_out_without_candidates(self) -> None:
        """Leave out and count relevant rows for which no candidate could be drawn: their users have met every item."""
        if self.protocol.negatives is None:
            return
        keep = np.ones(len(self.rows), bool)
        fewest = self.n_items if not self.protocol.by_popularity else len(np.unique(self.item[self.split.train]))
        users, start, n = np.unique(self.user[self.rows], return_index=True, return_counts=True)
        for who, a, b in zip(users.tolist(), start, start + n, strict=True):
            if self.exists is None and len(self._own(who)) < fewest:
                continue  # whoever has fewer events than there are items has not met them all
            free = self._free(who)
            keep[a:b] = [bool(self._pool(free, row).any()) for row in self.rows[a:b]]
        if not keep.all():
            self.left_out["no item left to draw"] = int((~keep).sum())
            self.rows = self.rows[keep]

    @cached_property
    def _by_user(self) -> tuple[Array, Array]:
        """Visible rows by user and their users."""
        order = self.visible[np.argsort(self.user[self.visible], kind="stable")]
        return order, self.user[order]

    def _own(self, user: int) -> Array:
        """Visible rows of a user."""
        order, sorted_user = self._by_user
        a, b = np.searchsorted(sorted_user, [user, user + 1])
        return order[a:b]

    def _free(self, user: int) -> Array:
        """bool ``[I]``: items that may be drawn for a user. Hidden are those of any event of theirs; where items met before are
        allowed, only those that are relevant in the evaluated part, which are right answers."""
        free = np.ones(self.n_items, bool)
        own = self._own(user)
        free[self.item[own if self.hides else own[self._is_relevant[own]]]] = False
        if self.protocol.by_popularity:
            free &= self._counts > 0
        return free

    @cached_property
    def _is_relevant(self) -> Array:
        """bool ``[N]``: every relevant row of the evaluated part, repeats included."""
        found = np.zeros(len(self.user), bool)
        found[getattr(self.split, self.part)] = True
        if self.rating is not None and self.bar is not None:
            found &= self.rating >= self.bar
        return found

    @cached_property
    def _counts(self) -> Array:
        """Training events of each item."""
        return np.bincount(self.item[self.split.train], minlength=self.n_items)

    def _pool(self, free: Array, row: int) -> Array:
        """bool ``[I]``: candidates of one row: with ``existing``, items that existed at its moment."""
        if self.exists is None or self.time is None:
            return free
        there: Array = free & (self.exists <= self.time[row])
        return there

    @property
    def moment(self) -> Array | None:
        """int64 ``[U]``: the latest moment at which each of :attr:`users` is asked about; ``None`` without times."""
        if self.time is None:
            return None
        latest = np.full(len(self.users), np.iinfo(np.int64).min)
        np.maximum.at(latest, self.query, self.time[self.rows])
        return latest

    def hidden_rows(self) -> Array:
        """Rows whose items are no candidates for their users: everything before the evaluated part, or none."""
        return self.before if self.hides else self.before[:0]

    def states(self, users: Array) -> Any:
        """What to ask about: known users, or states folded in from what is revealed."""
        if len(self.split.revealed):
            return self.scorer.fold_in(revealed(self.dataset, self.split, users, self.reveal))
        return Query(users)

    def frozen(self, cut: int | None, candidates: Array | None = None, keep: int = 0) -> Ranking:
        """One ranking per user, all liked films of the part in it; the ``keep`` best films of each go into :attr:`first`."""
        if self.protocol.shipped or self.protocol.negatives is not None:
            return self._sampled(BLOCK)
        on_gpu = getattr(getattr(self.scorer, "known_users", None), "is_cuda", False)
        large = on_gpu and not len(
            self.split.revealed
        )  # folding in by gradient steps needs memory for every event of a block
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
            if self.dataset.manifest["repeats"] == "allowed":  # an item met twice is hidden once
                pairs = np.unique(rows.astype(np.int64) * self.n_items + columns)
                rows, columns = pairs // self.n_items, pairs % self.n_items
            if self.exists is not None and moment is not None:
                absent = self.exists[None] > moment[done][:, None]
                scores[torch.from_numpy(absent).to(scores.device)] = LOWEST
                shown = ~absent[rows, columns]  # what is hidden counts once
                rows, columns = rows[shown], columns[shown]
                n_hidden[done] += (absent if candidates is None else absent & candidates).sum(1)
            counted = np.ones(len(rows)) if candidates is None else candidates[columns]
            n_hidden[done] += np.bincount(rows, weights=counted, minlength=len(users)).astype(np.int64)
            index = (torch.from_numpy(rows.astype(np.int64)), torch.from_numpy(columns.astype(np.int64)))
            which, *places = rank_scores(scores, index, liked, cut)
            parts.append((which + p, *places))
            if keep:
                best, at = largest(scores, min(keep, self.n_items))
                first.append(torch.where(best > LOWEST, at, -1).cpu().numpy())
        self.first = np.concatenate(first) if first else self.first
        total = self.n_items if candidates is None else int(candidates.sum())
        return self._ranking(parts, self.query, total - n_hidden, cut)

    def _scores(self, asked: Any, stay: bool = False) -> Tensor:
        """``[B, I]`` on the CPU; with ``stay``, on the GPU if they were made there."""
        scores: Tensor = self.scorer.score_all(asked).detach()
        scores = scores if stay and scores.is_cuda else scores.cpu()
        scores = scores if scores.dtype in {torch.float32, torch.float64} else scores.float()
        if bool(torch.isnan(scores).any()):
            raise MMRecError("The model scores films as NaN: its training diverged. Train it again with a smaller lr.")
        return scores.clamp_(min=LOWEST * 0.99)

    def _ranking(self, parts: list[tuple[Array, ...]], query: Array, n_candidates: Array, cut: int | None) -> Ranking:
        empty = (np.zeros(0, np.int64),) * 4
        which, above, tied, tied_liked = (np.concatenate(p) for p in zip(*(parts or [empty]), strict=True))
        gain = np.ones(len(self.rows)) if self.rating is None else self.rating[self.rows].astype(np.float64)
        if self.rating is not None and self.dataset.scale is not None:
            gain = gain - min(self.dataset.scale[0], 0.0)  # gains below zero would let NDCG leave 0 to 1
        return Ranking(query, gain, which, above, tied, tied_liked, n_candidates, cut)

    def candidates(self) -> Array:
        """Item rows ``[rows, n]`` that each liked row is ranked among; a function of the split and its seed, not of who is judged.

        Drawn with replacement, as published code does; where ``n`` reaches all of a user's other items each comes once, and −1 fills the
        row. What is drawn for a row depends on the split's seed, the ids and the time of the row and the items that may be drawn, not on
        which other rows are asked about.

        Raises:
            MMRecError: the protocol ranks every item, or the split's makers drew none.
        """
        parts = list(self._drawn())
        return np.concatenate(parts) if parts else np.zeros((0, self.protocol.negatives or 0), np.int64)

    def _drawn(self) -> Iterator[Array]:
        """The same, user by user ``[own rows, n]``."""
        if self.protocol.shipped:
            yield from self._shipped()
            return
        n = self.protocol.negatives
        if n is None:
            raise MMRecError("Protocol 'full' ranks every film; only sampled ones draw candidates.")
        seed = _seed(self.split.seed, n, self.protocol.by_popularity)
        keys = event_hash(self.dataset, self.rows, seed)
        by_id = np.argsort(self.dataset.items.raw, kind="stable")  # the order of the catalog must not matter
        counts = self._counts.astype(float)
        bounds = np.searchsorted(self.query, np.arange(len(self.users) + 1))
        for at, user in enumerate(self.users):
            rows = self.rows[bounds[at] : bounds[at + 1]]
            drawn = np.full((len(rows), n), -1, np.int64)
            free = self._free(int(user))
            pool = by_id[free[by_id]]
            chance = uniform(keys[bounds[at] : bounds[at + 1]], n)
            for place, row in enumerate(rows):
                if self.exists is not None:
                    there = self._pool(free, row)
                    pool = by_id[there[by_id]]
                if n >= len(pool):
                    drawn[place, : len(pool)] = pool
                elif self.protocol.by_popularity:
                    upto = np.cumsum(counts[pool])
                    drawn[place] = pool[np.searchsorted(upto, chance[place] * upto[-1], side="right")]
                else:
                    drawn[place] = pool[(chance[place] * len(pool)).astype(np.int64)]
            yield drawn

    def _shipped(self) -> Iterator[Array]:
        """Candidates that the split's makers drew."""
        name = self.split.strategy.removeprefix("folds:")
        drawn = self.dataset.candidates(name) if self.part == "test" else None
        if drawn is None:
            raise MMRecError(
                f"Protocol 'shipped' needs candidates drawn by a split's makers; '{self.split.strategy}' brings none. Use full or sampled:N."
            )
        official = self.dataset.official(name)
        assert official is not None  # candidates are stored with their split
        place = np.searchsorted(official[1], self.rows)  # of the makers' own test rows, whatever was dropped since
        bounds = np.searchsorted(self.query, np.arange(len(self.users) + 1))
        for at in range(len(self.users)):
            yield np.asarray(drawn[place[bounds[at] : bounds[at + 1]]]).astype(np.int64)

    def _sampled(self, size: int) -> Ranking:
        """Each liked film against its own candidates."""
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
            beside = scores[row[:, None], torch.from_numpy(np.maximum(theirs, 0))]
            parts.append((np.arange(p, q), *self._among(mine, beside, theirs >= 0)))
            n_candidates[p:q] = 1 + (theirs >= 0).sum(1)
        return self._ranking(parts, np.arange(len(self.rows)), n_candidates, None)

    def _among(self, mine: Tensor, theirs: Tensor, there: Array) -> tuple[Array, Array, Array]:
        """How many candidates ``[p, n]``, as far as they are ``there``, score above and the same as each liked film ``[p]``, itself included, and how many
        of these are liked."""
        theirs = theirs.masked_fill(~torch.from_numpy(there), torch.nan)  # neither above nor the same
        self.raw_scores.append((mine.numpy(), theirs.numpy()))
        above, tied = (theirs > mine[:, None]).sum(1).numpy(), 1 + (theirs == mine[:, None]).sum(1).numpy()
        return above, tied, np.ones(len(mine), np.int64)

    def pairs(self) -> tuple[Array, Array]:
        """Every scored (event, film) of a sampled protocol at once: 1 where it is the liked one, and its score."""
        mine, theirs = (np.concatenate([part[at].ravel() for part in self.raw_scores]) for at in (0, 1))
        theirs = theirs[~np.isnan(theirs)]
        return np.concatenate([np.ones(len(mine)), np.zeros(len(theirs))]), np.concatenate([mine, theirs])

    def stream(self) -> Ranking:
        """One ranking per liked test event, everything before it known: by observing, else by folding in anew."""
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
        # rows that a fraction of training leaves out must not come back while it is validated, nor test rows come in
        later = self.split.validation if self.part == "validation" else np.setdiff1d(by_time, self.split.train)
        later = later[np.argsort(time_s[later], kind="stable")]
        seen_until = 0
        parts: list[tuple[Array, ...]] = []
        n_candidates = np.full(len(scored), self.n_items if drawn is None else drawn.shape[1] + 1)
        for done in blocks(len(scored), STREAM_BLOCK if drawn is None else SAMPLED_BLOCK):
            self.progress(done.start, len(scored), "ranking the stream")
            asked = scored[done]
            if streams:  # within a block nothing later than its first event is observed
                upto = int(np.searchsorted(time_s[later], time_s[asked[0]]))
                self.scorer.observe(events.take(later[seen_until:upto]))
                seen_until = upto
            own = []
            for row in asked if drawn is None or not streams else ():
                a, b = np.searchsorted(sorted_user, [self.user[row], self.user[row] + 1])
                own.append(by_user[a:b][time_s[by_user[a:b]] < time_s[row]])
            wanted = torch.from_numpy(self.item[asked].astype(np.int64))
            if drawn is not None:
                theirs = drawn[in_time[done]]
                films = torch.cat([wanted[:, None], torch.from_numpy(np.maximum(theirs, 0))], 1)
                found = self._pairs_at(asked, films, time_s, own)
                n_candidates[done] = 1 + (theirs >= 0).sum(1)
                parts.append((np.arange(done.start, done.stop), *self._among(found[:, 0], found[:, 1:], theirs >= 0)))
                continue
            known = Query(self.user[asked], time_s[asked])
            scores = self._scores(known if streams else self.scorer.fold_in([history_of(events, o) for o in own]))
            r = np.repeat(np.arange(len(own)), [len(o) for o in own]) if self.hides else np.zeros(0, np.int64)
            c = self.item[np.concatenate(own)].astype(np.int64) if self.hides else np.zeros(0, np.int64)
            r, c = np.divmod(np.unique(r * self.n_items + c), self.n_items)
            if self.exists is not None:
                absent = self.exists[None] > time_s[asked][:, None]
                absent[r, c] = True
                r, c = np.nonzero(absent)
            n_candidates[done] = self.n_items - np.bincount(r, minlength=len(asked))
            liked = (torch.arange(len(asked)), wanted)
            which, *places = rank_scores(scores, (torch.from_numpy(r), torch.from_numpy(c)), liked, None)
            parts.append((which + done.start, *places))
        self.rows = scored
        self.users, self.query = np.unique(self.user[scored], return_inverse=True)
        return self._ranking(parts, np.arange(len(scored)), n_candidates, None)

    def _pairs_at(self, asked: Array, films: Tensor, time_s: Array, own: list[Array]) -> Tensor:
        """Scores ``[b, n]`` of films at the very moments of events; a user is looked at once for all of an event's films."""
        if not getattr(self.scorer, "streams", False):
            events = self.dataset.interactions
            scores = self._scores(self.scorer.fold_in([history_of(events, o) for o in own]))
            return scores.gather(1, films)
        n = films.shape[1]
        at = np.repeat(time_s[asked], n)
        found: Tensor = self.scorer.score(np.repeat(self.user[asked], n), films.numpy().ravel(), at)[:, 0].view(-1, n)
        if bool(torch.isnan(found).any()):
            raise MMRecError("The model scores films as NaN: its training diverged. Train it again with a smaller lr.")
        return found
