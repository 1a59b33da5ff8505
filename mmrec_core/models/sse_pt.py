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
    """SASRec whose films each bear the user's vector beside their own, held from learning by heart by stochastic shared
    embeddings (Wu et al. 2020, "SSE-PT").

    In training a user is another one with probability ``sse_user`` and a film another one with ``sse_film``; with both
    at 0 it is the plain personalised transformer. A history longer than what is read begins at a place drawn anew in
    each epoch with probability ``sample`` (SSE-PT++). A newcomer has the vector of the unknown user, which training
    meets in a share ``id_dropout`` of its rows.
    """

    class Config(SASRec.Config):
        """SASRec's, the width of a user's vector, and how often somebody is taken for somebody else."""

        user_dim: int = setting(64, "numbers in the vector of a user", ge=2, le=1024, log=True)
        sse_user: float = setting(0.92, "share of users taken for another in training", ge=0.0, le=1.0)
        sse_film: float = setting(0.1, "share of films read that are taken for another in training", ge=0.0, le=1.0)
        sample: float = setting(
            0.0, "share of long histories that are read from a place drawn, not to their end (SSE-PT++)", ge=0.0, le=1.0
        )

    config: Config

    def more_layers(self) -> None:
        """Users' vectors, and blocks as wide as both together."""
        self.people = nn.Embedding(self.schema.n_users + 1, self.config.user_dim)
        self.lay_blocks(self.config.dim + self.config.user_dim)

    def read(self, sequence: Tensor, size: Tensor, user: Tensor | None = None) -> Tensor:
        """As SASRec, of a film and the user side by side; what compares with films' vectors comes first,
        ``[B, T, d]``."""
        own = torch.full_like(size, self.schema.n_users) if user is None else user
        start = sequence.new_full((len(sequence), 1), self.mark)
        films = self.vectors(torch.cat([start, sequence], 1)) * self.config.dim**0.5
        people = self.people(own)[:, None].expand(-1, films.shape[1], -1) * self.config.user_dim**0.5
        return self.through(torch.cat([films, people], 2), size)[..., : self.config.dim]

    def epoch(self, train: TrainSet, epoch: int) -> Batch:
        """Also add the user of each history, some replaced by another user (stochastic shared embeddings)."""
        config, generator = self.config, self.generator(epoch, 4)
        user = torch.from_numpy(self.readers(train))
        back = torch.zeros_like(user)
        if config.sample > 0:
            spare = (self.told_from[user + 1] - self.told_from[user]).cpu() - (config.length + 1)
            drawn = (torch.rand(len(user), generator=generator) * (spare.clamp(min=0) + 1)).long()
            back = torch.where(torch.rand(len(user), generator=generator) < config.sample, drawn, 0).clamp(min=0)
        table = self.windows_to_learn(train, epoch, back)
        other = torch.randint(self.schema.n_users, user.shape, generator=generator)
        table["user"] = self.oov_user(
            torch.where(torch.rand(len(user), generator=generator) < config.sse_user, other, user).to(self.told.device)
        ).cpu()
        pool = torch.from_numpy(train.items)
        film = pool[torch.randint(len(pool), table["sequence"].shape, generator=generator)]
        swap = (torch.rand(film.shape, generator=generator) < config.sse_film) & (table["sequence"] != self.mark)
        table["sequence"] = torch.where(swap, film, table["sequence"])
        return table

    def hide(self, table: Batch, epoch: int) -> None:
        """Films as everywhere, and users."""
        super().hide(table, epoch)
        lost = torch.rand(table["user"].shape, generator=self.generator(epoch, 1)) < self.config.id_dropout
        table["user"] = torch.where(lost, self.schema.n_users, table["user"])

    def gather_users(self, user: Tensor) -> dict[str, Tensor]:
        """The latest events, and whose they are."""
        return {**super().gather_users(user), "user": self.oov_user(user)}

    def fold_in(self, histories: Sequence[History]) -> UserState:
        """Encode histories with the embedding of the unknown user."""
        found = super().fold_in(histories)
        own = torch.full_like(found.tensors["size"], self.schema.n_users)
        return UserState({**found.tensors, "user": own}, found.source)

    def row_names(self) -> dict[str, tuple[str, Array]]:
        """Films and users by their ids."""
        return {**super().row_names(), "people.weight": self.names_of("user")}
