"""SSE-PT with plot and poster vectors added to item ids."""

from __future__ import annotations

from mmrec_core.models._sequence_content import SequenceContentConfig, SequenceContentModel
from mmrec_core.models.sse_pt import SSEPT


class SSEPTMultimodal(SequenceContentModel, SSEPT):
    """SSE-PT (Wu et al. 2020) with items as an id embedding plus their fused plot and poster, concatenated with the
    user's embedding."""

    class Config(SequenceContentConfig, SSEPT.Config):
        """Settings of SSE-PT and of the fusion of text and image."""

    config: Config
