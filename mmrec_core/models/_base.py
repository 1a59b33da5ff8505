"""Base classes of all models; ``docs/contracts.md`` describes the contract with an example.

A model is an ``nn.Module``, closed forms included, so that saving, loading and moving to a device are the same for all.
What it makes of a user is a *state*: tensors ``[B, …]``. Known users have theirs gathered (:meth:`Model.user_state`),
new users have theirs made from a history (:meth:`Model.fold_in`), and both are ranked by the one
:meth:`Model.score_states`. So whatever is evaluated is also what a new visitor gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.adam import adam

from mmrec_core import records, registry, storage
from mmrec_core.config import Config as AnyConfig
from mmrec_core.config import TrainConfig
from mmrec_core.errors import MMRecError
from mmrec_core.types import (
    Array,
    Dataset,
    Field,
    Head,
    History,
    IdMap,
    Interactions,
    ItemState,
    Progress,
    Query,
    Schema,
    Side,
    Source,
    TrainSet,
    UserState,
    blocks,
    quiet,
)

Batch = dict[str, Any]
"""Tensors by name, one row per event; ``state`` may hold user tensors that ``user`` then indexes."""


FoldGradients = Callable[[int], tuple[list[Tensor], Tensor]]
"""From a step of a fold-in to the gradient of each history's mean loss, one ``[B, …]`` for each tensor that moves, and
each history's number of rows ``[B]``."""

UNKNOWN = "\0unknown"
"""The name of the row that serves every unknown id; no raw id is called so."""


