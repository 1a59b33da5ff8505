"""Deep Learning Recommendation Model: pairwise dot products of feature embeddings (Naumov et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._attribution import PairAttribution, one_row
from mmrec_core.models._feature_reader import FeatureBatch
from mmrec_core.models._field_config import FieldConfig
from mmrec_core.models._field_model import FieldModel
from mmrec_core.models._folding import FoldInputs, RowGradients, backward_pass, forward_pass
from mmrec_core.models._layers import WIDTHS, mlp, widths
from mmrec_core.types import Schema, Side, UserState


class DLRM(FieldModel):
    """Deep learning recommendation model: pairwise dot products of feature embeddings feed an MLP (Naumov et al. 2019,
    "DLRM").

    Every sparse feature (user, item, genres, occupation, a click table's columns …) has a ``d``-wide embedding; several
    values are averaged. Dense features (year, age, counts) go through a bottom MLP to one vector ``z [d]``. The top MLP
    reads ``z`` and the dot products of all pairs, ``[z ‖ ⟨v_a, v_b⟩ for a > b]``, as in the reference code; with
    ``append`` also the embeddings. With ``interaction=none`` it reads the concatenated vectors instead.
    """

    class Config(FieldConfig):
        """Settings of the features, of the interaction, and of both networks."""

        bottom: str = setting(
            "32", "widths of the hidden layers for dense features, separated by commas", pattern=WIDTHS
        )
        top: str = setting(
            "64,32", "widths of the hidden layers above the interaction, separated by commas", pattern=WIDTHS
        )
        interaction: Literal["dot", "none"] = setting(
            "dot", "interaction of features: dot, the dot products of all pairs; none, concatenation of the vectors"
        )
        append: bool = setting(
            False, "append the embeddings to their dot products as input of the top network", advanced=True
        )
        self_interaction: bool = setting(False, "include each vector's dot product with itself", advanced=True)
        dropout: float = setting(0.2, "dropout in the top network", ge=0.0, le=0.9)

    train_defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.001, "batch_size": 256, "max_epochs": 60, "patience": 5}
    version: ClassVar[int] = 2
    config: Config

    def __init__(self, config: Config, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.more_layers()
        dim, n = config.dim, self.n_vectors + bool(self.n_dense)
        self.bottom = mlp([self.n_dense, *widths(config.bottom), dim], last_activation=True) if self.n_dense else None
        self.lower: Tensor
        self.at: Tensor
        self.place: Tensor
        lower = torch.tril_indices(n, n, 0 if config.self_interaction else -1)
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("at", lower[0] * n + lower[1], persistent=False)
        self.register_buffer("place", _places(lower, n), persistent=False)
        wide = self.lower.shape[1] + (dim if self.n_dense else 0) if config.interaction == "dot" else n * dim
        wide += self.n_vectors * dim if config.interaction == "dot" and config.append else 0
        self.top = mlp([wide, *widths(config.top), self.n_outputs], config.dropout)
        self.seed_weights()

    def more_layers(self) -> None:
        """Build further item vectors; a subclass that has any adds their number to ``n_vectors``."""

    def interact(self, vectors: Tensor) -> Tensor:
        """Dot products of all pairs: ``[B, n, d] → [B, n·(n−1)/2]``, the lower triangle row by row."""
        return _Dots.apply(vectors, self.at, self.place)

    def outputs(self, features: FeatureBatch) -> Tensor:
        """Raw outputs ``[B, O]`` of the top network."""
        vectors = features.vectors
        z = self.bottom(features.dense) if self.bottom is not None else None
        everything = vectors if z is None else torch.cat([z[:, None], vectors], 1)
        if self.config.interaction == "none":
            return self.top(everything.flatten(1))
        above = [] if z is None else [z]
        above += [vectors.flatten(1)] if self.config.append else []
        return self.top(torch.cat([*above, self.interact(everything)], 1))

    def row_gradients(self, inputs: FoldInputs) -> RowGradients:
        """Gradients of each row's loss with respect to its id embedding.

        Overridden for ratings, because only the dot products with the id embedding change; the top network's backward
        pass gives their gradients.
        """
        if (
            self.mode != "rating"
            or self.config.interaction == "none"
            or self.config.append
            or self.config.self_interaction
        ):
            return super().row_gradients(inputs)
        features, target = inputs.features, inputs.batch["rating"][:, None] - self.mean
        z = self.bottom(features.dense) if self.bottom is not None else None
        everything = features.vectors if z is None else torch.cat([z[:, None], features.vectors], 1)
        id_at = 0 if z is None else 1
        others = torch.cat([everything[:, :id_at], everything[:, id_at + 1 :]], 1)
        above = 0 if z is None else z.shape[1]
        place = self.place.view(everything.shape[1], -1)[id_at]
        column = above + torch.cat([place[:id_at], place[id_at + 1 :]])
        first, rest = self.top[0], self.top[1:]
        assert isinstance(first, nn.Linear)
        weight = first.weight[:, column]
        dots = torch.bmm(others, features.vectors[:, 0, :, None])[..., 0]
        top_input = self.interact(everything) if z is None else torch.cat([z, self.interact(everything)], 1)
        constant = first(top_input) - dots @ weight.T

        def gradient(own: Tensor) -> Tensor:
            inner = torch.addmm(constant, torch.bmm(others, own[..., None])[..., 0], weight.T)
            out, kept = forward_pass(rest, inner)
            by_dots = backward_pass(rest, 2 * (out - target), kept) @ weight
            return torch.bmm(by_dots[:, None], others)[:, 0].add_(own, alpha=2 * self.config.l2)

        return gradient

    @torch.no_grad()
    def inside(self, state: UserState, item: int) -> PairAttribution | None:
        """Attribution of one prediction to the dot products; ``None`` where ``interaction`` is not ``dot``."""
        if self.config.interaction != "dot":
            return None
        self.rest()
        device = self.known_users.device
        batch = one_row(state, item, device)
        features = self.read_features(self.user_tensors(batch), batch)
        z = self.bottom(features.dense) if self.bottom is not None else None
        everything = features.vectors if z is None else torch.cat([z[:, None], features.vectors], 1)
        above = [] if z is None else [z]
        above += [features.vectors.flatten(1)] if self.config.append else []
        dots = self.interact(everything)
        top_input = torch.cat([*above, dots], 1)
        n_pairs = dots.shape[1]
        ablated = top_input.repeat(n_pairs + 1, 1)
        at = torch.arange(n_pairs, device=device)
        ablated[at + 1, at + top_input.shape[1] - n_pairs] = 0.0
        scores = self.decode(self.top(ablated))[:, 0]
        names = (["numbers"] if z is not None else []) + self.vector_names()
        a, b = self.lower[0].cpu().numpy(), self.lower[1].cpu().numpy()
        pair = [(names[i], names[j]) for i, j in zip(a, b, strict=True)]
        return PairAttribution(
            tuple(names),
            everything[0].cpu().numpy(),
            tuple(pair),
            dots[0].cpu().numpy(),
            (scores[0] - scores[1:]).cpu().numpy(),
            float(scores[0]),
        )


def _places(lower: Tensor, n: int) -> Tensor:
    """Index of the pair for each entry of a symmetric matrix ``[n · n]``; one past the last pair for other entries."""
    n_pairs = lower.shape[1]
    place, pair = torch.full((n, n), n_pairs), torch.arange(n_pairs)
    place[lower[0], lower[1]] = pair
    place[lower[1], lower[0]] = pair
    return place.flatten()


class _Dots(torch.autograd.Function):
    """Selected entries of ``V Vᵀ``; the backward pass needs one product with a symmetric matrix instead of two
    products."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, at: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(vectors, place)
        return torch.bmm(vectors, vectors.transpose(1, 2)).flatten(1).index_select(1, at)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        vectors, place = ctx.saved_tensors
        batch, n, _ = vectors.shape
        padded = torch.cat([gradient, gradient.new_zeros(batch, 1)], 1)
        symmetric = padded.index_select(1, place).view(batch, n, n)
        symmetric.diagonal(dim1=1, dim2=2).mul_(2)  # a vector with itself: both factors depend on it
        return torch.bmm(symmetric, vectors.to(gradient.dtype)).to(vectors.dtype), None, None
