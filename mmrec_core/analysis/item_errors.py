"""Rating errors by item: which films a rating model predicts badly."""

from __future__ import annotations

import numpy as np

from mmrec_core.analysis import comparison
from mmrec_core.analysis.comparison import Row
from mmrec_core.types import Array, Dataset


def best_rating_result(dataset: Dataset) -> Row | None:
    """The result with the lowest test RMSE that has its errors by row; ``None`` if there is none."""
    rows = [r for r in comparison.rows(dataset) if r.kind == "rating" and r.result["metrics"].get("rmse") is not None]
    rows = [r for r in rows if (r.run.folder / "row_errors.npz").exists() and not r.key.beyond]
    return min(rows, key=lambda r: r.result["metrics"]["rmse"], default=None)


def rmse_by_item(dataset: Dataset, row: Row) -> Array | None:
    """Root mean squared error on the test ratings of each film, in stars ``[I]``; NaN for films without any.

    ``None`` if the result has no errors by row, or their file is damaged.
    """
    stored = comparison.arrays(row.run, "row_errors.npz")
    if stored is None or "row" not in stored or dataset.interactions.item is None:
        return None
    n_items = len(dataset.items)
    item, error = np.asarray(dataset.interactions.item)[stored["row"]], stored["squared_error"]
    n = np.bincount(item, minlength=n_items)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.bincount(item, error, n_items) / np.where(n > 0, n, np.nan))
