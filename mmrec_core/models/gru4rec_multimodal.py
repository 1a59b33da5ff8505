"""GRU4Rec with plot and poster vectors added to item ids."""

from __future__ import annotations

from mmrec_core.models._sequence_content import SequenceContentConfig, SequenceContentModel
from mmrec_core.models.gru4rec import GRU4Rec


class GRU4RecMultimodal(SequenceContentModel, GRU4Rec):
    """GRU4Rec (Hidasi et al. 2016) whose films are an id plus their fused plot and poster (in one network; the parallel
    ones of Hidasi et al. 2016b fuse later)."""

    class Config(SequenceContentConfig, GRU4Rec.Config):
        """GRU4Rec's, and how text and image come together."""

    config: Config
