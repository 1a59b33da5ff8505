"""TikTok micro-videos with image and audio vectors, as published with DiffMM."""

from __future__ import annotations

from pathlib import Path

from mmrec_core.data.datasets import _published_split
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.data.datasets._item_vectors import PUBLISHED
from mmrec_core.types import Progress

VECTORS = {
    (PUBLISHED, "image"): ("image_feat.npy", "image.npy"),
    (PUBLISHED, "audio"): ("audio_feat.npy", "audio.npy"),
}


class TikTok(DatasetReader):
    """Micro-videos of TikTok with image and audio vectors, and the makers' split (Jiang et al. 2024, DiffMM).

    Events are views without ratings and times. A user's own download of DiffMM's files (``trnMat.pkl``, ``valMat.pkl``,
    ``tstMat.pkl``, ``*_feat.npy``) is read, too, with text vectors where ``text_feat.npy`` is there.
    """

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the folder named with ``--from``, or ``multimodal/tiktok`` under ``MMREC_SOURCES``."""
        return _published_split.read(
            _published_split.find(source, "tiktok", "tiktok.inter"),
            "tiktok.inter",
            VECTORS,
            "Video",
            "TikTok micro-videos as published with DiffMM (Jiang et al. 2024); research use.",
            progress,
        )
