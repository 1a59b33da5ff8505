"""SASRec with plot and poster vectors added to item ids."""

from __future__ import annotations

from mmrec_core.models._sequence_content import SequenceContentConfig, SequenceContentModel
from mmrec_core.models.sasrec import SASRec


class SASRecMultimodal(SequenceContentModel, SASRec):
    """SASRec (Kang & McAuley 2018) whose films are an id plus their fused plot and poster, both where they are read and
    where they are ranked."""

    class Config(SequenceContentConfig, SASRec.Config):
        """SASRec's, and how text and image come together."""

    config: Config