class Model(nn.Module):
    """Base of all models; see :class:`GradientModel` for those that train by gradient steps.

    Args:
        config: a checked ``Config`` of the class.
        schema: what may be known of the dataset beforehand.
        side: side information fitted on training rows.
        seed: drives everything random in the model.
    """

    Config: ClassVar[type[AnyConfig]] = AnyConfig
    needs: ClassVar[frozenset[str]] = frozenset({"ids"})
    """Out of ids, text, image, side, sequence, time, graph."""
    trains: ClassVar[bool] = False
    """Trains by gradient steps (has :class:`~mmrec_core.config.TrainConfig` settings)."""
    streams: ClassVar[bool] = False
    """Keeps state that :meth:`observe` moves on as events come in."""
    early_stopping_protocol: ClassVar[tuple[str, str]] = ("full", "frozen")
    """Protocol and regime by which early stopping judges validation rows, where the split is one point in time;
    elsewhere every film, frozen."""
    version: ClassVar[int] = 1
    """Raised when saved weights of older versions no longer mean the same."""

    def __init__(self, config: AnyConfig, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__()
        self.config, self.schema, self.side, self.seed = config, schema, side, seed
        self.name = type(self).__module__.rsplit(".", 1)[-1]
        self.users: IdMap | None = None
        self.items: IdMap | None = None
        self.catalog_checksum = ""
        self.spaces: dict[str, str] = {}
        """Whose ids ``user`` and ``item`` rows bear; equal ids mean equal things only where these agree."""
        self.known_users: Tensor
        self.known_items: Tensor
        self.register_buffer("known_users", torch.zeros(schema.n_users + 1, dtype=torch.bool))
        self.register_buffer("known_items", torch.zeros(schema.n_items + 1, dtype=torch.bool))

    # What it is

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """What the outputs mean; one ranking score unless a model says otherwise."""
        return (Head("relevance", "ranking"),)

    def scorer_heads(self) -> tuple[Head, ...]:
        """The heads of this instance."""
        return self.heads(self.config, self.schema)

    def bind(self, dataset: Dataset) -> Self:
        """Remember whose ids the rows are, so that the model can be saved and asked in raw ids."""
        self.users, self.items, self.catalog_checksum = dataset.users, dataset.items, dataset.checksum
        space = dataset.manifest.get("id_space") or dataset.name
        self.spaces = {"user": dataset.name, "item": space}
        return self

    # Learning

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Fit in closed form. Gradient models are fitted by :func:`mmrec_core.training.fit.fit` instead."""
        raise NotImplementedError

    def mark_known(self, rows: Interactions) -> None:
        """Note which users and items training has seen; all others are served by the out-of-vocabulary row."""
        for name, column in (("known_users", rows.user), ("known_items", rows.item)):
            if column is not None:
                getattr(self, name)[torch.from_numpy(np.unique(np.asarray(column)).astype(np.int64))] = True

    def mark_unseen(self, items: Array) -> None:
        """Treat items (rows) from now on as ones that training never met; what may be asked of a copy, for who wonders
        what is known of them."""
        self.known_items[torch.as_tensor(np.asarray(items, np.int64), device=self.known_items.device)] = False
        self.forget()

    # Scoring

    def rows(self, rows: Interactions) -> Batch:
        """Events as a batch: ``user``, ``item`` (int64), ``rating`` and ``time`` where known, and one entry per row
        field."""
        batch: Batch = {}
        for role in ("user", "item"):
            if (column := getattr(rows, role)) is not None:
                batch[role] = torch.from_numpy(np.asarray(column).astype(np.int64))
        if rows.rating is not None:
            batch["rating"] = torch.from_numpy(np.asarray(rows.rating, np.float32))
        if rows.time is not None:
            batch["time"] = torch.from_numpy(np.asarray(rows.time).astype(np.int64))
        for field in self.side:
            if field.owner == "row" and field.name in rows.features:
                batch[field.name] = torch.from_numpy(field.encode(np.asarray(rows.features[field.name])))
        for name, values in rows.labels.items():
            batch[f"label:{name}"] = torch.from_numpy(np.asarray(values, np.float32))
        return batch

    def predict(self, batch: Batch) -> Tensor:
        """``[B, H]``: one row per event, one column per head; ratings on the dataset's scale, clicks as log-odds."""
        state = batch.get("state")
        users, at = torch.unique(batch["user"], return_inverse=True)
        whole = (
            self.score_states(_pick(state, users)) if state is not None else self.score_all(Query(users.cpu().numpy()))
        )
        return whole[at, batch["item"]][:, None]

    @torch.no_grad()
    def score_rows(self, rows: Interactions) -> Tensor:
        """``[N, H]`` for events, in blocks, without gradients."""
        self.rest()
        device = self.known_users.device
        parts = [
            self.predict(_to(self.rows(rows.take(np.arange(p.start, p.stop))), device)).cpu()
            for p in blocks(len(rows), 1 << 15)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.scorer_heads()))

    def score(self, users: Any, items: Any, at: Any = None) -> Tensor:
        """``[N, H]`` for pairs of user and item rows, optionally at times in seconds."""
        user, item = np.asarray(users, np.int32), np.asarray(items, np.int32)
        return self.score_rows(
            Interactions(user=user, item=item, time=None if at is None else np.asarray(at, np.int64))
        )

    @torch.no_grad()
    def score_all(self, query: Query | UserState, items: Tensor | None = None) -> Tensor:
        """``[B, I]`` ranking scores of every item (or of item rows ``items``) for known users or for states."""
        self.rest()
        state = query if isinstance(query, UserState) else self.user_state(query)
        return self.score_states(state.tensors, items)

    @torch.no_grad()
    def user_state(self, query: Query) -> UserState:
        """The states of known users, gathered; users that training never saw fall back."""
        user = torch.from_numpy(np.asarray(query.user, np.int64)).to(self.known_users.device)
        known = self.known_users[user].tolist()
        source: tuple[Source, ...] = tuple("learned" if k else "fallback" for k in known)
        return UserState(self.gather_users(user), source)

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """The learned tensors ``[B, …]`` of user rows ``[B]``; must be given by a model that personalises."""
        return {}

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """``[B, I]`` ranking scores from user states; the one place where a model ranks."""
        raise NotImplementedError

    def item_vectors(self) -> Tensor | None:
        """``[I, d]`` vectors whose nearness means likeness to this model, or ``None``."""
        return None

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """For each weight whose rows stand for something with a name: of what kind (``user``, ``item``,
        ``item.director`` …) and the names, row by row. So a table learned elsewhere is taken over by name, never by
        row."""
        return {}

    def names_of(self, kind: str, *extra: str) -> tuple[str, Array]:
        """Names for :meth:`row_names` of a table of users or items: their raw ids, the unknown one, then ``extra``
        rows."""
        ids = self.users if kind == "user" else self.items
        if ids is None:
            raise MMRecError("Bind the model to its dataset first: model.bind(dataset).")
        return kind, np.array([*ids.raw.astype(str), UNKNOWN, *extra], dtype=object)

    # Users and items never seen

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users inferred from their histories, without retraining (fold-in)."""
        raise NotImplementedError

    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of items never seen, from their content; ``None`` where a model knows items by id alone."""
        return None

    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """``[B, n]`` ranking scores of ``n`` items never seen (:meth:`item_state`) from user states; where items have
        states."""
        raise NotImplementedError

    # State in time

    def observe(self, events: Interactions) -> None:
        """Take in events that happened after training, in time order (only where ``streams``)."""

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all tensors, to return to with :meth:`restore`."""
        return {key: value.clone() for key, value in self.state_dict().items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Return to a snapshot, bit by bit."""
        self.forget()
        _assign(self, snapshot)

    def forget(self) -> None:
        """Drop what is kept for speed beside the state; called where other weights, or another device, come in. Nothing
        by default."""

    def rest(self) -> None:
        """Out of training, as :meth:`eval`; where that is so already nothing is written, so that several threads may
        ask."""
        if any(module.training for module in self.modules()):
            self.eval()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """What is kept would stay behind when the model moves to another device."""
        self.forget()
        moved: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return moved

    def require(self, dataset: Dataset, name: str) -> None:
        """Refuse a dataset other than the one this model learned from: its rows would stand for other users and items.

        Args:
            name: what the model is called in the error, such as its run's id.

        Raises:
            MMRecError: the dataset was prepared anew since.
        """
        if self.catalog_checksum != dataset.checksum:
            raise MMRecError(f"'{dataset.name}' was prepared anew since run '{name}'; train it again.")

    # On disk

    def save(self, folder: Path) -> None:
        """Write weights, side tables, ids and config to a folder, all of it or nothing; no pickles.

        Raises:
            MMRecError: it is bound to no dataset, or the folder cannot be written.
        """
        if self.items is None or self.users is None:
            raise MMRecError("Bind the model to its dataset before saving it: model.bind(dataset).")
        try:
            self._save(folder, self.users, self.items)
        except SafetensorError as error:  # what its writer makes of a full disk, too
            raise MMRecError(
                f"The model cannot be written to {folder} ({error}). Free some space, or set MMREC_HOME to another"
                " disk."
            ) from error

    def _save(self, folder: Path, users: IdMap, items: IdMap) -> None:
        with storage.replacing(folder) as draft:
            save_file(
                {k: v.detach().cpu().contiguous().clone() for k, v in self.state_dict().items()},
                draft / "model.safetensors",
            )
            tables = {f"{f.owner}.{f.name}": torch.from_numpy(np.array(f.data)) for f in self.side if f.data.size}
            tables |= {f"{f.owner}.{f.name}.place": torch.from_numpy(f.place) for f in self.side if f.place.size}
            save_file(tables, draft / "side.safetensors")
            np.save(draft / "user_ids.npy", users.raw, allow_pickle=False)
            np.save(draft / "item_ids.npy", items.raw, allow_pickle=False)
            info = ("name", "owner", "kind", "vocabulary", "codes", "mean", "std", "log", "width")
            storage.write_json(
                draft / "config.json",
                {
                    "model": self.name,
                    "version": self.version,
                    "seed": self.seed,
                    "config": self.config.model_dump(mode="json"),
                    "schema": self.schema.to_json(),
                    "side": [{key: getattr(f, key) for key in info} for f in self.side],
                    "catalog": self.catalog_checksum,
                    "spaces": self.spaces,
                },
            )

    def recommend_rows(self, state: UserState | Query, seen: Sequence[Any], top_k: int) -> list[tuple[Any, Any]]:
        """For each user the item rows ``[≤ top_k]`` and scores of the best items that are not in ``seen`` (rows)."""
        scores = self.score_all(state)
        out = []
        for row, own in zip(scores, seen, strict=True):
            row = row.clone()
            row[torch.as_tensor(np.asarray(own, np.int64))] = -torch.inf
            best = torch.topk(row, min(top_k, len(row)))
            keep = torch.isfinite(best.values)
            out.append((best.indices[keep].numpy(), best.values[keep].numpy()))
        return out


