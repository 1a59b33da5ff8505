"""SSE-PT with plot and poster vectors added to item ids."""

from __future__ import annotations

from mmrec_core.models._sequence_content import SequenceContentConfig, SequenceContentModel
from mmrec_core.models.sse_pt import SSEPT


class SSEPTMultimodal(SequenceContentModel, SSEPT):
    """SSE-PT (Wu et al. 2020) whose films are an id plus their fused plot and poster, each beside the user's vector."""

    class Config(SequenceContentConfig, SSEPT.Config):
        """SSEPT's, and how text and image come together."""

    config: Config
