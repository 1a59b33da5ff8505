"""Amazon Baby as multimodal recommenders use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrec_core.data.datasets import _published_split
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.types import Progress

PRESETS: dict[str, dict[str, Any]] = {"amazon-baby": {}}
SIZES = {"validation": 20_559, "test": 21_682}
"""Rows of the parts in enoche/MMRec, where the division was published first."""


class AmazonBaby(DatasetReader):
    """Amazon reviews of baby products (5-core), with the split of multimodal recommenders (Zhou et al. 2023).

    Events have neither ratings nor times. Images and texts are read from ``image_feat.npy`` and ``text_feat.npy``
    beside the events, if you have them. The folders of enoche/MMRec (``baby.inter``) and DiffMM (``trnMat.pkl`` …) are
    read. DiffMM's validation and test files are exchanged; they are recognised by their sizes.
    """

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the folder named with ``--from``, or ``multimodal/baby`` under ``MMREC_SOURCES``."""
        raw = _published_split.read(
            _published_split.find(source, "baby", "baby.inter"),
            "baby.inter",
            {},
            "Product",
            "Amazon product reviews (McAuley et al. 2015), 5-core, as divided in enoche/MMRec; research use.",
            progress,
        )
        train, validation, test = raw.official["official"]
        if (len(validation), len(test)) == (SIZES["test"], SIZES["validation"]):
            raw.official = {"official": (train, test, validation)}
            raw.notes = [
                *raw.notes,
                "The validation and test files are exchanged in this copy, as in DiffMM's; the part of "
                f"{SIZES['test']:,} rows is the test, as in enoche/MMRec.",
            ]
        return raw
