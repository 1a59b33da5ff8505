"""GRU4Rec with plot and poster vectors added to item ids."""

from __future__ import annotations

from mmrec_core.models._sequence_content import SequenceContentConfig, SequenceContentModel
from mmrec_core.models.gru4rec import GRU4Rec


class GRU4RecMultimodal(SequenceContentModel, GRU4Rec):
    """GRU4Rec (Hidasi et al. 2016) with items as an id embedding plus their fused plot and poster. There is one
    network; the parallel networks of Hidasi et al. 2016b fuse their states instead."""

    class Config(SequenceContentConfig, GRU4Rec.Config):
        """Settings of GRU4Rec and of the fusion of text and image."""

    config: Config
