"""Export the candidates of a sampled protocol as a file, for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmrec_core import storage
from mmrec_core.evaluation.protocols import Protocol
from mmrec_core.evaluation.ranker import Ranker, RankingOptions
from mmrec_core.types import Dataset, Split


def export_candidates(
    dataset: Dataset,
    split: Split,
    protocol: str,
    folder: Path,
    relevant_from: float | None = None,
    regime: str = "frozen",
) -> dict[str, Any]:
    """Write the candidates of each relevant test row into ``candidates.csv`` (row, user, item, candidates as raw ids).

    Args:
        dataset: the dataset.
        split: its split.
        protocol: name of a sampled protocol.
        folder: where the file is written, beside an exported split.
        relevant_from: lowest rating that counts as relevant; ``None``: the dataset's default.
        regime: ``frozen`` or ``stream``. Where pairs of user and item repeat they evaluate different rows; a row that
            both evaluate has the same candidates in both.

    Returns:
        ``protocol``, ``rows`` and a ``checksum`` of rows and candidates, equal for all evaluated models.

    Raises:
        MMRecError: the protocol draws no candidates.
    """
    import pandas as pd

    threshold = relevant_from if relevant_from is not None else dataset.manifest.get("relevant_from")
    options = RankingOptions(Protocol.parse(protocol), threshold, regime=regime)
    ranker = Ranker(None, dataset, split, options)
    drawn, raw, rows = ranker.candidates(), dataset.items.raw, ranker.rows
    table = pd.DataFrame({"row": rows, "user": dataset.users.raw[ranker.user[rows]], "item": raw[ranker.item[rows]]})
    table["candidates"] = [" ".join(map(str, raw[own[own >= 0]].tolist())) for own in drawn]
    manifest = {
        "protocol": ranker.protocol.name(dataset),
        "regime": regime,
        "relevant_from": threshold,
        "rows": len(drawn),
        "split": split.checksum,
        "checksum": storage.checksum(np.ascontiguousarray(rows).tobytes(), np.ascontiguousarray(drawn).tobytes()),
    }
    table.to_csv(folder / "candidates.csv", index=False)
    storage.write_json(folder / "candidates.json", manifest)
    return manifest
