"""Metapath- and entity-aware graph model with graph convolution (Han et al. 2021)."""

from __future__ import annotations

from typing import ClassVar

from mmrec_core.models._metapath import Kind, MetapathConfig, MetapathModel


class PEAGCN(MetapathModel):
    """Metapath- and entity-aware graph model with graph convolution along metapaths (Han et al. 2021, "PEAGNN").

    Entities are the values of the columns of films and users. Each metapath is two convolutions, attention joins the
    metapaths, and an MLP scores pairs. The loss is BPR plus an entity-aware term on squared distances,
    ``−log σ(|x − e'|² − |x − e|²)``, for an entity ``e`` that a film (or user) has and one ``e'`` that it lacks.
    Training negatives are films that the user has not liked in training; the authors also draw test films.
    """

    class Config(MetapathConfig):
        """Widths, entities and losses."""

    kind: ClassVar[Kind] = "gcn"
    config: Config
