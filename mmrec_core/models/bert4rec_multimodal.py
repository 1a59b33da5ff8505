"""BERT4Rec with plot and poster vectors added to item ids."""

from __future__ import annotations

from mmrec_core.models._sequence_content import SequenceContentConfig, SequenceContentModel
from mmrec_core.models.bert4rec import BERT4Rec


class BERT4RecMultimodal(SequenceContentModel, BERT4Rec):
    """BERT4Rec (Sun et al. 2019) with items as an id embedding plus their fused plot and poster; a mask has no
    content."""

    class Config(SequenceContentConfig, BERT4Rec.Config):
        """Settings of BERT4Rec and of the fusion of text and image."""

    config: Config
