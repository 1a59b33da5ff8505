"""Rows without users or items: who earns over 50,000 dollars, and who never married."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_core import settings
from mmrec_core.datasets._base import DatasetReader, RawData
from mmrec_core.errors import MMRecError
from mmrec_core.types import Progress

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income-class",
)  # fmt: skip
LABELS = ("income", "marital")


class Census(DatasetReader):
    """Adult (UCI, census of 1994): two labels to predict from what the rest of a row says."""

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read ``adult.data`` and ``adult.test``; the makers' own division becomes the split ``official``."""
        places = [source] if source else [place / "census" for place in settings.sources()]
        folder = next((place for place in places if (place / "adult.data").is_file()), None)
        if folder is None:
            raise MMRecError("adult.data and adult.test were not found; name their folder with --from.")
        parts = [_table(folder / "adult.data", skip=0), _table(folder / "adult.test", skip=1)]
        events = pd.concat(parts, ignore_index=True)
        events["income"] = events.pop("income-class").str.startswith(">50K").astype(np.int8)
        events["marital"] = (events.pop("marital-status") == "Never-married").astype(np.int8)
        rows, cut = np.arange(len(events)), len(parts[0])
        return RawData(
            events,
            labels=LABELS,
            features=[column for column in events.columns if column not in LABELS],
            official={"official": (rows[:cut], rows[cut:])},
            file=str(folder / "adult.data"),
        )


def _table(file: Path, skip: int) -> pd.DataFrame:
    """One of the two files: no header, a space after each comma; the test file opens with a line that is no row."""
    options = {"names": list(COLUMNS), "skiprows": skip, "skipinitialspace": True, "keep_default_na": False}
    return pd.read_csv(file, **options)
