"""Personalised Transformer: SASRec with user embeddings and stochastic shared embeddings (Wu et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmrec_core.config import setting
from mmrec_core.models._base import Batch
from mmrec_core.models.sasrec import SASRec
from mmrec_core.types import Array, History, TrainSet, UserState


class SSEPT(SASRec):
    """SASRec with the user's embedding concatenated to each item's, regularised by stochastic shared embeddings (Wu et
    al. 2020, "SSE-PT").

    In training a user is replaced by a random one with probability ``sse_user``, and an item with probability
    ``sse_film``; with both at 0 it is the plain personalised Transformer. From a history that is longer than ``length``
    a random window is read with probability ``sample``, drawn anew each epoch (SSE-PT++). A new user has the embedding
    of the unknown user, which replaces a share ``id_dropout`` of users in training.
    """

    class Config(SASRec.Config):
        """Settings of SASRec, of users' embeddings and of stochastic shared embeddings."""

        user_dim: int = setting(64, "width of the embeddings of users", ge=2, le=1024, log=True)
        sse_user: float = setting(0.92, "share of users replaced by a random user in training", ge=0.0, le=1.0)
        sse_film: float = setting(
            0.1, "share of films in histories replaced by a random film in training", ge=0.0, le=1.0
        )
        sample: float = setting(
            0.0,
            "share of long histories of which a random window is read, not the latest events (SSE-PT++)",
            ge=0.0,
            le=1.0,
        )

    config: Config

    def more_layers(self) -> None:
        """Build users' embeddings, and blocks of the width of both embeddings."""
        self.people = nn.Embedding(self.schema.n_users + 1, self.config.user_dim)
        self.build_blocks(self.config.dim + self.config.user_dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """States ``[B, L + 1, d]`` after each event: the first ``d`` numbers, which are compared with items'
        embeddings."""
        own = torch.full_like(size, self.schema.n_users) if user is None else user
        start = sequence.new_full((len(sequence), 1), self.mark)
        films = self.vectors(torch.cat([start, sequence], 1)) * self.config.dim**0.5
        people = self.people(own)[:, None].expand(-1, films.shape[1], -1) * self.config.user_dim**0.5
        return self.apply_blocks(torch.cat([films, people], 2), size)[..., : self.config.dim]

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Also add the user of each history, some replaced by another user (stochastic shared embeddings)."""
        config, generator = self.config, self.generator(epoch, 4)
        user = torch.from_numpy(self.users_with_events(train))
        back = torch.zeros_like(user)
        if config.sample > 0:
            longest = (self.history_starts[user + 1] - self.history_starts[user]).cpu() - (config.length + 1)
            offset = (torch.rand(len(user), generator=generator) * (longest.clamp(min=0) + 1)).long()
            back = torch.where(torch.rand(len(user), generator=generator) < config.sample, offset, 0).clamp(min=0)
        table = self.training_windows(train, epoch, back)
        other = torch.randint(self.schema.n_users, user.shape, generator=generator)
        table["user"] = self.oov_user(
            torch.where(torch.rand(len(user), generator=generator) < config.sse_user, other, user).to(
                self.history_items.device
            )
        ).cpu()
        pool = torch.from_numpy(train.items)
        film = pool[torch.randint(len(pool), table["sequence"].shape, generator=generator)]
        swap = (torch.rand(film.shape, generator=generator) < config.sse_film) & (table["sequence"] != self.mark)
        table["sequence"] = torch.where(swap, film, table["sequence"])
        return table

    def hide(self, table: Batch, epoch: int) -> None:
        """Also replace a share of users by the unknown user."""
        super().hide(table, epoch)
        hidden = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < self.config.id_dropout
        table["user"] = torch.where(hidden, self.schema.n_users, table["user"])

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """The latest events ``[B, L]``, their number ``[B]``, and the user rows ``[B]``."""
        return {**super().gather_users(user), "user": self.oov_user(user)}

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """States of new users: their histories, with the embedding of the unknown user."""
        found = super().fold_in(histories)
        own = torch.full_like(found.tensors["size"], self.schema.n_users)
        return UserState({**found.tensors, "user": own}, found.source)

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Items and users by their ids."""
        return {**super().row_names(), "people.weight": self.names_of("user")}
