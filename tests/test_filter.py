"""RecBole's protocol: what is kept by ``--filter-from`` counts as liked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmrec_core import runs
from mmrec_core.data import preparation
from mmrec_core.jobs import worker


def test_what_is_kept_counts_as_liked(home: Path, ratings_csv: Path) -> None:
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    asked = runs.training_params("mine", "popularity", split="random:80-10-10", filter_from=3.0)
    done = worker.work(runs.create("train", asked).id, foreground=True)
    rating = np.asarray(preparation.open_dataset("mine").interactions.rating)
    found = done.result() or {}
    assert found["relevant_from"] == 3.0
    from mmrec_core.data.splits import make_split
    from mmrec_core.models._base import load_model

    split = make_split(preparation.open_dataset("mine"), "random:80-10-10", 0, 3.0)
    assert float(load_model(done.folder / "model").counts.sum()) == (rating[split.train] >= 3.0).sum()  # type: ignore[operator]
