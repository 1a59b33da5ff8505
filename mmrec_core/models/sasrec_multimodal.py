"""SASRec with plot and poster vectors added to item ids."""

from __future__ import annotations

from mmrec_core.models._sequence_content import SequenceContentConfig, SequenceContentModel
from mmrec_core.models.sasrec import SASRec


class SASRecMultimodal(SequenceContentModel, SASRec):
    """SASRec (Kang & McAuley 2018) with items as an id embedding plus their fused plot and poster, in histories and as
    candidates."""

    class Config(SequenceContentConfig, SASRec.Config):
        """Settings of SASRec and of the fusion of text and image."""

    config: Config
