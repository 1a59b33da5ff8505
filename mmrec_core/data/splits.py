"""Split strategies: divide events into training, validation and test rows, with a checksum.

A split depends only on ids, times, ratings and its seed. Events are stored in a canonical order
(:mod:`mmrec_core.data.row_order`), and events with equal times are ordered by a hash of their ids and the split's seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmrec_core import storage
from mmrec_core.data import split_plugins
from mmrec_core.data.row_order import id_hash, mixed, pair_hash
from mmrec_core.errors import MMRecError
from mmrec_core.ids import is_canonical
from mmrec_core.reading import tables
from mmrec_core.types import Array, Dataset, Split

DEFAULT = "user-temporal"
MEANING = {
    "user-temporal": "each user's last 10 % is test, the 10 % before validation: what will this user like next? "
    "Training holds ratings that others gave later, even of items that did not exist yet; see future_items@10",
    "random:80-10-10": "each user's ratings divided at random; the future may leak into training",
    "random-global:90-0-10": "all ratings divided at random, users and films mixed: the usual split for RMSE",
    "chronological:70-15-15": "one point in time for everybody: what a live system faces, mostly new users and films",
    "leave-one-out": "each user's last rating is test, the one before validation; of several at one moment the seed "
    "draws the last",
    "cold-user": "10 % of users leave training; a few of their first ratings are revealed, their last ten liked "
    "films are the targets",
    "cold-item": "10 % of films leave training; only content can tell what they are",
    "folds:u1": "the makers' own division (ml-100k has u1 … u5, ua, ub)",
    "official": "the makers' own division into training and test rows, with validation rows where they have published "
    "some; the default where they have",
}
COLD_SHARE, TARGETS, MOST_REVEALED = 0.10, 10, 20
NONE = np.zeros(0, np.int64)


def make_split(
    dataset: Dataset,
    strategy: str = DEFAULT,
    seed: int = 0,
    filter_from: float | None = None,
    relevant_from: float | None = None,
) -> Split:
    """Split a dataset's rows.

    Args:
        dataset: the dataset.
        strategy: a name of :data:`MEANING` (possibly with other shares), or ``file:FOLDER`` of an exported split.
        seed: seed of the split, independent of the model's seed.
        filter_from: drop rows with a lower rating first (RecBole's protocol); the other rows count as liked.
        relevant_from: lowest rating that ``cold-user`` counts as liked; by default the dataset's threshold.

    Returns:
        The split.

    Raises:
        MMRecError: unknown strategy, shares that do not add up, or a column that the strategy needs is missing.
    """
    events = dataset.interactions
    rows = np.arange(len(events))
    if filter_from is not None:
        rows = np.flatnonzero(events.need("rating") >= filter_from)
    kind, _, rest = strategy.partition(":")
    if (
        kind in {"user-temporal", "leave-one-out", "cold-user", "cold-item", "official"}
        and rest
        and kind != "user-temporal"
    ):
        raise MMRecError(f"Split '{kind}' takes no ':{rest}'.")
    if kind == "file":
        return import_split(dataset, Path(rest))
    if kind in {"folds", "official"}:
        parts = _official(dataset, rest if kind == "folds" else "official")
        return _checked(Split(strategy, seed, *(np.intersect1d(part, rows) for part in parts)))
    plugin = split_plugins.strategies().get(kind)
    if kind not in STRATEGIES and plugin is None:
        known = [*MEANING, "official", "file:FOLDER", *split_plugins.strategies()]
        raise MMRecError(f"Unknown split '{strategy}'. Known: {', '.join(known)}.")
    needs_time = kind not in {"random", "random-global", "cold-item"} if plugin is None else plugin.needs_time
    if needs_time and events.time is None:
        raise MMRecError(
            f"Split '{strategy}' needs times, and {dataset.name} has none. Use random:80-10-10 or "
            "random-global:90-0-10."
        )
    threshold = relevant_from if relevant_from is not None else filter_from
    threshold = threshold if threshold is not None else dataset.manifest["relevant_from"]
    function = STRATEGIES[kind] if plugin is None else plugin.function
    made = function(dataset, rows, rest, seed, threshold)
    return _checked(replace(made, strategy=strategy, seed=seed))


def _checked(split: Split) -> Split:
    """Refuse a split without training rows or without test rows."""
    for part in ("train", "test"):
        if not len(getattr(split, part)):
            raise MMRecError(
                f"Split '{split.strategy}' has no {part} rows. Use another split or a lower --filter-from."
            )
    return split


def default_split(dataset: Dataset) -> str:
    """The split that training runs use unless another one is named.

    It is the split that the dataset's authors published if it has validation rows or the events have no times, else
    :data:`DEFAULT`; without times and without a published split, rows are divided at random.
    """
    published = dataset.official("official")
    timed = dataset.interactions.time is not None and dataset.interactions.user is not None
    if published is not None and (len(published[1]) or not timed):
        return "official"
    if timed:
        return DEFAULT
    return "random-global:80-10-10" if dataset.interactions.user is None else "random:80-10-10"


def _official(dataset: Dataset, name: str) -> tuple[Array, Array, Array]:
    found = dataset.official(name)
    if found is None:
        names = dataset.official_names()
        there = f"it has {', '.join(names)}" if names else "it has none"
        raise MMRecError(f"{dataset.name} ships no split called '{name}'; {there}.")
    return found


def shares(text: str, default: str) -> tuple[float, float, float]:
    """``"80-10-10"`` → ``(0.8, 0.1, 0.1)``.

    Raises:
        MMRecError: not three whole numbers that add up to 100.
    """
    try:
        parts = [int(p) for p in (text or default).split("-")]
    except ValueError:
        parts = []
    if len(parts) != 3 or sum(parts) != 100 or min(parts) < 0 or parts[0] == 0 or parts[2] == 0:
        raise MMRecError(
            f"Shares are '{text}'; expected TRAIN-VALIDATION-TEST in per cent adding up to 100, such as {default}."
        )
    return parts[0] / 100, parts[1] / 100, parts[2] / 100


def _cut(rows: Array, place: Array, size: Array, share: tuple[float, float, float]) -> Split:
    """Cut each user's sequence by shares.

    As in RecBole, sizes of validation and test are rounded down, but have at least one row as long as training keeps
    one.

    Args:
        rows: rows of the dataset ``[N]``.
        place: position of each row in its user's sequence ``[N]``.
        size: length of its user's sequence ``[N]``.
        share: shares of training, validation and test.
    """
    n_test = np.where(size > 1, np.maximum((size * share[2]).astype(int), 1), 0)
    left = size - n_test
    n_validation = np.where((left > 1) & (share[1] > 0), np.maximum((size * share[1]).astype(int), 1), 0)
    n_train = left - n_validation
    test, train = place >= n_train + n_validation, place < n_train
    return Split("", 0, np.sort(rows[train]), np.sort(rows[~train & ~test]), np.sort(rows[test]))


def _places(group: Array, order_by: tuple[Array, ...]) -> tuple[Array, Array]:
    """Position of each row in its group when sorted by the keys (last key first), and the size of its group."""
    order = np.lexsort((*order_by, group))
    _, start, count = np.unique(group[order], return_index=True, return_counts=True)
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.repeat(start, count)
    size = np.empty(len(group), np.int64)
    size[order] = np.repeat(count, count)
    return place, size


def _by_time(dataset: Dataset, rows: Array, seed: int) -> tuple[Array, Array]:
    """Sort keys of rows for ``np.lexsort``: by time, ties by a hash of the ids."""
    events = dataset.interactions
    user, item = (np.asarray(events.need(role))[rows] for role in ("user", "item"))
    return pair_hash(dataset.users, dataset.items, user, item, seed), np.asarray(events.need("time"))[rows]


def _user_temporal(dataset: Dataset, rows: Array, rest: str, seed: int, relevance_threshold: float | None) -> Split:
    """Split each user's sequence in time by shares.

    Args:
        dataset: the dataset.
        rows: rows to split, int64 ``[N]``.
        rest: shares after the ``:`` of the strategy, or ``""``.
        seed: seed of the split.
        relevance_threshold: lowest rating that counts as liked, used by ``cold-user`` only.
    """
    place, size = _places(np.asarray(dataset.interactions.need("user"))[rows], _by_time(dataset, rows, seed))
    return _cut(rows, place, size, shares(rest, "80-10-10"))


def _random(dataset: Dataset, rows: Array, rest: str, seed: int, relevance_threshold: float | None) -> Split:
    """Split each user's rows at random by shares.

    Args:
        dataset: the dataset.
        rows: rows to split, int64 ``[N]``.
        rest: shares after the ``:`` of the strategy, or ``""``.
        seed: seed of the split.
        relevance_threshold: lowest rating that counts as liked, used by ``cold-user`` only.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    place, size = _places(np.asarray(dataset.interactions.need("user"))[rows], (order,))
    return _cut(rows, place, size, shares(rest, "80-10-10"))


def _in_order(rows: Array, order: Array, share: tuple[float, float, float]) -> Split:
    first, second = round(len(rows) * share[0]), round(len(rows) * (share[0] + share[1]))
    parts = (np.sort(rows[order[:first]]), np.sort(rows[order[first:second]]), np.sort(rows[order[second:]]))
    return Split("", 0, *parts)


def _random_global(dataset: Dataset, rows: Array, rest: str, seed: int, relevance_threshold: float | None) -> Split:
    """Split all rows at random by shares.

    Args:
        dataset: the dataset.
        rows: rows to split, int64 ``[N]``.
        rest: shares after the ``:`` of the strategy, or ``""``.
        seed: seed of the split.
        relevance_threshold: lowest rating that counts as liked, used by ``cold-user`` only.
    """
    return _in_order(rows, np.random.default_rng(seed).permutation(len(rows)), shares(rest, "90-0-10"))


def _chronological(dataset: Dataset, rows: Array, rest: str, seed: int, relevance_threshold: float | None) -> Split:
    """Split all rows at two points in time by shares (global time split).

    Args:
        dataset: the dataset.
        rows: rows to split, int64 ``[N]``.
        rest: shares after the ``:`` of the strategy, or ``""``.
        seed: seed of the split.
        relevance_threshold: lowest rating that counts as liked, used by ``cold-user`` only.
    """
    return _in_order(rows, np.lexsort(_by_time(dataset, rows, seed)), shares(rest, "70-15-15"))


def _leave_one_out(dataset: Dataset, rows: Array, rest: str, seed: int, relevance_threshold: float | None) -> Split:
    """Each user's last row is test, the one before validation; users with fewer than three rows only train.

    Args:
        dataset: the dataset.
        rows: rows to split, int64 ``[N]``.
        rest: shares after the ``:`` of the strategy, or ``""``.
        seed: seed of the split.
        relevance_threshold: lowest rating that counts as liked, used by ``cold-user`` only.
    """
    place, size = _places(np.asarray(dataset.interactions.need("user"))[rows], _by_time(dataset, rows, seed))
    enough = size >= 3
    test, validation = enough & (place == size - 1), enough & (place == size - 2)
    return Split("", 0, rows[~test & ~validation], rows[validation], rows[test])


def _cold_user(dataset: Dataset, rows: Array, rest: str, seed: int, relevance_threshold: float | None) -> Split:
    """Remove a share of users from training.

    Only users with enough history qualify, so that users and targets are the same for every number of revealed ratings.

    Args:
        dataset: the dataset.
        rows: rows to split, int64 ``[N]``.
        rest: shares after the ``:`` of the strategy, or ``""``.
        seed: seed of the split.
        relevance_threshold: lowest rating that counts as liked, used by ``cold-user`` only.
    """
    events = dataset.interactions
    user = np.asarray(events.need("user"))[rows]
    liked = np.ones(len(rows), bool)
    if events.rating is not None and relevance_threshold is not None:
        liked = np.asarray(events.rating)[rows] >= relevance_threshold
    order = np.lexsort((*_by_time(dataset, rows, seed), user))
    users, start = np.unique(user[order], return_index=True)
    histories = dict(zip(users.tolist(), np.split(order, start[1:]), strict=True))
    qualified = {}
    for who, own in histories.items():
        targets = own[liked[own]][-TARGETS:]
        if len(targets) == TARGETS and (before := int(np.flatnonzero(own == targets[0])[0])) >= MOST_REVEALED:
            qualified[who] = (own[:before], targets)
    cold = np.random.default_rng(seed).permutation(sorted(qualified))[: max(round(len(histories) * COLD_SHARE), 1)]
    if not len(cold):
        raise MMRecError(
            f"No user has {MOST_REVEALED} ratings before their last {TARGETS} liked films; cold-user needs such users."
        )
    revealed = [qualified[int(u)][0] for u in np.sort(cold)]
    targets = [qualified[int(u)][1] for u in np.sort(cold)]
    train = np.sort(rows[~np.isin(user, cold)])
    return Split("", 0, train, NONE, np.sort(rows[np.concatenate(targets)]), revealed=rows[np.concatenate(revealed)])


def drawn_items(dataset: Dataset, items: Array, share: float, seed: int) -> Array:
    """Sample a share of item rows by a hash of their raw ids, independent of the order of the catalog; sorted.

    Args:
        dataset: the dataset.
        items: item rows to sample from.
        share: share to sample; at least one item is taken.
        seed: seed of the hash.
    """
    key = mixed(id_hash(dataset.items)[items] ^ mixed(np.array([seed + 1], np.uint64)))
    return np.sort(items[np.argsort(key, kind="stable")][: max(round(len(items) * share), 1)])


def _cold_item(dataset: Dataset, rows: Array, rest: str, seed: int, relevance_threshold: float | None) -> Split:
    """Remove a share of items from training; all their rows are test rows.

    Args:
        dataset: the dataset.
        rows: rows to split, int64 ``[N]``.
        rest: shares after the ``:`` of the strategy, or ``""``.
        seed: seed of the split.
        relevance_threshold: lowest rating that counts as liked, used by ``cold-user`` only.
    """
    item = np.asarray(dataset.interactions.need("item"))[rows]
    cold = drawn_items(dataset, np.unique(item), COLD_SHARE, seed)
    test = np.isin(item, cold)
    return Split("", 0, rows[~test], NONE, rows[test], cold_items=cold.astype(np.int64))


STRATEGIES: dict[str, Callable[[Dataset, Array, str, int, float | None], Split]] = {
    "user-temporal": _user_temporal,
    "random": _random,
    "random-global": _random_global,
    "chronological": _chronological,
    "leave-one-out": _leave_one_out,
    "cold-user": _cold_user,
    "cold-item": _cold_item,
}


def with_validation(split: Split, share: float = 0.10, dataset: Dataset | None = None) -> Split:
    """The split itself if it has validation rows, else the split with a share of training rows moved to validation.

    Rows are sampled at random. For ``cold-item``, items are sampled, so that validation items are new to the model as
    test items are.

    Args:
        split: the split.
        share: share of training rows that become validation rows.
        dataset: needed for splits with cold items, for the item of each row.
    """
    if len(split.validation):
        return split
    if len(split.cold_items) and dataset is not None:
        owner = np.asarray(dataset.interactions.need("item"))[split.train]
        chosen = np.isin(owner, drawn_items(dataset, np.unique(owner), share, split.seed + 1))
    else:
        chosen = np.random.default_rng(split.seed + 1).random(len(split.train)) < share
    return replace(split, train=split.train[~chosen], validation=split.train[chosen])


def known_rows(split: Split, known: str, dataset: Dataset) -> Array:
    """Rows that models know at test time.

    Args:
        split: the split.
        known: ``training`` for the training rows without validation; any other value adds the validation rows.
        dataset: see :func:`with_validation`.

    Returns:
        Row indices, with the revealed rows of cold users.
    """
    rows = split.train if known != "training" else with_validation(split, dataset=dataset).train
    parts = [rows] if known == "training" else [rows, split.validation]
    return np.concatenate([*parts, split.revealed])


def export_split(dataset: Dataset, split: Split, folder: Path) -> None:
    """Write each part as CSV (row, user, item, rating, time, with raw ids) and ``split.json``; atomic.

    Raises:
        MMRecError: the folder is not empty and is no earlier export.
    """
    import pandas as pd

    events, folder = dataset.interactions, folder.expanduser().resolve()
    if folder.exists() and not (folder / "split.json").is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise MMRecError(f"{folder} is not empty and is no earlier export. Name a new folder.")
    with storage.replacing(folder) as draft:
        for part in Split.PARTS:
            rows = getattr(split, part)
            if part == "cold_items":
                table = pd.DataFrame({"row": rows, "item": dataset.items.raw[rows]})
            else:
                chosen = events.take(rows)
                table = pd.DataFrame({"row": rows})
                for role, ids in (("user", dataset.users), ("item", dataset.items)):
                    if (column := getattr(chosen, role)) is not None:
                        table[role] = ids.raw[column]
                for role in ("rating", "time"):
                    if (column := getattr(chosen, role)) is not None:
                        table[role] = column
            table.to_csv(draft / f"{part}.csv", index=False)
        about = {"dataset": dataset.name, "data": dataset.checksum, "strategy": split.strategy, "seed": split.seed}
        storage.write_json(draft / "split.json", {**about, "checksum": split.checksum})


def _rows_of(file: Path, limit: int) -> Array:
    """The column ``row`` of one part's file, int64, each in 0 … ``limit`` − 1.

    Raises:
        MMRecError: missing, damaged, or a row number out of range.
    """
    table = tables.read(file)
    own = table.ids("row")
    if not len(table):
        return np.zeros(0, np.int64)
    bad = (
        own.missing()
        | np.array([not (is_canonical(v) and 0 <= int(v) < limit) for v in [*own.values, "-"]], bool)[own.codes]
    )
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        value = own.values[own.codes[at]] if own.codes[at] >= 0 else ""
        raise MMRecError(
            f"{file}, line {table.line_of(at)}: row is '{value[:40]}', expected a whole number from 0 to "
            f"{limit - 1}. Export the split again."
        )
    return np.array([int(v) for v in own.values], np.int64)[own.codes]


def import_split(dataset: Dataset, folder: Path) -> Split:
    """Read a split that :func:`export_split` wrote.

    Raises:
        MMRecError: it was exported from other data, or its rows were changed.
    """
    about = storage.read_json(folder / "split.json")
    if (
        not isinstance(about, dict)
        or not isinstance(about.get("strategy"), str)
        or not isinstance(about.get("seed"), int)
        or "checksum" not in about
    ):
        raise MMRecError(
            f"{folder / 'split.json'} does not describe a split: expected an object with strategy, seed, data and "
            "checksum. Export the split again."
        )
    if about.get("data") != dataset.checksum:
        raise MMRecError(
            f"{folder} was exported from other data ({about.get('dataset')}); prepare that dataset, or export the "
            "split again."
        )
    limits = {part: len(dataset.items) if part == "cold_items" else len(dataset.interactions) for part in Split.PARTS}
    parts = {part: _rows_of(folder / f"{part}.csv", limit) for part, limit in limits.items()}
    split = Split(about["strategy"], about["seed"], **parts)
    if split.checksum != about["checksum"]:
        raise MMRecError(f"{folder} does not match its own checksum: a file in it was changed. Export the split again.")
    return split
