"""Last.fm 2K with text and audio vectors."""

from __future__ import annotations

from pathlib import Path

from mmrec_core.data.datasets import _published_split
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.types import Progress

VECTORS: dict[tuple[str, str], tuple[str, ...]] = {
    ("minilm", "text"): ("text_minilm.npy", "all-MiniLM-L6-v2.npy"),
    ("vggish", "audio"): ("audio_vggish.npy", "vggish.npy"),
    ("whisper", "audio"): ("audio_whisper.npy", "whisper.npy"),
}
MORE: dict[tuple[str, str], tuple[str, ...]] = {
    ("mpnet", "text"): ("all-mpnet-base-v2.npy",),
    ("resnet152", "image"): ("resnet152.npy",),
    ("vgg", "image"): ("vgg.npy",),
    ("vit_cls", "image"): ("vit_cls.npy",),
    ("vit_avg", "image"): ("vit_avg.npy",),
}
"""Vectors that a user's own download may hold as well."""


class LFM2k(DatasetReader):
    """Artists of Last.fm with MiniLM text vectors and two kinds of audio vectors (Spillo et al. 2025), makers' split.

    Events are listened-to artists without ratings and times. Vectors are stored as ``minilm`` (text), ``vggish`` and
    ``whisper`` (audio), and those of other encoders where a download has them.
    """

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the folder named with ``--from``, or ``multimodal/lfm2k`` under ``MMREC_SOURCES``."""
        folder = _published_split.find(source, "lfm2k", "lfm2k.inter")
        there = {key: names for key, names in MORE.items() if any((folder / n).is_file() for n in names)}
        return _published_split.read(
            folder,
            "lfm2k.inter",
            VECTORS | there,
            "Artist",
            "Last.fm 2K (HetRec 2011), vectors by Spillo et al. (2025); research use.",
            progress,
        )