class GradientModel(Model):
    """A model that trains by gradient steps on ready tensors.

    A subclass gives :meth:`epoch` (rows with their negatives), :meth:`row_losses`, :meth:`forward` and
    :meth:`gather_users`; training, fold-in, scoring and saving follow.
    """

    trains: ClassVar[bool] = True
    train_defaults: ClassVar[Mapping[str, Any]] = {}
    """Values of :class:`TrainConfig` that suit this model better than the general ones."""
    PAIRS: ClassVar[int] = 1 << 17
    """Pairs of a user and a film scored at once, where a model scores pair by pair."""
    FOLD_STEPS: ClassVar[int] = 40
    FOLD_LR: ClassVar[float] = 0.2
    """Adam's first step; later ones shrink by a half cosine to nothing, so that forty get nearer to where 1,500 would
    end than a hundred equal ones."""
    FOLD_L2: ClassVar[float] = 0.02
    """Pull of a folded-in state towards the out-of-vocabulary state, per rating."""

    @classmethod
    def train_config(cls, settings: Mapping[str, Any]) -> TrainConfig:
        """Trainer settings: general defaults, this model's own, then the given ones."""
        return TrainConfig.model_validate({**cls.train_defaults, **settings})

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """All rows of an epoch as tensors, negatives included: a function of (seed, epoch, row) and nothing else."""
        raise NotImplementedError

    def epoch_rows(self, train: TrainSet) -> int:
        """About how many rows an epoch has, before the first is drawn."""
        kind = self.scorer_heads()[0].kind
        return len(train.positives) if kind == "ranking" else len(train)

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Ready tensors of the epoch, shuffled by (seed, epoch), from batch ``start`` on.

        Lightning may draw a batch before the step on the one before it has ended, so a batch must not depend on state
        that ``loss`` moves. A share ``id_dropout`` of ids (where the config has it) is hidden, which is how the row for
        unknown ids is trained.
        """
        table = self.epoch(train, epoch)
        self.hide(table, epoch)
        n = len(next(iter(table.values())))
        order = torch.randperm(n, generator=self.generator(epoch, 0))
        for part in list(blocks(n, batch_size))[start:]:
            rows = order[part]
            yield {key: column[rows] for key, column in table.items()}

    def hide(self, table: Batch, epoch: int) -> None:
        """Replace a share of ids by the row for unknown ones, in place."""
        share, generator = getattr(self.config, "id_dropout", 0.0), self.generator(epoch, 1)
        for key, oov in (
            ("user", self.schema.n_users),
            ("item", self.schema.n_items),
            ("negative", self.schema.n_items),
        ):
            if key in table and share > 0:
                table[key] = torch.where(torch.rand(table[key].shape, generator=generator) < share, oov, table[key])

    def generator(self, epoch: int, purpose: int) -> torch.Generator:
        """A source of randomness of its own for each (seed, epoch, purpose)."""
        mixed = np.random.SeedSequence([self.seed, epoch, purpose]).generate_state(2, np.uint32)
        return torch.Generator().manual_seed(int(mixed[0]) << 31 | int(mixed[1]) >> 1)

    def begin(self, train: TrainSet) -> None:
        """Before the first step: whatever is counted rather than learned. Nothing by default."""

    def start_epoch(self, train: TrainSet, epoch: int) -> None:
        """Before each epoch: memories are emptied here. Nothing by default."""

    def row_losses(self, batch: Batch) -> Tensor:
        """``[B]`` losses."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch, with whatever regularisation the model has."""
        return self.row_losses(batch).mean()

    def weight(self, batch: Batch) -> int:
        """How much a batch's loss counts in the mean that an epoch reports: its rows, by default."""
        return len(next(iter(batch.values())))

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, H]`` from user tensors ``[B, …]`` and the rest of a batch."""
        raise NotImplementedError

    def user_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """The user side of a batch: states where it brings them, else the learned ones."""
        state = batch.get("state")
        if state is not None:
            return {key: tensor[batch["user"]] for key, tensor in state.items()}
        return self.gather_users(batch["user"]) if "user" in batch else {}

    def predict(self, batch: Batch) -> Tensor:
        """``[B, H]``, clamped to the rating scale where a head is a rating."""
        out = self(self.user_tensors(batch), batch)
        if self.schema.scale is not None:
            rating = [h.kind == "rating" for h in self.scorer_heads()]
            if any(rating):
                mask = torch.tensor(rating, device=out.device)
                out = torch.where(mask, out.clamp(*self.schema.scale), out)
        return out

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Ranks by the first head, pair by pair; models with a faster way override it."""
        items = torch.arange(self.schema.n_items, device=self.known_items.device) if items is None else items
        n = len(next(iter(state.values())))
        out = torch.empty(n, len(items), device=items.device)
        for part in blocks(n, max(1, self.PAIRS // max(len(items), 1))):
            size = part.stop - part.start
            users = torch.arange(part.start, part.stop, device=items.device)
            for films in blocks(len(items), self.PAIRS):
                own = items[films]
                batch: Batch = {"user": users.repeat_interleave(len(own)), "item": own.repeat(size), "state": state}
                out[part, films] = self(self.user_tensors(batch), batch)[:, 0].view(size, len(own))
        return out

    def oov_user(self, users: Tensor) -> Tensor:
        """User rows with those training never saw replaced by the out-of-vocabulary row."""
        return torch.where(self.known_users[users], users, self.schema.n_users)

    def oov_item(self, items: Tensor) -> Tensor:
        """Item rows with those training never saw replaced by the out-of-vocabulary row."""
        return torch.where(self.known_items[items], items, self.schema.n_items)

    def free_state(self, n: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The state of ``n`` users about whom nothing is known, and the names of its tensors that fold-in may move."""
        state = self.gather_users(torch.full((n,), self.schema.n_users, device=self.known_users.device))
        return {k: v.detach().clone() for k, v in state.items()}, tuple(
            k for k, v in state.items() if v.is_floating_point()
        )

    def start_state(self, histories: Sequence[History]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """The states that fold-in begins with, and the names of the tensors it may move."""
        return self.free_state(len(histories))

    def history_rows(self, histories: Sequence[History]) -> Any:
        """What every step of a fold-in reads of the histories, made once; :meth:`history_epoch` is handed it."""
        return self.as_train_set(histories)

    def history_epoch(self, info: Any, step: int) -> Batch:
        """What :meth:`history_rows` gave as one batch with negatives, ``user`` counting the histories."""
        return self.epoch(info, step)

    def fold_gradients(self, info: Any, state: dict[str, Tensor], moving: Sequence[str]) -> FoldGradients:
        """What gives the gradients of a fold-in, step by step: by autograd here; a model may write them down instead.

        Args:
            told: from :meth:`history_rows`.
            state: the states; those named in ``moving`` are changed in place between the steps.
        """

        def gradients(step: int) -> tuple[list[Tensor], Tensor]:
            batch = _to(self.history_epoch(info, step), self.known_users.device)
            count = torch.bincount(batch["user"], minlength=len(state[moving[0]]))
            if not len(batch["user"]):  # a step may draw nothing for anybody, which must not end the others'
                return [torch.zeros_like(state[key]) for key in moving], count
            with torch.enable_grad():
                free = [state[key].detach().requires_grad_(True) for key in moving]
                batch["state"] = {**state, **dict(zip(moving, free, strict=True))}
                loss = (self.row_losses(batch) / count.clamp(min=1)[batch["user"]]).sum()
                # of the states alone: no weight is given a gradient
                return list(torch.autograd.grad(loss, free, materialize_grads=True)), count

        return gradients

    def learns_as(self, cls: type[GradientModel]) -> bool:
        """Whether rows and losses of a fold-in are those of ``cls``, so that a gradient written down there holds for
        this subclass, too."""
        return all(
            getattr(type(self), name) is getattr(cls, name)
            for name in ("row_losses", "user_tensors", "history_rows", "history_epoch")
        )

    def as_train_set(self, histories: Sequence[History]) -> TrainSet:
        """Histories as a training set whose users are the histories."""
        size = [len(h) for h in histories]
        user = np.repeat(np.arange(len(histories), dtype=np.int32), size)
        item = np.concatenate([np.asarray(h.items, np.int32) for h in histories] or [np.zeros(0, np.int32)])
        rated = self.schema.scale is not None and (
            "rating" in self.needs or any(h.ratings is not None for h in histories)
        )
        best = self.schema.scale[1] if self.schema.scale else 0.0  # a film named without a rating counts as liked
        given = [
            np.full(len(h), best, np.float32) if h.ratings is None else np.asarray(h.ratings, np.float32)
            for h in histories
        ]
        rating = np.concatenate([np.zeros(0, np.float32), *given]) if rated else None
        when = [np.asarray(h.times, np.int64) for h in histories if h.times is not None]
        at = np.concatenate(when) if when and len(when) == len(histories) else None
        return TrainSet(Interactions(user=user, item=item, rating=rating, time=at), self.schema, self.side, self.seed)

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Seeded gradient fold-in: a fixed number of Adam steps on the user state alone, everything else frozen.

        Each user's loss is their own mean, so the answer does not depend on who else is in the batch. Nothing of the
        model is written, for one model may be asked by several threads at a time.
        """
        self.rest()
        if "rating" in self.needs:  # a history without ratings tells such a model nothing
            histories = [History(np.zeros(0, np.int64)) if h.ratings is None else h for h in histories]
        state, moving = self.start_state(histories)
        if not moving:
            return UserState(state, nobody(len(histories)))
        prior = {k: state[k].clone() for k in moving}
        usable = torch.zeros(len(histories), dtype=torch.bool, device=self.known_users.device)
        user_history = self.history_rows(histories) if any(len(h) for h in histories) else None
        with torch.no_grad():
            free = [state[key] for key in moving]
            mean, square, count_of_steps = (
                [torch.zeros_like(t) for t in free],
                [torch.zeros_like(t) for t in free],
                [torch.zeros((), device=t.device) for t in free],
            )
            fused = all(
                t.device.type == "cpu" for t in free
            )  # one operation a step, not a dozen, on data too small to notice anything else
            gradients = self.fold_gradients(user_history, state, moving) if user_history is not None else None
            known: Tensor | None = None
            pulls: list[Tensor] = []
            for step in range(self.FOLD_STEPS if gradients is not None else 0):
                assert gradients is not None
                gradient, count = gradients(step)
                if count is not known:
                    known = count
                    usable |= count > 0
                    pull = 2 * self.FOLD_L2 / count.clamp(min=1)
                    pulls = [pull.view(-1, *[1] * (value.ndim - 1)) for value in free]
                for own, value, key, pull in zip(gradient, free, moving, pulls, strict=True):
                    own.addcmul_(value - prior[key], pull)
                rate = self.FOLD_LR * (1 + math.cos(math.pi * (step + 0.5) / self.FOLD_STEPS)) / 2
                # torch's own Adam, without what its wrapper does around each step
                adam(
                    free,
                    gradient,
                    mean,
                    square,
                    [],
                    count_of_steps,
                    foreach=False,
                    fused=fused,
                    amsgrad=False,
                    beta1=0.8,
                    beta2=0.95,
                    lr=rate,
                    weight_decay=0.0,
                    eps=1e-8,
                    maximize=False,
                )
        usable = usable.cpu()
        source: tuple[Source, ...] = tuple("folded" if u else "fallback" for u in usable.tolist())
        out = {k: v.detach() for k, v in state.items()}
        for key in moving:
            out[key][~usable] = prior[key][~usable]
        return UserState(out, source)


def nobody(n: int) -> tuple[Source, ...]:
    """The source of ``n`` states that rest on nothing about the user."""
    sources: list[Source] = ["fallback"] * n
    return tuple(sources)


def load_model(folder: Path) -> Model:
    """A saved model.

    Raises:
        MMRecError: the folder is no model, is damaged, or was saved by a version whose weights mean something else.
    """
    storage.recover(folder)
    record = records.read(folder / "config.json", records.MODEL, "Train it again.")
    try:
        cls = registry.load("models", record["model"])
        if record["version"] != cls.version:
            raise MMRecError(
                f"{folder} was saved by version {record['version']} of '{record['model']}'; "
                f"this is {cls.version}. Train it again."
            )
        schema = Schema.from_json(record["schema"])
        tables = {k: v.numpy() for k, v in load_file(folder / "side.safetensors").items()}
        side = tuple(
            Field(
                **{**f, "vocabulary": tuple(f["vocabulary"])},
                data=tables.get(f"{f['owner']}.{f['name']}", np.zeros(0)),
                place=tables.get(f"{f['owner']}.{f['name']}.place", np.zeros(0, np.int64)),
            )
            for f in record["side"]
        )
        model: Model = cls(registry.config("models", record["model"], record["config"]), schema, side, record["seed"])
        model.name, model.catalog_checksum = record["model"], record["catalog"]
        model.spaces = record.get("spaces", {})
        model.users = IdMap(np.load(folder / "user_ids.npy", allow_pickle=False))
        model.items = IdMap(np.load(folder / "item_ids.npy", allow_pickle=False))
        if (len(model.users), len(model.items)) != (schema.n_users, schema.n_items):
            raise ValueError(
                f"ids of {len(model.users):,} users and {len(model.items):,} items, expected {schema.n_users:,} and"
                f" {schema.n_items:,}"
            )
        weights = load_file(folder / "model.safetensors")
        for key, value in model.state_dict().items():  # only buffers that start empty are sized by the data
            if value.numel() and key in weights and weights[key].shape != value.shape:
                raise MMRecError(
                    f"The weights in {folder} do not fit: {key} is {list(weights[key].shape)}, expected"
                    f" {list(value.shape)}. Train it again."
                )
        broken = next(
            (key for key, value in weights.items() if value.is_floating_point() and bool(value.isnan().any())), None
        )
        if broken is not None:
            raise MMRecError(
                f"The weights in {folder} hold values that are not numbers ({broken}), so it can recommend nothing."
                " Train it again."
            )
        _assign(model, weights)
    except (
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RuntimeError,
        SafetensorError,
        OSError,
        EOFError,
        ValueError,
    ) as error:
        raise MMRecError(
            f"{folder} does not hold a model that fits ({type(error).__name__}: {error}). Train it again."
        ) from error
    model.eval()
    return model


def _assign(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors in place; buffers may change shape (closed forms size theirs by the data), parameters may not.

    Raises:
        MMRecError: a name is missing or unknown, or a parameter's shape differs.
    """
    own = model.state_dict()
    if set(own) != set(tensors):
        odd = sorted(set(own) ^ set(tensors))
        raise MMRecError(
            f"The weights do not fit this model: {', '.join(odd[:3])} is on one side only. Train it again."
        )
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        path, _, leaf = key.rpartition(".")
        holder = model.get_submodule(path)
        if key in parameters:
            if parameters[key].shape != value.shape:
                raise MMRecError(
                    f"The weights do not fit this model: {key} is {list(value.shape)}, expected"
                    f" {list(parameters[key].shape)}. They belong to another dataset or config."
                )
            with torch.no_grad():
                parameters[key].copy_(value)
        else:
            holder.register_buffer(leaf, value.clone().to(own[key].device))


def _to(batch: Batch, device: torch.device | str) -> Batch:
    return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}


def _pick(state: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {key: tensor[rows] for key, tensor in state.items()}
