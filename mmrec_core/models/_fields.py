"""Base of the models that read features: ids, side information, the past, the moment, whole rows of a click table.

Every sparse feature is a vector of one width, every dense one a number; what a model makes of them (dot products, pair
sums, experts) is its own file's business. Ids are looked up in tables, never read as numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmrec_core.config import Config, setting
from mmrec_core.errors import MMRecError
from mmrec_core.models._base import Batch, FoldGradients, GradientModel, _to
from mmrec_core.models._folding import Fixed, RowGradients, by_autograd, means
from mmrec_core.models._interaction_matrix import InteractionMatrix
from mmrec_core.models._negative_sampling import ByPlace, unseen_items
from mmrec_core.models._time_features import SIZES, Moment
from mmrec_core.types import Array, Field, Head, History, Interactions, Schema, Side, TrainSet, UserState, blocks

Mode = Literal["rating", "stars", "liked", "labels"]
STREAM_FROM, STREAM_BLOCK = 1 << 18, 1 << 17
"""Tables of more rows are read in blocks of so many, shuffled block by block and within each."""
COMMON = 64
"""Features of more values are left out of ``common``: on small data they are learned by heart."""


class FieldConfig(Config):
    """What is read, and how it is held down."""

    dim: int = setting(16, "width of every embedding", ge=2, le=512, log=True)
    fields: str = setting(
        "common",
        "features of users, films or rows to read where the dataset has them: names separated by commas; 'common', all"
        " but those of films with very many values (directors, cast, tags); 'all'; '-age' leaves one out; empty: ids"
        " only",
    )
    history: bool = setting(
        True,
        "read which films the user has rated, and who has rated the film (training rows only, a row's own left out)",
    )
    counts: bool = setting(True, "read how many ratings user and film have (training rows only)")
    time: bool = setting(
        True, "read the week of the rating and the minutes since the user's first one, where times are known"
    )
    bins: int = setting(
        64,
        "steps in which a click table's numbers are also read as categories; 0: as numbers alone",
        ge=0,
        le=64,
        advanced=True,
    )
    widths: Literal["equal", "cardinality"] = setting(
        "equal",
        "widths of feature tables: equal; or by cardinality, 6·⁴√values at most, lifted to dim by a matrix (Ginart et"
        " al. 2021)",
        advanced=True,
    )
    loss: Literal["mse", "bce", "ce"] = setting(
        "mse",
        "what is learned from ratings: mse, the rating; ce, how likely each number of stars is; bce, whether it is"
        " liked (click labels always by bce)",
    )
    negatives: int = setting(
        4,
        "with bce on user and film: films drawn at random per liked one, taught as not liked, anew each epoch",
        ge=0,
        le=64,
    )
    l2: float = setting(0.05, "pull of the vectors a row reads towards zero", ge=0.0, le=10.0, log=True)
    id_dropout: float = setting(
        0.02,
        "share of rows whose user or film is hidden in training, which teaches what to make of the unknown",
        ge=0.0,
        le=0.9,
    )
    init: float = setting(0.02, "spread of the embeddings before training", ge=1e-4, le=1.0, log=True, advanced=True)


@dataclass
class Looked:
    """What a batch reads."""

    vectors: Tensor
    """``[B, F, d]``: one vector per sparse feature."""
    first: Tensor
    """``[B]``: the sum of the features' own weights; zeros where the model has none."""
    dense: Tensor
    """``[B, D]``."""
    users: int
    """How many of the vectors belong to the user and the moment; they come first."""


