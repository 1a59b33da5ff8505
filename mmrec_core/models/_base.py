"""Base classes of all models; ``docs/contracts.md`` describes the contract with an example.

A model is an ``nn.Module``, closed-form models included, so that saving, loading and moving to a device are the same
for all. A user is represented by a *state*: tensors ``[B, …]``. States of known users are gathered
(:meth:`Model.user_state`), states of new users are inferred from a history (:meth:`Model.fold_in`), and
:meth:`Model.score_states` ranks items for both. So the scores that are evaluated are computed as those for new users.
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
"""Tensors by name, one row per event. If ``state`` holds user tensors, ``user`` indexes their rows."""

FoldGradients = Callable[[int], tuple[list[Tensor], Tensor]]
"""Maps the number of a fold-in step to the gradients of each history's mean loss, ``[B, …]`` for each fitted tensor,
and to each history's number of rows ``[B]``."""

UNKNOWN = "\0unknown"
"""Name of the row for unknown ids; no raw id has this name."""


class Model(nn.Module):
    """Base of all models; see :class:`GradientModel` for models trained by gradient steps.

    Args:
        config: a checked ``Config`` of the class.
        schema: what may be known of the dataset beforehand.
        side: side information fitted on training rows.
        seed: seed of everything random in the model.
    """

    Config: ClassVar[type[AnyConfig]] = AnyConfig
    needs: ClassVar[frozenset[str]] = frozenset({"ids"})
    """What the data must have: ids, rating, labels, text, image, side, sequence, time or graph; ``a|b`` is either."""
    family: ClassVar[str] = "other"
    """Kind of model, under which lists group it: ``baseline``, ``matrix factorisation``, ``item-item``, ``graph``,
    ``sequence``, ``temporal``, ``features``, ``multimodal``, or a word of your own."""
    trains: ClassVar[bool] = False
    """Whether it is trained by gradient steps (and has :class:`~mmrec_core.config.TrainConfig` settings)."""
    streams: ClassVar[bool] = False
    """Whether it has state that :meth:`observe` updates with new events."""
    early_stopping_protocol: ClassVar[tuple[str, str]] = ("full", "frozen")
    """Protocol and regime by which early stopping evaluates validation rows on a global time split; on other splits it
    uses the full ranking, static."""
    scores_by_content: ClassVar[bool] = True
    """Whether the content of training items moves their scores; else a model that reads content learns from it, and
    scores only items outside training by it."""
    version: ClassVar[int] = 1
    earlier_names: ClassVar[Mapping[str, str]] = {}
    """Today's names of parameters and buffers by the names under which earlier versions saved them."""
    """Increased when saved weights of older versions no longer mean the same."""

    def __init__(self, config: AnyConfig, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__()
        self.config, self.schema, self.side, self.seed = config, schema, side, seed
        self.name = type(self).__module__.rsplit(".", 1)[-1]
        self.users: IdMap | None = None
        self.items: IdMap | None = None
        self.catalog_checksum = ""
        self.spaces: dict[str, str] = {}
        """Id spaces of users and items: equal ids of two models mean the same user or item only if their spaces are
        equal."""
        self.known_users: Tensor
        self.known_items: Tensor
        self.register_buffer("known_users", torch.zeros(schema.n_users + 1, dtype=torch.bool))
        self.register_buffer("known_items", torch.zeros(schema.n_items + 1, dtype=torch.bool))

    # Description

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """What the outputs mean; one ranking score by default."""
        return (Head("relevance", "ranking"),)

    def scorer_heads(self) -> tuple[Head, ...]:
        """The heads of this instance."""
        return self.heads(self.config, self.schema)

    def bind(self, dataset: Dataset) -> Self:
        """Store the dataset's ids, so that the model can be saved and queried by raw ids."""
        self.users, self.items, self.catalog_checksum = dataset.users, dataset.items, dataset.checksum
        space = dataset.manifest.get("id_space") or dataset.name
        self.spaces = {"user": dataset.name, "item": space}
        return self

    # Training

    def fit(self, train: TrainSet, progress: Progress = quiet) -> None:
        """Fit in closed form. Gradient models are trained by :func:`mmrec_core.training.fit.fit` instead."""
        raise NotImplementedError

    def mark_known(self, rows: Interactions) -> None:
        """Store which users and items occur in training; all others use the row for unknown ids."""
        for name, column in (("known_users", rows.user), ("known_items", rows.item)):
            if column is not None:
                getattr(self, name)[torch.from_numpy(np.unique(np.asarray(column)).astype(np.int64))] = True

    def mark_unseen(self, items: Array) -> None:
        """Treat items (rows) from now on as items that do not occur in training. Call it on a copy, for
        counterfactuals."""
        self.known_items[torch.as_tensor(np.asarray(items, np.int64), device=self.known_items.device)] = False
        self.forget()

    # Scoring

    def rows(self, rows: Interactions) -> Batch:
        """Events as a batch: ``user`` and ``item`` (int64), ``rating`` and ``time`` where known, one entry per feature
        of a row, and labels."""
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
        """Predictions ``[B, H]``, one column per head: ratings on the dataset's scale, clicks as log-odds."""
        state = batch.get("state")
        users, at = torch.unique(batch["user"], return_inverse=True)
        scores = (
            self.score_states(_pick(state, users)) if state is not None else self.score_all(Query(users.cpu().numpy()))
        )
        return scores[at, batch["item"]][:, None]

    @torch.no_grad()
    def score_rows(self, rows: Interactions) -> Tensor:
        """Predictions ``[N, H]`` for events, in blocks, without gradients."""
        self.rest()
        device = self.known_users.device
        parts = [
            self.predict(_to(self.rows(rows.take(np.arange(p.start, p.stop))), device)).cpu()
            for p in blocks(len(rows), 1 << 15)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.scorer_heads()))

    def score(self, users: Any, items: Any, at: Any = None) -> Tensor:
        """Predictions ``[N, H]`` for pairs of user and item rows, optionally at times in seconds."""
        user, item = np.asarray(users, np.int32), np.asarray(items, np.int32)
        return self.score_rows(
            Interactions(user=user, item=item, time=None if at is None else np.asarray(at, np.int64))
        )

    @torch.no_grad()
    def score_all(self, query: Query | UserState, items: Tensor | None = None) -> Tensor:
        """Ranking scores ``[B, I]`` of every item (or of item rows ``items``) for known users or for states."""
        self.rest()
        state = query if isinstance(query, UserState) else self.user_state(query)
        return self.score_states(state.tensors, items)

    @torch.no_grad()
    def user_state(self, query: Query) -> UserState:
        """States of known users; users who do not occur in training have the source ``fallback``."""
        user = torch.from_numpy(np.asarray(query.user, np.int64)).to(self.known_users.device)
        known = self.known_users[user].tolist()
        source: tuple[Source, ...] = tuple("learned" if k else "fallback" for k in known)
        return UserState(self.gather_users(user), source)

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Tensors ``[B, …]`` of user rows ``[B]``; every personalised model overrides it."""
        return {}

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Ranking scores ``[B, I]`` from user states; all ranking goes through this method."""
        raise NotImplementedError

    def item_vectors(self) -> Tensor | None:
        """Vectors ``[I, d]`` that are close where the model treats items as similar, or ``None``."""
        return None

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Names of the rows of weight tables, for a warm start that matches rows by name.

        Returns:
            By weight name: the kind of its rows (``user``, ``item``, ``item.features`` …) and their names.
        """
        return {}

    def names_of(self, kind: str, *extra: str) -> tuple[str, Array]:
        """Row names of a table of users or items, for :meth:`row_names`: raw ids, the unknown row, then ``extra`` rows.

        Raises:
            MMRecError: the model is not bound to a dataset.
        """
        ids = self.users if kind == "user" else self.items
        if ids is None:
            raise MMRecError("Bind the model to its dataset first: model.bind(dataset).")
        return kind, np.array([*ids.raw.astype(str), UNKNOWN, *extra], dtype=object)

    # New users and items

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users inferred from their histories, without retraining (fold-in)."""
        raise NotImplementedError

    def item_state(self, content: Mapping[str, Tensor]) -> ItemState | None:
        """States of new items from their content; ``None`` where a model uses item ids only."""
        return None

    def score_new(self, state: Mapping[str, Tensor], item: Mapping[str, Tensor]) -> Tensor:
        """Ranking scores ``[B, n]`` of ``n`` new items (:meth:`item_state`) from user states."""
        raise NotImplementedError

    # State over time

    def observe(self, events: Interactions) -> None:
        """Update the state with events after training, in time order; does nothing unless ``streams``."""

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all tensors, for :meth:`restore`."""
        return {key: value.clone() for key, value in self.state_dict().items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Restore a snapshot exactly."""
        self.forget()
        _assign(self, snapshot)

    def forget(self) -> None:
        """Clear all caches; called when weights are replaced or the device changes. There are none by default."""

    def rest(self) -> None:
        """Switch to evaluation mode, as :meth:`eval`. In evaluation mode it writes nothing, so several threads may call
        it."""
        if any(module.training for module in self.modules()):
            self.eval()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Also clear the caches, because they would stay on the old device."""
        self.forget()
        moved: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return moved

    def require(self, dataset: Dataset, name: str) -> None:
        """Check that the model was trained on this dataset; in another one, rows are other users and items.

        Args:
            dataset: the dataset that the model is to be used with.
            name: the model's name in the error, such as its run's id.

        Raises:
            MMRecError: the dataset was prepared again since.
        """
        if self.catalog_checksum != dataset.checksum:
            raise MMRecError(f"'{dataset.name}' was prepared anew since run '{name}'; train it again.")

    # On disk

    def save(self, folder: Path) -> None:
        """Write weights, side information, ids and config to a folder, atomically and without pickles.

        Raises:
            MMRecError: the model is not bound to a dataset, or the folder cannot be written.
        """
        if self.items is None or self.users is None:
            raise MMRecError("Bind the model to its dataset before saving it: model.bind(dataset).")
        try:
            self._save(folder, self.users, self.items)
        except SafetensorError as error:  # also raised when the disk is full
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
            keys = ("name", "owner", "kind", "vocabulary", "codes", "mean", "std", "log", "width")
            storage.write_json(
                draft / "config.json",
                {
                    "model": self.name,
                    "version": self.version,
                    "seed": self.seed,
                    "config": self.config.model_dump(mode="json"),
                    "schema": self.schema.to_json(),
                    "side": [{key: getattr(f, key) for key in keys} for f in self.side],
                    "catalog": self.catalog_checksum,
                    "spaces": self.spaces,
                },
            )

    def recommend_rows(self, state: UserState | Query, seen: Sequence[Any], top_k: int) -> list[tuple[Any, Any]]:
        """For each user, item rows ``[≤ top_k]`` and scores of the best items that are not in ``seen`` (item rows)."""
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
    """Base of models that are trained by gradient steps.

    A subclass implements :meth:`epoch` (rows with their negatives), :meth:`row_losses`, :meth:`forward` and
    :meth:`gather_users`; training, fold-in, scoring and saving follow from them.
    """

    trains: ClassVar[bool] = True
    train_defaults: ClassVar[Mapping[str, Any]] = {}
    """Defaults of :class:`TrainConfig` for this model, where they differ from the general ones."""
    PAIRS: ClassVar[int] = 1 << 17
    """Pairs of a user and an item scored at once, where a model scores pair by pair."""
    FOLD_STEPS: ClassVar[int] = 40
    """Gradient steps of a fold-in."""
    FOLD_LR: ClassVar[float] = 0.2
    """Adam's learning rate in a fold-in, which falls to zero along a half cosine. Forty such steps end closer to the
    result of 1,500 steps than a hundred steps of equal size."""
    FOLD_L2: ClassVar[float] = 0.02
    """L2 penalty on the difference of a folded-in state from the unknown user's state, per rating."""

    @classmethod
    def train_config(cls, settings: Mapping[str, Any]) -> TrainConfig:
        """Trainer settings: general defaults, this model's own, then the given ones."""
        return TrainConfig.model_validate({**cls.train_defaults, **settings})

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """All rows of an epoch as tensors, negatives included: a function of (seed, epoch, row) only."""
        raise NotImplementedError

    def epoch_rows(self, train: TrainSet) -> int:
        """About how many rows an epoch has, without drawing it."""
        kind = self.scorer_heads()[0].kind
        return len(train.positives) if kind == "ranking" else len(train)

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of an epoch, shuffled by (seed, epoch), from batch ``start`` on.

        Lightning may draw a batch before the step on the previous batch has ended, so a batch must not depend on state
        that ``loss`` changes. A share ``id_dropout`` of ids (where the config has it) is hidden; this trains the row
        for unknown ids.

        Args:
            train: the training rows.
            epoch: number of the epoch.
            batch_size: rows per batch.
            start: number of the first batch.
        """
        table = self.epoch(train, epoch)
        self.hide(table, epoch)
        n = len(next(iter(table.values())))
        order = torch.randperm(n, generator=self.generator(epoch, 0))
        for part in list(blocks(n, batch_size))[start:]:
            rows = order[part]
            yield {key: column[rows] for key, column in table.items()}

    def hide(self, table: Batch, epoch: int) -> None:
        """Replace a share of ids by the row for unknown ids, in place."""
        share, generator = getattr(self.config, "id_dropout", 0.0), self.generator(epoch, 1)
        for key, oov in (
            ("user", self.schema.n_users),
            ("item", self.schema.n_items),
            ("negative", self.schema.n_items),
        ):
            if key in table and share > 0:
                table[key] = torch.where(torch.rand(table[key].shape, generator=generator) < share, oov, table[key])

    def generator(self, epoch: int, purpose: int) -> torch.Generator:
        """An independent random generator for each (seed, epoch, purpose)."""
        mixed = np.random.SeedSequence([self.seed, epoch, purpose]).generate_state(2, np.uint32)
        return torch.Generator().manual_seed(int(mixed[0]) << 31 | int(mixed[1]) >> 1)

    def begin(self, train: TrainSet) -> None:
        """Called before the first step: computes statistics of the training rows. Does nothing by default."""

    def start_epoch(self, train: TrainSet, epoch: int) -> None:
        """Called before each epoch, for example to reset memories. Does nothing by default."""

    def row_losses(self, batch: Batch) -> Tensor:
        """Losses ``[B]``."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch, regularisation included."""
        return self.row_losses(batch).mean()

    def weight(self, batch: Batch) -> int:
        """Weight of a batch's loss in the mean that an epoch reports: its number of rows, by default."""
        return len(next(iter(batch.values())))

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Predictions ``[B, H]`` from user tensors ``[B, …]`` and the rest of a batch."""
        raise NotImplementedError

    def user_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """User tensors ``[B, …]`` of a batch: from its states, if it has any, else the learned ones."""
        state = batch.get("state")
        if state is not None:
            return {key: tensor[batch["user"]] for key, tensor in state.items()}
        return self.gather_users(batch["user"]) if "user" in batch else {}

    def predict(self, batch: Batch) -> Tensor:
        """Predictions ``[B, H]``; ratings are clamped to the scale."""
        out = self(self.user_tensors(batch), batch)
        if self.schema.scale is not None:
            rating = [h.kind == "rating" for h in self.scorer_heads()]
            if any(rating):
                mask = torch.tensor(rating, device=out.device)
                out = torch.where(mask, out.clamp(*self.schema.scale), out)
        return out

    def score_states(self, state: Mapping[str, Tensor], items: Tensor | None = None) -> Tensor:
        """Ranking scores ``[B, I]`` by the first head, pair by pair; models with a faster method override it."""
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
        """User rows, where users outside training are replaced by the row for unknown users."""
        return torch.where(self.known_users[users], users, self.schema.n_users)

    def oov_item(self, items: Tensor) -> Tensor:
        """Item rows, where items outside training are replaced by the row for unknown items."""
        return torch.where(self.known_items[items], items, self.schema.n_items)

    def free_state(self, n: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """States of ``n`` unknown users, and the names of the tensors that a fold-in fits."""
        state = self.gather_users(torch.full((n,), self.schema.n_users, device=self.known_users.device))
        return {k: v.detach().clone() for k, v in state.items()}, tuple(
            k for k, v in state.items() if v.is_floating_point()
        )

    def start_state(self, histories: Sequence[History]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Initial states of a fold-in, and the names of the tensors that it fits."""
        return self.free_state(len(histories))

    def history_rows(self, histories: Sequence[History]) -> Any:
        """Data of the histories that all steps of a fold-in share; :meth:`history_epoch` receives it."""
        return self.as_train_set(histories)

    def history_epoch(self, shared: Any, step: int) -> Batch:
        """The batch of one fold-in step, with negatives; ``user`` is the number of the history."""
        return self.epoch(shared, step)

    def fold_gradients(self, shared: Any, state: dict[str, Tensor], moving: Sequence[str]) -> FoldGradients:
        """A function that gives the gradients of each fold-in step: by autograd; a model may compute them directly.

        Args:
            shared: from :meth:`history_rows`.
            state: the states; those named in ``moving`` change in place between the steps.
            moving: names of the tensors that are fitted.
        """

        def gradients(step: int) -> tuple[list[Tensor], Tensor]:
            batch = _to(self.history_epoch(shared, step), self.known_users.device)
            count = torch.bincount(batch["user"], minlength=len(state[moving[0]]))
            if not len(batch["user"]):  # a step may draw no rows at all; other steps still count
                return [torch.zeros_like(state[key]) for key in moving], count
            with torch.enable_grad():
                free = [state[key].detach().requires_grad_(True) for key in moving]
                batch["state"] = {**state, **dict(zip(moving, free, strict=True))}
                loss = (self.row_losses(batch) / count.clamp(min=1)[batch["user"]]).sum()
                # only with respect to the states, so no weight gets a gradient
                return list(torch.autograd.grad(loss, free, materialize_grads=True)), count

        return gradients

    def learns_as(self, cls: type[GradientModel]) -> bool:
        """Whether rows and losses of a fold-in are those of ``cls``, so that gradients computed directly there are
        valid for this subclass, too."""
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
        best = self.schema.scale[1] if self.schema.scale else 0.0  # an item without a rating counts as liked
        ratings = [
            np.full(len(h), best, np.float32) if h.ratings is None else np.asarray(h.ratings, np.float32)
            for h in histories
        ]
        rating = np.concatenate([np.zeros(0, np.float32), *ratings]) if rated else None
        times = [np.asarray(h.times, np.int64) for h in histories if h.times is not None]
        time = np.concatenate(times) if times and len(times) == len(histories) else None
        return TrainSet(Interactions(user=user, item=item, rating=rating, time=time), self.schema, self.side, self.seed)

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users by gradient steps: a fixed number of Adam steps on the user state; all weights are
        frozen.

        Each user's loss is the mean over their own rows, so the result does not depend on the other users of the batch.
        The model is not changed, because several threads may use it at the same time.
        """
        self.rest()
        if "rating" in self.needs:  # such a model cannot use a history without ratings
            histories = [History(np.zeros(0, np.int64)) if h.ratings is None else h for h in histories]
        state, moving = self.start_state(histories)
        if not moving:
            return UserState(state, fallback_sources(len(histories)))
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
            # one operation per step instead of a dozen: the data are small, so calls dominate
            fused = all(t.device.type == "cpu" for t in free)
            gradients = self.fold_gradients(user_history, state, moving) if user_history is not None else None
            known: Tensor | None = None
            penalties: list[Tensor] = []
            for step in range(self.FOLD_STEPS if gradients is not None else 0):
                assert gradients is not None
                gradient, count = gradients(step)
                if count is not known:
                    known = count
                    usable |= count > 0
                    penalty = 2 * self.FOLD_L2 / count.clamp(min=1)
                    penalties = [penalty.view(-1, *[1] * (value.ndim - 1)) for value in free]
                for own, value, key, penalty in zip(gradient, free, moving, penalties, strict=True):
                    own.addcmul_(value - prior[key], penalty)
                rate = self.FOLD_LR * (1 + math.cos(math.pi * (step + 0.5) / self.FOLD_STEPS)) / 2
                # torch's functional Adam, without the overhead of its optimiser class
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


def fallback_sources(n: int) -> tuple[Source, ...]:
    """Sources of ``n`` states that use nothing about the user: all ``fallback``."""
    sources: list[Source] = ["fallback"] * n
    return tuple(sources)


def load_model(folder: Path) -> Model:
    """Load a saved model.

    Raises:
        MMRecError: the folder holds no model, is damaged, or was saved by a version with other weights.
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
        for key, value in model.state_dict().items():  # only buffers that start empty get their size from the data
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
    """Copy tensors into a model. Buffers may change shape (their size may depend on the data), parameters may not.

    Raises:
        MMRecError: a name is missing or unknown, or a parameter's shape differs.
    """
    earlier = getattr(model, "earlier_names", {})
    tensors = {earlier.get(key, key): value for key, value in tensors.items()}
    own = model.state_dict()
    if set(own) != set(tensors):
        odd = sorted(set(own) ^ set(tensors))
        raise MMRecError(
            f"The weights do not fit this model: {', '.join(odd[:3])} is on one side only. Train it again."
        )
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        path, _, leaf = key.rpartition(".")
        module = model.get_submodule(path)
        if key in parameters:
            if parameters[key].shape != value.shape:
                raise MMRecError(
                    f"The weights do not fit this model: {key} is {list(value.shape)}, expected"
                    f" {list(parameters[key].shape)}. They belong to another dataset or config."
                )
            with torch.no_grad():
                parameters[key].copy_(value)
        else:
            module.register_buffer(leaf, value.clone().to(own[key].device))


def _to(batch: Batch, device: torch.device | str) -> Batch:
    return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}


def _pick(state: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {key: tensor[rows] for key, tensor in state.items()}
