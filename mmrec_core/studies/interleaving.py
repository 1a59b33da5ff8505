"""Team-draft interleaving (Radlinski, Kurup and Joachims 2008): two rankings in one list, with credit for each.

In each round a coin decides which ranking drafts first; each then adds its best item that is not in the list yet. A
chosen item is credited to the ranking that drafted it. Whoever chooses without regard to the rankings credits both
equally in expectation.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Interleaved:
    """A list and, per place, which ranking drafted it: 0 or 1."""

    items: tuple[int, ...]
    teams: tuple[int, ...]


def team_draft(one: Sequence[int], other: Sequence[int], length: int, seed: int) -> Interleaved:
    """Interleave two rankings.

    Args:
        one: items of the first ranking, best first, each once.
        other: those of the second.
        length: how many items; fewer if both rankings run out.
        seed: seed of the coins.
    """
    rng = random.Random(seed)
    rankings, places = (list(one), list(other)), [0, 0]
    items: list[int] = []
    teams: list[int] = []
    taken: set[int] = set()
    sizes = [0, 0]
    while len(items) < length:
        for team in (0, 1):
            while places[team] < len(rankings[team]) and rankings[team][places[team]] in taken:
                places[team] += 1
        able = [team for team in (0, 1) if places[team] < len(rankings[team])]
        if not able:
            break
        if len(able) == 2:
            # the smaller team drafts; with equal teams a coin decides, which begins a round
            team = rng.randrange(2) if sizes[0] == sizes[1] else sizes.index(min(sizes))
        else:
            team = able[0]
        item = rankings[team][places[team]]
        items.append(item)
        teams.append(team)
        taken.add(item)
        sizes[team] += 1
    return Interleaved(tuple(items), tuple(teams))


def credit(found: Interleaved, chosen: Sequence[int]) -> tuple[int, int]:
    """How many chosen places each ranking drafted.

    Args:
        found: the list.
        chosen: places in it, from 0; each counts once.
    """
    teams = [found.teams[place] for place in set(chosen)]
    return teams.count(0), teams.count(1)
