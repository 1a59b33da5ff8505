"""Base of models that read features: targets, losses, sampled negatives, batches, and fold-in of new users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmrec_core.models._base import Batch, FoldGradients, _to
from mmrec_core.models._feature_reader import FeatureBatch, FeatureReader
from mmrec_core.models._field_config import FieldConfig
from mmrec_core.models._folding import FoldInputs, RowGradients, by_autograd, mean_gradients
from mmrec_core.models._negative_sampling import FoldNegatives, unseen_items
from mmrec_core.types import Array, Head, History, Schema, Side, TrainSet, UserState, blocks

Mode = Literal["rating", "stars", "liked", "labels"]
"""What is learned: the rating as a number, its class of stars, liked or not, or the labels of a click table."""
STREAM_FROM, STREAM_BLOCK = 1 << 18, 1 << 17
"""Click tables of more than ``STREAM_FROM`` rows are read in blocks of ``STREAM_BLOCK`` rows. The order of the blocks
and the rows within each block are shuffled."""


class FieldModel(FeatureReader):
    """Base of models on features. A subclass implements :meth:`outputs`, from a
    :class:`~mmrec_core.models._feature_reader.FeatureBatch` to raw outputs."""

    family: ClassVar[str] = "features"
    needs: ClassVar[frozenset[str]] = frozenset({"rating|labels"})
    FOLD_LR: ClassVar[float] = 0.08

    def __init__(self, config: FieldConfig, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.mode: Mode = self.mode_of(config, schema)
        self.mean: Tensor
        self.levels: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("levels", torch.from_numpy(_levels(schema.scale)), persistent=False)

    # Targets and outputs

    @staticmethod
    def mode_of(config: Any, schema: Schema) -> Mode:
        """What a model of this config learns on data of this schema."""
        if "rating" in schema.has:
            modes: dict[str, Mode] = {"mse": "rating", "ce": "stars", "bce": "liked"}
            return modes[config.loss]
        return "labels" if schema.labels else "liked"

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One rating head, one ranking head, or one click head per label."""
        mode = cls.mode_of(config, schema)
        if mode == "labels":
            return tuple(Head(label, "click") for label in schema.labels)
        return (Head("liked", "ranking"),) if mode == "liked" else (Head("rating", "rating"),)

    @property
    def n_outputs(self) -> int:
        """How many numbers :meth:`outputs` gives per row."""
        return {"rating": 1, "liked": 1, "stars": len(self.levels), "labels": len(self.schema.labels)}[self.mode]

    def outputs(self, features: FeatureBatch) -> Tensor:
        """Raw outputs ``[B, O]`` from the features of a batch."""
        raise NotImplementedError

    def decode(self, out: Tensor) -> Tensor:
        """Raw outputs ``[B, O]`` as values of the heads, ``[B, H]``."""
        if self.mode == "rating":
            return self.mean + out
        return out.softmax(1) @ self.levels[:, None] if self.mode == "stars" else out

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Values of the heads, ``[B, H]``."""
        return self.decode(self.outputs(self.read_features(user, batch)))

    # Rows of an epoch

    def begin(self, train: TrainSet) -> None:
        """Compute the mean rating, the interaction matrix and the time statistics of the training rows."""
        if not self.has_items:
            return
        rows = train.interactions
        if rows.rating is not None:
            self.mean = torch.tensor(float(np.mean(np.asarray(rows.rating, np.float64))), device=self.mean.device)
        if self.past is not None:
            self.past.set_rows(rows)
        if self.moment is not None:
            self.moment.set_rows(rows)

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """All training rows; where the loss is ``bce`` on users and items, also sampled negatives."""
        batch = self.rows(train.interactions)
        if not self.has_items:
            return batch
        batch = self.targets(batch)
        if not self.samples_negatives:
            return batch
        rows = self.rows_with_negatives(batch).repeat_interleave(self.config.negatives)
        negatives = unseen_items(train, batch["user"][rows], self.generator(epoch, 2), rated=True)
        return self.with_negatives(batch, rows, negatives)

    @property
    def samples_negatives(self) -> bool:
        """Whether training adds sampled negative items to the rated ones."""
        return self.mode == "liked" and self.config.negatives > 0

    def rows_with_negatives(self, batch: Batch) -> Tensor:
        """Indices of the rows that get sampled negatives: the liked ones."""
        return torch.nonzero(batch["target"])[:, 0]

    def targets(self, batch: Batch) -> Batch:
        """Rated rows with their targets; each is part of its own user's history and of its own item's raters."""
        n, relevance_threshold = len(batch["user"]), self.schema.relevant_from
        ones = torch.ones(n)
        target = ones
        if "rating" in batch and relevance_threshold is not None:
            target = (batch["rating"] >= relevance_threshold).float()
        return {**batch, "own_user": ones, "own_item": ones, "target": target}

    def with_negatives(self, batch: Batch, rows: Tensor, items: Tensor) -> Batch:
        """A batch followed by copies of its ``rows`` with other ``items``: not liked, and in no user's history."""
        more = {key: column[rows] for key, column in batch.items()}
        zeros = torch.zeros(len(rows))
        more |= {key: zeros for key in ("target", "own_user", "own_item", "watched") if key in batch}
        more["item"] = items
        return {key: torch.cat([column, more[key]]) for key, column in batch.items()}

    def epoch_rows(self, train: TrainSet) -> int:
        """About how many rows an epoch has, sampled negatives included."""
        if self.mode != "liked" or not self.has_items:
            return len(train)
        rated = train.interactions.rating is not None and self.schema.relevant_from is not None
        return len(train) + self.config.negatives * len(train.positives if rated else train)

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide the ids of a share of users (of half of them also the history) and of items (also the raters).

        Overridden because side features stay readable: masks are added to the batch, and ids are not replaced.
        """
        share, generator = self.config.id_dropout, self.generator(epoch, 1)
        if not self.has_items or share <= 0:
            return
        for key in ("user", "item"):
            table[f"{key}_hidden"] = torch.rand(table[key].shape, generator=generator) < share
        table["past_hidden"] = table["user_hidden"] & (torch.rand(table["user"].shape, generator=generator) < 0.5)

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of an epoch. Overridden to read large click tables block by block, in a new order each epoch.

        Args:
            train: the training rows.
            epoch: number of the epoch.
            batch_size: rows per batch.
            start: number of the first batch.
        """
        if self.has_items or len(train) <= STREAM_FROM:
            yield from super().batches(train, epoch, batch_size=batch_size, start=start)
            return
        generator = self.generator(epoch, 0)
        size = max(STREAM_BLOCK // batch_size, 1) * batch_size
        parts = list(blocks(len(train), size))
        # the last block may be shorter, so it stays last
        order = torch.randperm(len(parts) - 1, generator=generator).tolist()
        for part in [*(parts[at] for at in order), parts[-1]]:
            n = part.stop - part.start
            shuffled = torch.randperm(n, generator=generator)
            n_batches = -(-n // batch_size)
            if start >= n_batches:
                start -= n_batches
                continue
            table = self.rows(train.block(part))
            for piece in list(blocks(n, batch_size))[start:]:
                rows = shuffled[piece]
                yield {key: column[rows] for key, column in table.items()}
            start = 0

    # Losses

    def row_losses(self, batch: Batch) -> Tensor:
        """Losses ``[B]``, with the L2 penalty on the vectors that a row reads."""
        return self.feature_losses(self.read_features(self.user_tensors(batch), batch), batch)

    def feature_losses(self, features: FeatureBatch, batch: Batch) -> Tensor:
        """Losses ``[B]`` from features that were read already."""
        losses = self.losses(self.outputs(features), batch)
        if not self.config.l2:
            return losses
        return losses + self.config.l2 * features.vectors[:, : self.n_vectors].square().sum((1, 2))

    def losses(self, out: Tensor, batch: Batch) -> Tensor:
        """``[B]``: squared error, cross-entropy of the classes of stars, or log-loss of liking or of labels (their
        mean)."""
        if self.mode == "rating":
            return (self.mean + out[:, 0] - batch["rating"]).square()
        if self.mode == "stars":
            nearest = (batch["rating"][:, None] - self.levels).abs().argmin(1)
            return F.cross_entropy(out, nearest, reduction="none")
        if self.mode == "liked":
            return F.binary_cross_entropy_with_logits(out[:, 0], batch["target"], reduction="none")
        target = torch.stack([batch[f"label:{name}"] for name in self.schema.labels], 1)
        return F.binary_cross_entropy_with_logits(out, target, reduction="none").mean(1)

    # New users

    def free_state(self, n: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """States of ``n`` unknown users. Overridden because fold-in fits the id embedding alone; features stay
        missing."""
        return super().free_state(n)[0], ("id",) if self.has_items else ()

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: the history is read, and the id embedding is fitted to it by gradient steps.

        Overridden because click tables have no users, and because a history without ratings does not say which items
        were liked, unless liking is what the model learns.
        """
        if not self.has_items:
            return super().fold_in(histories)
        if self.mode != "liked":
            histories = [History(np.zeros(0, np.int64)) if h.ratings is None else h for h in histories]
        return super().fold_in(histories)

    def start_state(self, histories: Sequence[History]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """First states of a fold-in: an unknown user with each history."""
        state, free = self.free_state(len(histories))
        self.add_history(histories, state)
        return state, free

    def history_rows(self, histories: Sequence[History]) -> tuple[Batch, FoldNegatives | None]:
        """The histories as rows with the features of their items, and the sampler of negatives, where the loss has
        negatives."""
        batch = self.targets(self.rows(self.as_train_set(histories).interactions))
        # `add_history` does not count an item that is not in training, so there is nothing of it to leave out
        batch["own_user"] = self.known_items[batch["item"].to(self.known_items.device)].float().cpu()
        if self.samples_negatives:
            return batch, FoldNegatives(self, batch["user"], batch["item"], self.config.negatives)
        return self._with_item_features(batch), None

    def history_epoch(self, shared: tuple[Batch, FoldNegatives | None], step: int) -> Batch:
        """The rows of one step, with the step's negatives. New users are not among the items' raters, so nothing is
        left out there."""
        batch, negatives = shared
        if negatives is not None:
            batch = self._with_item_features(self.with_negatives(batch, *negatives.draw(self.generator(step, 2))))
        return {**batch, "own_item": torch.zeros(len(batch["user"]))}

    def fold_gradients(self, shared: Any, state: dict[str, Tensor], moving: Sequence[str]) -> FoldGradients:
        """Gradients of a fold-in. Overridden because, without negatives, all steps read the same features, except for
        the id embeddings."""
        if not self.learns_as(FieldModel) or shared[1] is not None or list(moving) != ["id"]:
            return super().fold_gradients(shared, state, moving)
        batch = _to(self.history_epoch(shared, 0), self.mean.device)
        features = self.read_features(self.user_tensors({**batch, "state": state}), batch)
        if self.linear:
            features = replace(features, first_order=features.first_order - state["id"][batch["user"], -1])
        return mean_gradients(batch["user"], state["id"], self.row_gradients(FoldInputs(batch, features, self.linear)))

    def row_gradients(self, inputs: FoldInputs) -> RowGradients:
        """Gradients of each row's loss with respect to its id embedding; by autograd, unless a model overrides it."""
        return by_autograd(self.feature_losses, inputs)

    @torch.no_grad()
    def _with_item_features(self, batch: Batch) -> Batch:
        """A batch with the features of its items, which a fold-in does not change."""
        return {**batch, "films": self.item_features(batch["item"])} if self.has_items else batch


def _levels(scale: tuple[float, float] | None) -> Array:
    """Numbers of stars that a rating may have: half steps, and at most twenty steps on a long scale."""
    if scale is None:
        return np.zeros(0, np.float32)
    low, high = scale
    n = min(round(2 * (high - low)), 20)
    return np.linspace(low, high, n + 1).astype(np.float32)