class _Rows(torch.autograd.Function):
    """Rows ``[…, d]`` of a table; on one thread the way back adds narrow rows up 2.5 times faster than an embedding's
    own.

    On several it would add them in an order of chance, so there the embedding's own is used.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, at: Tensor, pad: int) -> Tensor:
        ctx.save_for_backward(at)
        ctx.shape, ctx.pad = table.shape, pad
        return F.embedding(at, table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (at,) = ctx.saved_tensors
        found = gradient.new_zeros(ctx.shape)
        found.index_put_((at,), gradient, accumulate=True)
        found[ctx.pad] = 0.0
        return found, None, None


class Tables(nn.Module):
    """The sparse features of one owner, in one table, looked up at once: codes ``[B, W]`` → vectors ``[B, F, d]``.

    Single-valued features stand first; a multi-valued one is the mean of its values' vectors. Missing values are zero
    until training meets one.
    """

    def __init__(self, fields: Sequence[Field], dim: int, by_cardinality: bool) -> None:
        super().__init__()
        self.single = [f for f in fields if f.kind == "categorical"]
        self.multi = [f for f in fields if f.kind == "multi"]
        self.fields = [*self.single, *self.multi]
        sizes = [f.size for f in self.fields]
        self.offsets = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64) if sizes else np.zeros(0, np.int64)
        self.pad, self.dim = sum(sizes), dim
        self.narrow = [min(dim, max(2, round(6 * n**0.25))) for n in sizes] if by_cardinality else None
        if self.narrow is None:
            self.table = nn.Embedding(self.pad + 1, dim, padding_idx=self.pad)
        else:
            self.parts = nn.ModuleList(nn.Embedding(n, w) for n, w in zip(sizes, self.narrow, strict=True))
            self.lift = nn.ModuleList(nn.Linear(w, dim, bias=False) for w in self.narrow)

    def pack(self, codes: Sequence[Array]) -> Array:
        """Each feature's codes, ``[n]`` or ``[n, width]``, side by side as rows of the one table: int64 ``[n, W]``."""
        lines = []
        for field, offset, own in zip(self.fields, self.offsets, codes, strict=True):
            own = np.asarray(own, np.int64)
            lines.append(
                (own + offset)[:, None] if field.kind == "categorical" else np.where(own > 0, own + offset, self.pad)
            )
        return np.concatenate(lines, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """``[B, W]`` → ``[B, F, d]``."""
        if self.narrow is None:
            alone = codes.device.type == "cpu" and torch.get_num_threads() == 1
            found = _Rows.apply(self.table.weight, codes, self.pad) if alone else self.table(codes)
        else:
            found, at = codes.new_zeros(*codes.shape, self.dim, dtype=torch.float32), 0
            for field, offset, part, lift in zip(
                self.fields, self.offsets.tolist(), self.parts, self.lift, strict=True
            ):
                wide = slice(at, at := at + (1 if field.kind == "categorical" else field.width))
                there = (codes[:, wide] != self.pad)[..., None]
                found[:, wide] = lift(part(torch.where(there[..., 0], codes[:, wide] - offset, 0))) * there
        n = len(self.single)
        if not self.multi:
            return found
        vectors, at = [found[:, :n]], n
        for field in self.multi:
            there = (codes[:, at : at + field.width] != self.pad).sum(1).clamp(min=1)
            vectors.append((found[:, at : at + field.width].sum(1) / there[:, None])[:, None])
            at += field.width
        return torch.cat(vectors, 1)

    def row_names(self, prefix: str, owner: str) -> dict[str, tuple[str, Array]]:
        """Values by name, for the tables whose values have one."""
        labels = [
            [f"\0{f.name}", *([f"{f.name}={v}" for v in f.vocabulary] or [f"\0{f.name}#{c}" for c in range(f.codes)])]
            for f in self.fields
        ]
        if self.narrow is None:
            return {f"{prefix}.table.weight": (owner, np.array([*sum(labels, []), "\0pad"], dtype=object))}
        return {f"{prefix}.parts.{at}.weight": (owner, np.array(own, dtype=object)) for at, own in enumerate(labels)}


class FieldModel(GradientModel):
    """Looks features up; a subclass says what it makes of them in :meth:`outputs`."""

    needs: ClassVar[frozenset[str]] = frozenset({"rating|labels"})
    linear: ClassVar[bool] = False
    """Each feature also has a weight of its own (first order), as factorisation machines do."""
    FOLD_LR: ClassVar[float] = 0.08
    config: Any

    def __init__(self, config: FieldConfig, schema: Schema, side: Side = (), seed: int = 0) -> None:
        super().__init__(config, schema, side, seed)
        self.mode: Mode = self.mode_of(config, schema)
        self.of_films = {"user", "item"} <= schema.has
        self.dim = config.dim * getattr(config, "members", 1)
        wide = self.dim + self.linear
        self.used = {owner: self._chosen(owner) for owner in ("user", "item", "row")}
        sparse = {owner: [f for f in own if f.kind in ("categorical", "multi")] for owner, own in self.used.items()}
        self.numbers = {owner: [f for f in own if f.kind == "dense"] for owner, own in self.used.items()}
        if config.bins:
            sparse["row"] = [
                *sparse["row"],
                *(Field(f.name, "row", "categorical", codes=config.bins + 2) for f in self.numbers["row"]),
            ]
        by_cardinality = config.widths == "cardinality"
        self.tables = nn.ModuleDict({o: Tables(own, wide, by_cardinality) for o, own in sparse.items() if own})
        self.mean: Tensor
        self.levels: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("levels", torch.from_numpy(_levels(schema.scale)), persistent=False)
        self.n_dense = sum(len(own) for own in self.numbers.values())
        self.n_vectors = len(sparse["user"]) + len(sparse["item"]) + len(sparse["row"])
        self.past = self.moment = None
        if self.of_films:
            self.user_id = nn.Embedding(schema.n_users + 1, wide)
            self.item_id = nn.Embedding(schema.n_items + 1, wide)
            self.n_vectors += 2
            for owner, n in (("user", schema.n_users), ("item", schema.n_items)):
                self._keep(owner, n)
            if config.history or config.counts:
                self.past = InteractionMatrix(schema.n_users, schema.n_items)
            if config.history:
                self.rated = nn.Embedding(schema.n_items + 1, wide)
                self.raters = nn.Embedding(schema.n_users + 1, wide)
                self.n_vectors += 2
            self.n_dense += 2 * config.counts
            if config.time and "time" in schema.has:
                self.moment = Moment(schema.n_users)
                kinds = [
                    Field(n, "row", "categorical", codes=size - 1)
                    for n, size in zip(("week", "since"), SIZES, strict=True)
                ]
                self.tables["time"] = Tables(kinds, wide, False)
                self.n_vectors += 2
                if self.linear:
                    self.drift = nn.Embedding(schema.n_users + 1, 1)
        if not self.n_vectors + self.n_dense:
            raise MMRecError(
                f"Nothing is left to read: fields is '{config.fields}', and these data have no users and films."
            )
        self._kept: dict[str, Any] | None = None

    def _chosen(self, owner: str) -> list[Field]:
        """Fields of an owner that the config asks for.

        Raises:
            MMRecError: it names one that the dataset does not have.
        """
        wanted = named_fields(self.side, self.config.fields)
        return [f for f in self.side if f.owner == owner and f.name in wanted and f.kind != "vector"]

    def _keep(self, owner: str, n: int) -> None:
        """Codes and numbers of all users or items; the unknown one has none."""
        if owner in self.tables:
            tables: Any = self.tables[owner]
            codes = [np.concatenate([f.data, np.zeros((1, *f.data.shape[1:]), f.data.dtype)]) for f in tables.fields]
            self.register_buffer(f"{owner}_codes", torch.from_numpy(tables.pack(codes)), persistent=False)
        numbers = [np.append(f.data, np.float32(0)) for f in self.numbers[owner]]
        held = np.stack(numbers, 1) if numbers else np.zeros((n + 1, 0), np.float32)
        self.register_buffer(f"{owner}_numbers", torch.from_numpy(held), persistent=False)

    def seed_weights(self) -> None:
        """Seeded first weights; to be called once all layers are there."""
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
                if isinstance(tables, Tables) and tables.narrow is None:
                    tables.table.weight[torch.from_numpy(tables.offsets)] = 0.0
                    tables.table.weight[tables.pad] = 0.0

    # What it learns

    @staticmethod
    def mode_of(config: Any, schema: Schema) -> Mode:
        """Ratings as numbers or classes, liking, or the labels of a click table."""
        if "rating" in schema.has:
            modes: dict[str, Mode] = {"mse": "rating", "ce": "stars", "bce": "liked"}
            return modes[config.loss]
        return "labels" if schema.labels else "liked"

    @classmethod
    def heads(cls, config: Any, schema: Schema) -> tuple[Head, ...]:
        """One rating, one liking, or one head per label."""
        mode = cls.mode_of(config, schema)
        if mode == "labels":
            return tuple(Head(label, "click") for label in schema.labels)
        return (Head("liked", "ranking"),) if mode == "liked" else (Head("rating", "rating"),)

    @property
    def n_outputs(self) -> int:
        """Numbers that :meth:`outputs` gives per row."""
        return {"rating": 1, "liked": 1, "stars": len(self.levels), "labels": len(self.schema.labels)}[self.mode]

    def outputs(self, looked: Looked) -> Tensor:
        """``[B, O]`` from what a batch reads."""
        raise NotImplementedError

    def decoded(self, out: Tensor) -> Tensor:
        """``[B, H]`` on the scale of the heads."""
        if self.mode == "rating":
            return self.mean + out
        return out.softmax(1) @ self.levels[:, None] if self.mode == "stars" else out

    def begin(self, train: TrainSet) -> None:
        """Count what is counted rather than learned."""
        if not self.of_films:
            return
        rows = train.interactions
        if rows.rating is not None:
            self.mean = torch.tensor(float(np.mean(np.asarray(rows.rating, np.float64))), device=self.mean.device)
        if self.past is not None:
            self.past.remember(rows)
        if self.moment is not None:
            self.moment.remember(rows)

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Every training row; with ``bce`` on films, also films drawn at random."""
        batch = self.rows(train.interactions)
        if not self.of_films:
            return batch
        batch = self.targets(batch)
        if not self.draws:
            return batch
        asked = self.asked(batch)
        asked = asked.repeat_interleave(self.config.negatives)
        return self.with_drawn(
            batch, asked, unseen_items(train, batch["user"][asked], self.generator(epoch, 2), rated=True)
        )

    @property
    def draws(self) -> bool:
        """Whether films drawn at random are taught beside the rated ones."""
        return self.mode == "liked" and self.config.negatives > 0

    def asked(self, batch: Batch) -> Tensor:
        """Rows beside which films are drawn: the liked ones."""
        return torch.nonzero(batch["target"])[:, 0]

    def targets(self, batch: Batch) -> Batch:
        """Rated rows with what is to be learned of them, each a part of its own user's and film's past."""
        n, bar = len(batch["user"]), self.schema.relevant_from
        ones = torch.ones(n)
        rated = "rating" in batch and bar is not None
        return {
            **batch,
            "own_user": ones,
            "own_item": ones,
            "target": (batch["rating"] >= bar).float() if rated else ones,
        }

    def with_drawn(self, batch: Batch, rows: Tensor, items: Tensor) -> Batch:
        """The batch, and for some of its rows a film drawn instead, which is nobody's past and not liked."""
        more = {key: column[rows] for key, column in batch.items()}
        nothing = torch.zeros(len(rows))
        more |= {key: nothing for key in ("target", "own_user", "own_item", "watched") if key in batch}
        more["item"] = items
        return {key: torch.cat([column, more[key]]) for key, column in batch.items()}

    def epoch_rows(self, train: TrainSet) -> int:
        """Rows of an epoch, those drawn at random among them."""
        if self.mode != "liked" or not self.of_films:
            return len(train)
        rated = train.interactions.rating is not None and self.schema.relevant_from is not None
        return len(train) + self.config.negatives * len(train.positives if rated else train)

    def hide(self, table: Batch, epoch: int) -> None:
        """Hide a share of users (half of them with their past) and of films (with their raters); what else is known
        stays."""
        share, generator = self.config.id_dropout, self.generator(epoch, 1)
        if not self.of_films or share <= 0:
            return
        for key in ("user", "item"):
            table[f"{key}_hidden"] = torch.rand(table[key].shape, generator=generator) < share
        table["past_hidden"] = table["user_hidden"] & (torch.rand(table["user"].shape, generator=generator) < 0.5)

    def batches(self, train: TrainSet, epoch: int, *, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """Read tables larger than memory block by block, in an order drawn anew each epoch."""
        if self.of_films or len(train) <= STREAM_FROM:
            yield from super().batches(train, epoch, batch_size=batch_size, start=start)
            return
        generator = self.generator(epoch, 0)
        size = max(STREAM_BLOCK // batch_size, 1) * batch_size
        parts = list(blocks(len(train), size))
        order = torch.randperm(
            len(parts) - 1, generator=generator
        ).tolist()  # the last block may be cut short: it stays last
        for part in [*(parts[at] for at in order), parts[-1]]:
            n = part.stop - part.start
            shuffled = torch.randperm(n, generator=generator)
            here = -(-n // batch_size)
            if start >= here:
                start -= here
                continue
            table = self.rows(train.block(part))
            for piece in list(blocks(n, batch_size))[start:]:
                rows = shuffled[piece]
                yield {key: column[rows] for key, column in table.items()}
            start = 0

    def row_losses(self, batch: Batch) -> Tensor:
        """The loss of each row, and the pull on the vectors it reads."""
        return self.looked_losses(self.look_up(self.user_tensors(batch), batch), batch)

    def looked_losses(self, looked: Looked, batch: Batch) -> Tensor:
        """The same from what the rows read."""
        losses = self.losses(self.outputs(looked), batch)
        return (
            losses + self.config.l2 * looked.vectors[:, : self.n_vectors].square().sum((1, 2))
            if self.config.l2
            else losses
        )

    def losses(self, out: Tensor, batch: Batch) -> Tensor:
        """``[B]``: squared error, cross-entropy of star classes, or of liking and labels (averaged over labels)."""
        if self.mode == "rating":
            return (self.mean + out[:, 0] - batch["rating"]).square()
        if self.mode == "stars":
            nearest = (batch["rating"][:, None] - self.levels).abs().argmin(1)
            return F.cross_entropy(out, nearest, reduction="none")
        if self.mode == "liked":
            return F.binary_cross_entropy_with_logits(out[:, 0], batch["target"], reduction="none")
        truth = torch.stack([batch[f"label:{name}"] for name in self.schema.labels], 1)
        return F.binary_cross_entropy_with_logits(out, truth, reduction="none").mean(1)

    # What it reads

    def rows(self, rows: Interactions) -> Batch:
        """Events as a batch; the features of a row are packed into ``codes`` and ``numbers``."""
        batch = super().rows(rows)
        own = self.used["row"]
        if own:
            summary = {f.name: batch.pop(f.name).numpy() for f in self.side if f.owner == "row" and f.name in batch}
            n = len(rows)
            if "row" in self.tables:
                tables: Any = self.tables["row"]
                steps = {f.name: f for f in self.numbers["row"]}
                codes = [
                    steps[f.name].steps(rows.features[f.name], self.config.bins) if f.name in steps else summary[f.name]
                    for f in tables.fields
                ]
                batch["codes"] = torch.from_numpy(tables.pack(codes))
            numbers = [summary[f.name] for f in self.numbers["row"]]
            batch["numbers"] = torch.from_numpy(np.stack(numbers, 1)) if numbers else torch.zeros(n, 0)
        return batch

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """All that is known of users: id vector, features, numbers, what they rated, when."""
        if not self.of_films:
            return {}
        state = {"id": self.user_id(self.oov_user(user)), "numbers": self.get_buffer("user_numbers")[user]}
        if "user" in self.tables:
            state["fields"] = self.tables["user"](self.get_buffer("user_codes")[user])
        if self.past is not None:
            state["count"] = self.past.user_count[user]
        if self.config.history:
            state["rated"] = self._pooled("rated")[user]
        if self.moment is not None:
            state["span"] = self.moment.of_user(user)
            if self.linear:
                state["drift"] = self.drift(self.oov_user(user))[:, 0]
        return state

    def user_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """Leave out rows that training hides."""
        state = super().user_tensors(batch)
        if (hidden := batch.get("user_hidden")) is not None:
            nobody = self.user_id.weight[-1]
            state["id"] = torch.where(hidden[:, None], nobody, state["id"])
            away = batch["past_hidden"]
            for key in ("count", "rated"):
                if key in state:
                    state[key] = state[key].masked_fill(away if state[key].ndim == 1 else away[:, None], 0.0)
        return state

    def _pooled(self, name: str) -> Tensor:
        """Sums of ``rated`` by user, or of ``raters`` by item; kept while nothing is learned."""
        kept: Tensor | None = (self._kept or {}).get(
            name
        )  # asked of what is kept at this moment, for other threads may keep something meanwhile
        if kept is not None:
            return kept
        assert self.past is not None
        made = self.past.of_users(self.rated.weight) if name == "rated" else self.past.of_items(self.raters.weight)
        if not self.training and not made.requires_grad:
            self._kept = {**(self._kept or {}), name: made}
        return made

    def train(self, mode: bool = True) -> FieldModel:
        """What was kept is forgotten where weights may have changed: on the way into training or out of it."""
        if mode or self.training:
            self._kept = None
        return super().train(mode)

    def forget(self) -> None:
        """Sums over histories, and what is known of every film."""
        self._kept = None

    def items_of(self, item: Tensor) -> dict[str, Tensor]:
        """All that is known of items ``[B]``, likewise; from a cache of every item while nothing is learned."""
        if not self.training and not torch.is_grad_enabled():
            every: dict[str, Tensor] | None = (self._kept or {}).get("items")
            if every is None:
                every = self._items_of(torch.arange(self.schema.n_items + 1, device=item.device))
                self._kept = {**(self._kept or {}), "items": every}
            return {name: column[item] for name, column in every.items()}
        return self._items_of(item)

    def _items_of(self, item: Tensor) -> dict[str, Tensor]:
        found = {"id": self.item_id(self.oov_item(item)), "numbers": self.get_buffer("item_numbers")[item]}
        if "item" in self.tables:
            found["fields"] = self.tables["item"](self.get_buffer("item_codes")[item])
        if self.past is not None:
            found["count"] = self.past.item_count[item]
        if self.config.history:
            found["raters"] = self._pooled("raters")[item]
        return found

    def look_up(self, user: Mapping[str, Tensor], batch: Batch) -> Looked:
        """All that a batch reads; users' vectors first."""
        mine, theirs, numbers, extra = [], [], [], None
        if self.of_films:
            row = batch["item"]
            item = dict(batch["films"]) if "films" in batch else self.items_of(row)
            own_user, own_item = batch.get("own_user"), batch.get("own_item")
            count, their_count = user.get("count"), item.get("count")
            hidden = batch.get("item_hidden")
            if own_user is not None and own_item is not None and count is not None and their_count is not None:
                own_user = own_user if "past_hidden" not in batch else own_user.masked_fill(batch["past_hidden"], 0.0)
                count, their_count = count - own_user, their_count - own_item
            if hidden is not None:
                item["id"] = torch.where(hidden[:, None], self.item_id.weight[-1], item["id"])
                their_count = None if their_count is None else their_count.masked_fill(hidden, 0.0)
            mine, theirs = [user["id"][:, None]], [item["id"][:, None]]
            numbers = [user["numbers"], item["numbers"]]
            mine += [user["fields"]] if "fields" in user else []
            theirs += [item["fields"]] if "fields" in item else []
            if self.config.history:
                assert count is not None and their_count is not None
                pooled, by = user["rated"], item["raters"]
                if own_user is not None and own_item is not None:
                    pooled = pooled - own_user[:, None] * self.rated(row)
                    by = by - own_item[:, None] * self.raters(batch["user"].clamp(max=self.schema.n_users))
                by = by if hidden is None else by.masked_fill(hidden[:, None], 0.0)
                mine.append((pooled * count.clamp(min=1).rsqrt()[:, None])[:, None])
                theirs.append((by * their_count.clamp(min=1).rsqrt()[:, None])[:, None])
            if self.config.counts:
                # no mean ratings: a mean without the row's own, beside the user's id, gives the row's own rating away
                assert count is not None and their_count is not None
                numbers.append(torch.stack([count.log1p() / 5, their_count.log1p() / 5], 1))
            if self.moment is not None:
                span = user["span"]
                time = batch["time"] if "time" in batch else span[:, 2]
                mine.append(self.tables["time"](self.moment.codes(time, span)))
                if self.linear:
                    extra = user["drift"] * self.moment.away(time, span)
            theirs += self.more_of(item, batch)
        if "codes" in batch:
            theirs.append(self.tables["row"](batch["codes"]))
        if "numbers" in batch:
            numbers.append(batch["numbers"])
        like = batch["item"] if self.of_films else batch.get("codes", batch.get("numbers"))
        assert like is not None
        vectors = (
            torch.cat([*mine, *theirs], 1) if mine or theirs else torch.zeros(len(like), 0, self.dim + self.linear)
        )
        dense = torch.cat(numbers, 1) if numbers else torch.zeros(len(like), 0, device=vectors.device)
        first = vectors.new_zeros(len(like)) if extra is None else extra
        if self.linear:
            first, vectors = first + vectors[..., -1].sum(1), vectors[..., :-1]
        return Looked(vectors, first, dense, sum(part.shape[1] for part in mine))

    def names_of_vectors(self) -> list[str]:
        """What each of :attr:`Looked.vectors` stands for, in their order, for people."""
        sparse = {o: [f.name for f in own if f.kind in ("categorical", "multi")] for o, own in self.used.items()}
        found = [*sparse["row"], *([f.name for f in self.numbers["row"]] if self.config.bins else [])]
        if not self.of_films:
            return found
        mine = ["person", *(f"person's {n}" for n in sparse["user"]), *["films rated"] * bool(self.config.history)]
        mine += ["week", "time since first rating"] if self.moment is not None else []
        theirs = ["film", *(f"film's {n}" for n in sparse["item"]), *["who rated it"] * bool(self.config.history)]
        return [*mine, *theirs, *self.names_of_more(), *found]

    def names_of_more(self) -> list[str]:
        """The same of :meth:`more_of`."""
        return []

    def more_of(self, item: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """Further vectors ``[B, 1, d]`` of items, where a model has any."""
        return []

    def forward(self, user: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """``[B, H]``."""
        return self.decoded(self.outputs(self.look_up(user, batch)))

    # New users

    def free_state(self, n: int) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """Only the id vector of a new user is free; what is not known of them stays missing."""
        return super().free_state(n)[0], ("id",) if self.of_films else ()

    @torch.no_grad()
    def past_of(self, histories: Sequence[History], state: dict[str, Tensor]) -> None:
        """Put what histories tell into states: which films, how many, when."""
        for at, history in enumerate(histories):
            if not len(history):
                continue
            items = torch.as_tensor(np.asarray(history.items, np.int64), device=self.mean.device)
            items = items[self.known_items[items]]  # what training never saw says nothing by its id
            if "count" in state:
                state["count"][at] = len(items)
            if "rated" in state:
                state["rated"][at] = self.rated(items).sum(0)
            if "span" in state and history.times is not None:
                times = np.asarray(history.times, np.int64)
                lines = [times.min(), int(times.mean()), times.max()]
                state["span"][at] = torch.tensor(lines, device=self.mean.device)

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """The past is written down; the id vector is fitted to it by gradient steps, as everywhere."""
        if not self.of_films:
            return super().fold_in(histories)
        if self.mode != "liked":  # a history without ratings says nothing of how films were liked
            histories = [History(np.zeros(0, np.int64)) if h.ratings is None else h for h in histories]
        return super().fold_in(histories)

    def start_state(self, histories: Sequence[History]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """What fold-in begins with: nobody in particular, with a past."""
        state, free = self.free_state(len(histories))
        self.past_of(histories, state)
        return state, free

    def history_rows(self, histories: Sequence[History]) -> tuple[Batch, ByPlace | None]:
        """The histories as rows, what is known of their films, and what draws others where the model learns from
        some."""
        batch = self.targets(self.rows(self.as_train_set(histories).interactions))
        # a film that training never saw is no part of what `past_of` counts, so there is nothing of it to leave out
        batch["own_user"] = self.known_items[batch["item"].to(self.known_items.device)].float().cpu()
        if self.draws:
            return batch, ByPlace(self, batch["user"], batch["item"], self.config.negatives)
        return self._with_films(batch), None

    def history_epoch(self, info: tuple[Batch, ByPlace | None], step: int) -> Batch:
        """The rows, with other films for each step; their films' raters are others, so nothing is taken out there."""
        batch, negatives = info
        if negatives is not None:
            batch = self._with_films(self.with_drawn(batch, *negatives.draw(self.generator(step, 2))))
        return {**batch, "own_item": torch.zeros(len(batch["user"]))}

    def fold_gradients(self, info: Any, state: dict[str, Tensor], moving: Sequence[str]) -> FoldGradients:
        """Where no films are drawn, each step reads the same but for the id vectors."""
        if not self.learns_as(FieldModel) or info[1] is not None or list(moving) != ["id"]:
            return super().fold_gradients(info, state, moving)
        batch = _to(self.history_epoch(info, 0), self.mean.device)
        looked = self.look_up(self.user_tensors({**batch, "state": state}), batch)
        if self.linear:
            looked = replace(looked, first=looked.first - state["id"][batch["user"], -1])
        return means(batch["user"], state["id"], self.row_gradients(Fixed(batch, looked, self.linear)))

    def row_gradients(self, fixed: Fixed) -> RowGradients:
        """The gradient of each row's loss by its id vector: by autograd here; a model may write it down instead."""
        return by_autograd(self.looked_losses, fixed)

    @torch.no_grad()
    def _with_films(self, batch: Batch) -> Batch:
        """A batch that brings what is known of its films: a fold-in does not move it."""
        return {**batch, "films": self.items_of(batch["item"])} if self.of_films else batch

    def item_vectors(self) -> Tensor | None:
        """The sum of all of an item's vectors ``[I, d]``: what meets the user's in dot products."""
        if not self.of_films:
            return None
        with torch.no_grad():
            self.rest()
            every = torch.arange(self.schema.n_items, device=self.mean.device)
            item = self.items_of(every)
            parts = [item["id"][:, None]] + ([item["fields"]] if "fields" in item else [])
            if self.config.history:
                parts.append((item["raters"] * item["count"].clamp(min=1).rsqrt()[:, None])[:, None])
            parts += self.more_of(item, {"item": every})
            return torch.cat(parts, 1).sum(1)[:, : self.dim]

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Users and films by their ids, features by their values."""
        found: dict[str, tuple[str, Array]] = {}
        if self.of_films:
            users, items = self.names_of("user"), self.names_of("item")
            found |= {"user_id.weight": users, "item_id.weight": items}
            if self.config.history:
                found |= {"rated.weight": items, "raters.weight": users}
            if hasattr(self, "drift"):
                found["drift.weight"] = users
        for owner, tables in self.tables.items():
            if isinstance(tables, Tables):
                found |= tables.row_names(f"tables.{owner}", f"{owner}.features")
        return found


def named_fields(side: Side, text: str) -> set[str]:
    """The features that ``all,-age`` or ``genres,year`` mean; see :class:`FieldConfig`.

    Raises:
        MMRecError: it names one that the dataset does not have.
    """
    named = [name.strip() for name in text.split(",") if name.strip()]
    known = {f.name: f for f in side if f.kind != "vector"}
    groups = {"all": set(known), "common": {n for n, f in known.items() if f.owner == "row" or f.size <= COMMON}}
    asked = {n.removeprefix("-") for n in named} - set(groups)
    if side and (odd := sorted(asked - set(known))):
        raise MMRecError(f"These data have no feature '{odd[0]}'. They have: {', '.join(sorted(known)) or 'none'}.")
    left_out = {n[1:] for n in named if n[:1] == "-"}
    return set().union(*(groups.get(n, {n}) for n in named if n[:1] != "-")) - left_out


def _levels(scale: tuple[float, float] | None) -> Array:
    """The stars that a rating may have: half steps of a usual scale, twenty steps of a long one."""
    if scale is None:
        return np.zeros(0, np.float32)
    low, high = scale
    n = min(round(2 * (high - low)), 20)
    return np.linspace(low, high, n + 1).astype(np.float32)


def with_numbers(looked: Looked, table: nn.Embedding) -> tuple[Tensor, Tensor]:
    """Weights ``[B]`` and vectors ``[B, F + D, d]`` with every number as a feature of its own: its row ``[d + 1]`` of
    the table, last its weight, times its value (Rendle 2010)."""
    scaled = looked.dense[..., None] * table.weight[: looked.dense.shape[1]]
    return looked.first + scaled[..., -1].sum(1), torch.cat([looked.vectors, scaled[..., :-1]], 1)


def pairs(vectors: Tensor) -> Tensor:
    """``Σ_{a<b} ⟨v_a, v_b⟩`` of ``[B, F, d]`` in time linear in F (Rendle 2010): ``[B]``."""
    return 0.5 * (vectors.sum(1).square().sum(1) - vectors.square().sum((1, 2)))
