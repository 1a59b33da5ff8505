"""Reader of the features that feature models use: ids, side features, interaction history, time, rows of click tables.

Every sparse feature becomes an embedding of one width, every dense feature stays a number. What a model makes of them
(dot products, pair sums, experts) is in the model's own file. Ids are looked up in tables, never read as numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from mmrec_core.errors import MMRecError
from mmrec_core.models._base import Batch, GradientModel
from mmrec_core.models._feature_tables import FeatureTables
from mmrec_core.models._field_config import FieldConfig, named_fields
from mmrec_core.models._interaction_matrix import InteractionMatrix
from mmrec_core.models._time_features import SIZES, TimeFeatures
from mmrec_core.types import Array, Field, History, Interactions, Schema, Side


@dataclass
class FeatureBatch:
    """Features of a batch, as a model reads them."""

    vectors: Tensor
    """``[B, F, d]``: one embedding per sparse feature."""
    first_order: Tensor
    """``[B]``: the sum of the features' own weights; zeros where the model has none."""
    dense: Tensor
    """``[B, D]``: values of the dense features."""
    n_user: int
    """How many of the vectors belong to the user and the time; they come first."""


class FeatureReader(GradientModel):
    """Base of models that read features: holds the embeddings and reads a batch as a :class:`FeatureBatch`.

    Embeddings of a user's rated items and of an item's raters are summed over training rows, without the row that is
    being learned: with it, the model would see its own target.
    """

    linear: ClassVar[bool] = False
    """Whether each feature also has a weight of its own (first order), as in factorisation machines. It is the last
    number of the feature's embedding."""
    config: Any

    def __init__(self, config: FieldConfig, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.has_items = {"user", "item"} <= schema.has
        """Whether rows are pairs of a user and an item; else they are rows of a click table."""
        self.dim = config.dim * getattr(config, "members", 1)
        wide = self.dim + self.linear
        self.used = {owner: self._selected(owner) for owner in ("user", "item", "row")}
        sparse = {owner: [f for f in own if f.kind in ("categorical", "multi")] for owner, own in self.used.items()}
        self.numbers = {owner: [f for f in own if f.kind == "dense"] for owner, own in self.used.items()}
        if config.bins:
            sparse["row"] = [
                *sparse["row"],
                *(Field(f.name, "row", "categorical", codes=config.bins + 2) for f in self.numbers["row"]),
            ]
        by_cardinality = config.widths == "cardinality"
        self.tables = nn.ModuleDict({o: FeatureTables(own, wide, by_cardinality) for o, own in sparse.items() if own})
        self.n_dense = sum(len(own) for own in self.numbers.values())
        self.n_vectors = len(sparse["user"]) + len(sparse["item"]) + len(sparse["row"])
        self.past = self.moment = None
        if self.has_items:
            self.user_id = nn.Embedding(schema.n_users + 1, wide)
            self.item_id = nn.Embedding(schema.n_items + 1, wide)
            self.n_vectors += 2
            for owner, n in (("user", schema.n_users), ("item", schema.n_items)):
                self._register_features(owner, n)
            if config.history or config.counts:
                self.past = InteractionMatrix(schema.n_users, schema.n_items)
            if config.history:
                self.rated = nn.Embedding(schema.n_items + 1, wide)
                self.raters = nn.Embedding(schema.n_users + 1, wide)
                self.n_vectors += 2
            self.n_dense += 2 * config.counts
            if config.time and "time" in schema.has:
                self.moment = TimeFeatures(schema.n_users)
                kinds = [
                    Field(n, "row", "categorical", codes=size - 1)
                    for n, size in zip(("week", "since"), SIZES, strict=True)
                ]
                self.tables["time"] = FeatureTables(kinds, wide, False)
                self.n_vectors += 2
                if self.linear:
                    self.drift = nn.Embedding(schema.n_users + 1, 1)
        if not self.n_vectors + self.n_dense:
            raise MMRecError(
                f"Nothing is left to read: fields is '{config.fields}', and these data have no users and films."
            )
        self._cache: dict[str, Any] | None = None

    def _selected(self, owner: str) -> list[Field]:
        """Features of an owner that the config selects.

        Raises:
            MMRecError: the config names a feature that the dataset does not have.
        """
        wanted = named_fields(self.side, self.config.fields)
        return [f for f in self.side if f.owner == owner and f.name in wanted and f.kind != "vector"]

    def _register_features(self, owner: str, n: int) -> None:
        """Register codes and numbers of all users or items as buffers; the unknown row's are 0."""
        if owner in self.tables:
            tables: Any = self.tables[owner]
            codes = [np.concatenate([f.data, np.zeros((1, *f.data.shape[1:]), f.data.dtype)]) for f in tables.fields]
            self.register_buffer(f"{owner}_codes", torch.from_numpy(tables.pack(codes)), persistent=False)
        numbers = [np.append(f.data, np.float32(0)) for f in self.numbers[owner]]
        values = np.stack(numbers, 1) if numbers else np.zeros((n + 1, 0), np.float32)
        self.register_buffer(f"{owner}_numbers", torch.from_numpy(values), persistent=False)

    def seed_weights(self) -> None:
        """Initialise all weights from the seed. Subclasses call it once, after their layers are built."""
        generator = self.generator(0, 9)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, 0.0, self.config.init, generator=generator)
                if module.embedding_dim == 1:
                    nn.init.zeros_(module.weight)
                elif self.linear and module.embedding_dim == self.dim + 1:
                    nn.init.zeros_(module.weight[:, -1])
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            for tables in self.tables.values():
                if isinstance(tables, FeatureTables) and tables.widths is None:
                    tables.table.weight[torch.from_numpy(tables.offsets)] = 0.0
                    tables.table.weight[tables.pad] = 0.0

    # Users and items

    def rows(self, rows: Interactions) -> Batch:
        """Events as a batch; the features of a click table's row are packed into ``codes`` and ``numbers``."""
        batch = super().rows(rows)
        if self.used["row"]:
            values = {f.name: batch.pop(f.name).numpy() for f in self.side if f.owner == "row" and f.name in batch}
            if "row" in self.tables:
                tables: Any = self.tables["row"]
                binned = {f.name: f for f in self.numbers["row"]}
                codes = [
                    binned[f.name].steps(rows.features[f.name], self.config.bins)
                    if f.name in binned
                    else values[f.name]
                    for f in tables.fields
                ]
                batch["codes"] = torch.from_numpy(tables.pack(codes))
            numbers = [values[f.name] for f in self.numbers["row"]]
            batch["numbers"] = torch.from_numpy(np.stack(numbers, 1)) if numbers else torch.zeros(len(rows), 0)
        return batch

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """Everything the model reads of users ``[B]``: id embedding, features, numbers, rated items, times."""
        if not self.has_items:
            return {}
        state = {"id": self.user_id(self.oov_user(user)), "numbers": self.get_buffer("user_numbers")[user]}
        if "user" in self.tables:
            state["fields"] = self.tables["user"](self.get_buffer("user_codes")[user])
        if self.past is not None:
            state["count"] = self.past.user_count[user]
        if self.config.history:
            state["rated"] = self._history_sums("rated")[user]
        if self.moment is not None:
            state["span"] = self.moment.spans(user)
            if self.linear:
                state["drift"] = self.drift(self.oov_user(user))[:, 0]
        return state

    def user_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """User tensors of a batch, without the ids and histories that training hides."""
        state = super().user_tensors(batch)
        if (hidden := batch.get("user_hidden")) is not None:
            state["id"] = torch.where(hidden[:, None], self.user_id.weight[-1], state["id"])
            no_history = batch["past_hidden"]
            for key in ("count", "rated"):
                if key in state:
                    mask = no_history if state[key].ndim == 1 else no_history[:, None]
                    state[key] = state[key].masked_fill(mask, 0.0)
        return state

    def item_features(self, item: Tensor) -> dict[str, Tensor]:
        """Everything the model reads of items ``[B]``; outside training from a cache of every item."""
        if not self.training and not torch.is_grad_enabled():
            every: dict[str, Tensor] | None = (self._cache or {}).get("items")
            if every is None:
                every = self._item_features(torch.arange(self.schema.n_items + 1, device=item.device))
                self._cache = {**(self._cache or {}), "items": every}
            return {name: column[item] for name, column in every.items()}
        return self._item_features(item)

    def _item_features(self, item: Tensor) -> dict[str, Tensor]:
        found = {"id": self.item_id(self.oov_item(item)), "numbers": self.get_buffer("item_numbers")[item]}
        if "item" in self.tables:
            found["fields"] = self.tables["item"](self.get_buffer("item_codes")[item])
        if self.past is not None:
            found["count"] = self.past.item_count[item]
        if self.config.history:
            found["raters"] = self._history_sums("raters")[item]
        return found

    def _history_sums(self, name: str) -> Tensor:
        """Sums of ``rated`` by user, or of ``raters`` by item; cached outside training."""
        # read the cache once: another thread may replace it meanwhile
        cached: Tensor | None = (self._cache or {}).get(name)
        if cached is not None:
            return cached
        assert self.past is not None
        sums = self.past.user_sums(self.rated.weight) if name == "rated" else self.past.item_sums(self.raters.weight)
        if not self.training and not sums.requires_grad:
            self._cache = {**(self._cache or {}), name: sums}
        return sums

    def train(self, mode: bool = True) -> Self:
        """Clear the caches where weights may have changed: when training begins or ends."""
        if mode or self.training:
            self._cache = None
        return super().train(mode)

    def forget(self) -> None:
        """Clear the cached sums over histories and the cached features of items."""
        self._cache = None

    # Batches

    def read_features(self, user: Mapping[str, Tensor], batch: Batch) -> FeatureBatch:
        """All features of a batch; the user's vectors come first.

        Args:
            user: user tensors ``[B, …]`` of :meth:`gather_users`.
            batch: ``item`` ``[B]`` and what else is known of the rows. ``own_user`` and ``own_item`` ``[B]`` are 1
                where a row is part of its own user's history and of its own item's raters, else 0.
        """
        of_user, of_item, numbers, extra = [], [], [], None
        if self.has_items:
            row = batch["item"]
            item = dict(batch["films"]) if "films" in batch else self.item_features(row)
            own_user, own_item = batch.get("own_user"), batch.get("own_item")
            user_count, item_count = user.get("count"), item.get("count")
            hidden = batch.get("item_hidden")
            if own_user is not None and own_item is not None and user_count is not None and item_count is not None:
                own_user = own_user if "past_hidden" not in batch else own_user.masked_fill(batch["past_hidden"], 0.0)
                user_count, item_count = user_count - own_user, item_count - own_item
            if hidden is not None:
                item["id"] = torch.where(hidden[:, None], self.item_id.weight[-1], item["id"])
                item_count = None if item_count is None else item_count.masked_fill(hidden, 0.0)
            of_user, of_item = [user["id"][:, None]], [item["id"][:, None]]
            numbers = [user["numbers"], item["numbers"]]
            of_user += [user["fields"]] if "fields" in user else []
            of_item += [item["fields"]] if "fields" in item else []
            if self.config.history:
                assert user_count is not None and item_count is not None
                rated, raters = user["rated"], item["raters"]
                if own_user is not None and own_item is not None:
                    rated = rated - own_user[:, None] * self.rated(row)
                    raters = raters - own_item[:, None] * self.raters(batch["user"].clamp(max=self.schema.n_users))
                raters = raters if hidden is None else raters.masked_fill(hidden[:, None], 0.0)
                of_user.append((rated * user_count.clamp(min=1).rsqrt()[:, None])[:, None])
                of_item.append((raters * item_count.clamp(min=1).rsqrt()[:, None])[:, None])
            if self.config.counts:
                # no mean ratings: together with the user's id, a mean without the row's own rating reveals that rating
                assert user_count is not None and item_count is not None
                numbers.append(torch.stack([user_count.log1p() / 5, item_count.log1p() / 5], 1))
            if self.moment is not None:
                span = user["span"]
                time = batch["time"] if "time" in batch else span[:, 2]
                of_user.append(self.tables["time"](self.moment.codes(time, span)))
                if self.linear:
                    extra = user["drift"] * self.moment.deviation(time, span)
            of_item += self.extra_item_vectors(item, batch)
        if "codes" in batch:
            of_item.append(self.tables["row"](batch["codes"]))
        if "numbers" in batch:
            numbers.append(batch["numbers"])
        like = batch["item"] if self.has_items else batch.get("codes", batch.get("numbers"))
        assert like is not None
        vectors = (
            torch.cat([*of_user, *of_item], 1)
            if of_user or of_item
            else torch.zeros(len(like), 0, self.dim + self.linear)
        )
        dense = torch.cat(numbers, 1) if numbers else torch.zeros(len(like), 0, device=vectors.device)
        first_order = vectors.new_zeros(len(like)) if extra is None else extra
        if self.linear:
            first_order, vectors = first_order + vectors[..., -1].sum(1), vectors[..., :-1]
        return FeatureBatch(vectors, first_order, dense, sum(part.shape[1] for part in of_user))

    def extra_item_vectors(self, item: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """Further vectors ``[B, 1, d]`` of items; none by default."""
        return []

    def vector_names(self) -> list[str]:
        """Names of :attr:`FeatureBatch.vectors` for display, in order."""
        sparse = {o: [f.name for f in own if f.kind in ("categorical", "multi")] for o, own in self.used.items()}
        found = [*sparse["row"], *([f.name for f in self.numbers["row"]] if self.config.bins else [])]
        if not self.has_items:
            return found
        of_user = ["user", *(f"user's {n}" for n in sparse["user"]), *["films rated"] * bool(self.config.history)]
        of_user += ["week", "time since first rating"] if self.moment is not None else []
        of_item = ["film", *(f"film's {n}" for n in sparse["item"]), *["who rated it"] * bool(self.config.history)]
        return [*of_user, *of_item, *self.extra_vector_names(), *found]

    def extra_vector_names(self) -> list[str]:
        """Names of :meth:`extra_item_vectors` for display."""
        return []

    def item_vectors(self) -> Tensor | None:
        """The sum of all of an item's vectors, ``[I, d]``: what dot products with the user's vectors see."""
        if not self.has_items:
            return None
        with torch.no_grad():
            self.rest()
            every = torch.arange(self.schema.n_items, device=self.known_items.device)
            item = self.item_features(every)
            parts = [item["id"][:, None]] + ([item["fields"]] if "fields" in item else [])
            if self.config.history:
                parts.append((item["raters"] * item["count"].clamp(min=1).rsqrt()[:, None])[:, None])
            parts += self.extra_item_vectors(item, {"item": every})
            return torch.cat(parts, 1).sum(1)[:, : self.dim]

    # New users

    @torch.no_grad()
    def add_history(self, histories: Sequence[History], state: dict[str, Tensor]) -> None:
        """Write what histories contain into states, in place: which items were rated, how many, and when."""
        device = self.known_items.device
        for at, history in enumerate(histories):
            if not len(history):
                continue
            items = torch.as_tensor(np.asarray(history.items, np.int64), device=device)
            items = items[self.known_items[items]]  # an item that is not in training has no trained embedding
            if "count" in state:
                state["count"][at] = len(items)
            if "rated" in state:
                state["rated"][at] = self.rated(items).sum(0)
            if "span" in state and history.times is not None:
                times = np.asarray(history.times, np.int64)
                span = [times.min(), int(times.mean()), times.max()]
                state["span"][at] = torch.tensor(span, device=device)

    # Names

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and items by their ids, features by their values."""
        found: dict[str, tuple[str, Array]] = {}
        if self.has_items:
            users, items = self.names_of("user"), self.names_of("item")
            found |= {"user_id.weight": users, "item_id.weight": items}
            if self.config.history:
                found |= {"rated.weight": items, "raters.weight": users}
            if hasattr(self, "drift"):
                found["drift.weight"] = users
        for owner, tables in self.tables.items():
            if isinstance(tables, FeatureTables):
                found |= tables.row_names(f"tables.{owner}", f"{owner}.features")
        return found


def with_dense(features: FeatureBatch, table: nn.Embedding) -> tuple[Tensor, Tensor]:
    """First-order terms ``[B]`` and vectors ``[B, F + D, d]`` with every dense feature as a vector, too (Rendle 2010).

    A dense feature's vector is its row ``[d + 1]`` of ``table`` times its value; the row's last number is its weight.
    """
    scaled = features.dense[..., None] * table.weight[: features.dense.shape[1]]
    return features.first_order + scaled[..., -1].sum(1), torch.cat([features.vectors, scaled[..., :-1]], 1)


def pair_sum(vectors: Tensor) -> Tensor:
    """``Σ_{a<b} ⟨v_a, v_b⟩`` of ``[B, F, d]``, in time linear in ``F`` (Rendle 2010): ``[B]``."""
    return 0.5 * (vectors.sum(1).square().sum(1) - vectors.square().sum((1, 2)))
