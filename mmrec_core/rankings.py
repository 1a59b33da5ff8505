"""Asks a scorer for rankings under a protocol and a regime; it alone decides what may be known when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmrec_core import storage
from mmrec_core.errors import MMRecError
from mmrec_core.protocols import Protocol
from mmrec_core.ranks import LOWEST, largest, rank_scores
from mmrec_core.types import Array, Dataset, History, Interactions, Progress, Query, Ranking, Split, blocks, quiet

STREAM_BLOCK, SAMPLED_BLOCK = 256, 200
"""Events of a stream asked about before the next are observed."""
BLOCK = 512
"""Users ranked at once."""
GPU_BLOCK, GPU_SCORES = 2048, 1 << 25
"""The same on a GPU, where each block ends in waiting for it: so many users, or fewer, so that there are so many scores (128 MiB) at most."""


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
    dataset: Dataset, split: Split, protocol: str, folder: Path, relevant_from: float | None = None
) -> dict[str, Any]:
    """Write what each liked test row is ranked among as ``candidates.csv`` (row, user, item, candidates in raw ids) beside an exported split.

    Returns:
        ``protocol``, ``rows`` and a ``checksum`` of rows and candidates, which whoever is judged shares.

    Raises:
        MMRecError: the protocol draws no candidates.
    """
    import pandas as pd

    bar = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
    asked = Ranker(None, dataset, split, "test", Protocol.parse(protocol), bar, None, quiet)
    drawn, raw = asked.candidates(), dataset.items.raw
    table = pd.DataFrame(
        {"row": asked.rows, "user": dataset.users.raw[asked.user[asked.rows]], "item": raw[asked.item[asked.rows]]}
    )
    table["candidates"] = [" ".join(map(str, raw[own[own >= 0]].tolist())) for own in drawn]
    told = {
        "protocol": protocol, "relevant_from": bar, "rows": len(drawn), "split": split.checksum,
        "checksum": storage.checksum(np.ascontiguousarray(asked.rows).tobytes(), np.ascontiguousarray(drawn).tobytes()),
    }  # fmt: skip
    table.to_csv(folder / "candidates.csv", index=False)
    storage.write_json(folder / "candidates.json", told)
    return told


class Ranker:
    """Asks a scorer for rankings and turns them into :class:`Ranking`."""

    def __init__(
        self, scorer: Any, dataset: Dataset, split: Split, part: str, protocol: Protocol, bar: float | None,
        reveal: int | None, progress: Progress,
    ) -> None:  # fmt: skip
        self.scorer, self.dataset, self.split, self.part = scorer, dataset, split, part
        self.protocol, self.bar, self.reveal, self.progress = protocol, bar, reveal, progress
        self.n_items = len(dataset.items)
        events = dataset.interactions
        self.user, self.item = np.asarray(events.need("user")), np.asarray(events.need("item"))
        self.rating = None if events.rating is None else np.asarray(events.rating)
        before = [split.train] if part == "validation" else [split.train, split.validation]
        self.before = np.concatenate(before)
        rows = getattr(split, part)
        if self.rating is not None and bar is not None:
            rows = rows[self.rating[rows] >= bar]
        if events.time is not None:  # of a pair that comes again, the first meeting is asked about
            rows = rows[np.argsort(np.asarray(events.time)[rows], kind="stable")]
        rows = rows[np.argsort(self.user[rows], kind="stable")]
        _, first = np.unique(self.user[rows].astype(np.int64) * self.n_items + self.item[rows], return_index=True)
        self.rows = rows[np.sort(first)]  # a film liked twice is one liked film
        if protocol.of is not None and protocol.of < len(self.rows):
            lot = np.random.default_rng([split.seed, protocol.of, 5]).permutation(len(self.rows))
            self.rows = self.rows[np.sort(lot[: protocol.of])]
        people = np.unique(self.user[self.rows])
        if protocol.users is not None and protocol.users < len(people):
            lot = np.random.default_rng([split.seed, protocol.users, 7]).permutation(people)[: protocol.users]
            self.rows = self.rows[np.isin(self.user[self.rows], lot)]
        self.raw_scores: list[tuple[Array, Array]] = []
        """Of liked rows ``[p]`` and their candidates ``[p, n]``, where candidates are sampled."""
        self.first = np.zeros((0, 0), np.int64)
        """What each user is shown first ``[U, K]``, best first, −1 where nothing is left; where :meth:`frozen` was asked to keep it."""
        self.users, self.query = np.unique(self.user[self.rows], return_inverse=True)

    def hidden_rows(self) -> Array:
        """Events whose films a user cannot be recommended again: everything before the judged part, whatever its rating."""
        told = self.split.revealed
        if len(told) and self.reveal is not None:
            order = told  # in time order by user
            user = self.user[order]
            place = np.arange(len(order)) - np.searchsorted(user, user)
            told = order[place < self.reveal]
        return np.concatenate([self.before, told])

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
        large = on_gpu and not len(self.split.revealed)  # folding in by gradient steps needs memory for every event of a block
        size = max(1, min(GPU_BLOCK, GPU_SCORES // self.n_items)) if large else BLOCK
        hidden = self.hidden_rows()
        hidden = hidden[np.argsort(self.user[hidden], kind="stable")]
        hidden_user = self.user[hidden]
        n_hidden = np.zeros(len(self.users), np.int64)
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
            if self.dataset.manifest["repeats"] == "allowed":  # a film liked again stays a candidate
                fresh = ~np.isin(rows * self.n_items + columns, (liked[0] * self.n_items + liked[1]).numpy())
                rows, columns = rows[fresh], columns[fresh]
                pairs = np.unique(rows.astype(np.int64) * self.n_items + columns)
                rows, columns = pairs // self.n_items, pairs % self.n_items
            counted = np.ones(len(rows)) if candidates is None else candidates[columns]
            n_hidden[done] = np.bincount(rows, weights=counted, minlength=len(users)).astype(np.int64)
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
        return Ranking(query, gain, which, above, tied, tied_liked, n_candidates, cut)

    def candidates(self) -> Array:
        """Item rows ``[rows, n]`` that each liked row is ranked among; a function of the split and its seed, not of who is judged.

        Drawn with replacement, as published code does; where ``n`` reaches all of a user's other films each comes once, and −1 fills the row.

        Raises:
            MMRecError: the protocol ranks every film, a user has met every film, or the split's makers drew none.
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
        rng = np.random.default_rng([self.split.seed, n, self.protocol.by_popularity])
        counts = np.bincount(self.item[self.split.train], minlength=self.n_items).astype(float)
        order = np.argsort(self.user, kind="stable")
        sorted_user = self.user[order]
        chance = counts / counts.sum() if self.protocol.by_popularity else None
        bounds = np.searchsorted(self.query, np.arange(len(self.users) + 1))
        for at, user in enumerate(self.users):
            a, b = np.searchsorted(sorted_user, [user, user + 1])
            free = np.ones(self.n_items, bool)
            free[self.item[order[a:b]]] = False
            pool = np.flatnonzero(free if chance is None else free & (chance > 0))
            if not len(pool):
                raise MMRecError(
                    f"The sampled protocol finds no other film for user {self.dataset.users.raw[user]}, who has events with "
                    "all of them; use full."
                )
            drawn = np.full((bounds[at + 1] - bounds[at], n), -1, np.int64)
            if n >= len(pool):
                drawn[:, : len(pool)] = pool
                yield drawn
                continue
            for row in drawn:
                if chance is None:
                    row[:] = pool[rng.integers(0, len(pool), n)]
                else:
                    row[:] = rng.choice(pool, n, p=chance[pool] / chance[pool].sum())
            yield drawn

    def _shipped(self) -> Iterator[Array]:
        """Candidates that the split's makers drew."""
        name = self.split.strategy.removeprefix("folds:")
        drawn = self.dataset.candidates(name) if self.part == "test" else None
        if drawn is None:
            raise MMRecError(
                f"Protocol 'shipped' needs candidates drawn by a split's makers; '{self.split.strategy}' brings none. Use full or sampled:N."
            )
        place = np.searchsorted(self.split.test, self.rows)
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
        everything = np.argsort(time_s, kind="stable")
        by_user = everything[np.argsort(self.user[everything], kind="stable")]
        sorted_user = self.user[by_user]
        events = self.dataset.interactions
        streams = bool(getattr(self.scorer, "streams", False))
        # rows that a fraction of training leaves out must not come back while it is validated, nor test rows come in
        later = self.split.validation if self.part == "validation" else np.setdiff1d(everything, self.split.train, assume_unique=True)
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
            r = np.repeat(np.arange(len(own)), [len(o) for o in own])
            c = self.item[np.concatenate(own)].astype(np.int64)
            again = c == self.item[asked][r]
            r, c = np.divmod(np.unique(r[~again] * self.n_items + c[~again]), self.n_items)
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
