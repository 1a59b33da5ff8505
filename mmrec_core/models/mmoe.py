"""Multi-gate Mixture-of-Experts for several tasks (Ma et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import setting
from mmrec_core.models._attribution import one_row
from mmrec_core.models._base import Batch
from mmrec_core.models._feature_reader import FeatureBatch
from mmrec_core.models._field_config import FieldConfig
from mmrec_core.models._field_model import FieldModel
from mmrec_core.models._layers import WIDTHS, mlp, side_by_side, widths
from mmrec_core.types import Head, Schema, Side, TrainSet, UserState

PRESETS: dict[str, dict[str, Any]] = {
    "mmoe": {},
    "shared_bottom": {"sharing": "bottom", "expert": "256,64"},
    "single_task": {"sharing": "none"},
}
SUMMARIES = {
    "shared_bottom": "One network shared by all tasks, with a tower for each: MMoE's baseline (Ma et al. 2018).",
    "single_task": "A network of its own for each task: MMoE's baseline without sharing (Ma et al. 2018).",
}


class MMoE(FieldModel):
    """Multi-gate mixture of experts: tasks share experts, and each task weights them by its own gate (Ma et al. 2018,
    "MMoE").

    ``f_k = Σ_e g_k(x)_e · expert_e(x)`` with ``g_k = softmax(W_k x)``, then a tower per task, for any number of tasks.
    On a click table every label is a task. On ratings there are three tasks: the rating, whether the item is liked, and
    whether it is watched (rated items against sampled ``negatives``). Each task adds its share of the dot product of
    user and item; items are ranked by the log-probability of watched *and* liked. Its baselines are presets: one
    network under all towers (``shared_bottom``), and one network under each tower (``single_task``).
    """

    class Config(FieldConfig):
        """Settings of the features, and of experts, gates and towers."""

        sharing: Literal["experts", "bottom", "none"] = setting(
            "experts", "what tasks share: experts with a gate per task, one network, or nothing"
        )
        experts: int = setting(8, "number of experts", ge=1, le=64)
        expert: str = setting("64,32", "widths of an expert's layers, separated by commas", pattern=WIDTHS)
        tower: str = setting("16", "widths of a task's own hidden layers, separated by commas", pattern=WIDTHS)
        dropout: float = setting(0.1, "dropout in the experts", ge=0.0, le=0.9)
        init: float = setting(
            0.1, "standard deviation of the embeddings before training", ge=1e-4, le=1.0, log=True, advanced=True
        )
        l2: float = setting(0.01, "L2 penalty on the embeddings a row reads", ge=0.0, le=10.0, log=True)
        id_dropout: float = setting(
            0.02,
            "share of rows whose user or film is hidden in training, which trains the embeddings of unknown ids",
            ge=0.0,
            le=0.9,
        )

    FOLD_STEPS: ClassVar[int] = 30
    """Steps through experts and towers are slow; thirty steps end as close to the optimum as 120 steps of equal
    size."""
    train_defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 0.003,
        "batch_size": 256,
        "max_epochs": 60,
        "patience": 20,
        "weight_decay": 0.5,
    }
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.tasks = [head.name for head in self.heads(config, schema)]
        n_tasks, wide = len(self.tasks), (self.n_vectors + self.has_items) * config.dim + self.n_dense
        layers = widths(config.expert) or [config.dim]
        n_experts = {"experts": config.experts, "bottom": 1, "none": n_tasks}[config.sharing]
        self.experts = nn.ModuleList(
            mlp([wide, *layers], config.dropout, last_activation=True) for _ in range(n_experts)
        )
        self.gate = nn.Linear(wide, n_tasks * n_experts) if config.sharing == "experts" else None
        self.towers = nn.ModuleList(mlp([layers[-1], *widths(config.tower), 1]) for _ in self.tasks)
        if self.has_items:
            self.share = nn.Parameter(torch.ones(n_tasks))
            """Weight of the dot product of user and item in each task; MLPs learn dot products slowly (Rendle et al.
            2020)."""
        self.seed_weights()

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One click head per label; on ratings first the head that items are ranked by."""
        if cls.mode_of(config, schema) == "labels":
            return tuple(Head(label, "click") for label in schema.labels)
        rated = (Head("rating", "rating"),) if "rating" in schema.has else ()
        return (Head("liked", "ranking"), *rated, Head("watched", "ranking"))

    @property
    def n_outputs(self) -> int:
        """One output per task."""
        return len(self.tasks)

    def epoch_rows(self, train: TrainSet) -> int:
        """About how many rows an epoch has: rated items and sampled negatives, or all rows of a click table."""
        return len(train) * (1 + self.config.negatives) if self.has_items else len(train)

    @property
    def samples_negatives(self) -> bool:
        """Whether training adds sampled negatives. Overridden because the task *watched* always needs them."""
        return self.has_items and self.config.negatives > 0

    def rows_with_negatives(self, batch: Batch) -> Tensor:
        """All rows, because every rated item gets sampled negatives."""
        return torch.arange(len(batch["user"]))

    def targets(self, batch: Batch) -> Batch:
        """Also the target of *watched*: 1 for rated items; sampled negatives get 0 and have no other target."""
        return {**super().targets(batch), "watched": torch.ones(len(batch["user"]))}

    def gates(self, inputs: Tensor) -> Tensor:
        """Weights ``[B, tasks, experts]`` of the experts in each task, which sum to 1 over experts."""
        assert self.gate is not None
        return self.gate(inputs).view(len(inputs), len(self.tasks), -1).softmax(-1)

    def inputs(self, features: FeatureBatch) -> Tensor:
        """Input ``[B, W]`` of the experts: all vectors and numbers, on ratings also :meth:`user_item_product`."""
        product = [self.user_item_product(features)] if self.has_items else []
        return torch.cat([features.vectors.flatten(1), features.dense, *product], 1)

    @staticmethod
    def user_item_product(features: FeatureBatch) -> Tensor:
        """The element-wise product of the sum of the user's vectors and the sum of the item's: ``[B, d]``."""
        return features.vectors[:, : features.n_user].sum(1) * features.vectors[:, features.n_user :].sum(1)

    def outputs(self, features: FeatureBatch) -> Tensor:
        """Raw outputs ``[B, tasks]``."""
        inputs = self.inputs(features)
        hidden = side_by_side(self.experts, inputs)
        if self.gate is not None:
            hidden = torch.bmm(self.gates(inputs), hidden.transpose(0, 1)).transpose(0, 1)
        elif len(hidden) == 1:
            hidden = hidden.expand(len(self.tasks), -1, -1)
        out = side_by_side(self.towers, hidden)[..., 0].T
        return out + self.user_item_product(features).sum(1, keepdim=True) * self.share if self.has_items else out

    @torch.no_grad()
    def gate_weights(self, state: UserState, item: int) -> dict[str, list[float]]:
        """Weights of the experts for one user and one item, by task; they sum to 1. Empty without gates."""
        if self.gate is None:
            return {}
        self.rest()
        batch = one_row(state, item, self.known_users.device)
        found = self.gates(self.inputs(self.read_features(self.user_tensors(batch), batch)))[0]
        return dict(zip(self.tasks, found.double().tolist(), strict=True))

    def decode(self, out: Tensor) -> Tensor:
        """``[B, H]``: labels as log-odds; on ratings log P(watched and liked), the rating, log-odds of watched."""
        if not self.has_items:
            return out
        liked = F.logsigmoid(out[:, :1]) + F.logsigmoid(out[:, -1:])
        return torch.cat([liked, *([self.mean + out[:, 1:2]] if "rating" in self.tasks else []), out[:, -1:]], 1)

    def losses(self, out: Tensor, batch: Batch) -> Tensor:
        """Losses ``[B]``: the mean over tasks; liked and rating have a loss only where the item was watched."""
        if not self.has_items:
            return super().losses(out, batch)
        watched = batch["watched"]
        parts = [F.binary_cross_entropy_with_logits(out[:, -1], watched, reduction="none")]
        if "rating" in self.tasks:  # without ratings every watched item is liked
            parts.append(watched * F.binary_cross_entropy_with_logits(out[:, 0], batch["target"], reduction="none"))
            parts.append(watched * (self.mean + out[:, 1] - batch["rating"]).square())
        else:
            parts.append(F.binary_cross_entropy_with_logits(out[:, 0], watched, reduction="none"))
        return torch.stack(parts, 1).mean(1)
