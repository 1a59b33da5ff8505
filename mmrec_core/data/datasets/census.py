"""Adult (Census Income, UCI): predict income and marital status from the other columns."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_core import settings
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.data.datasets._download import fetch
from mmrec_core.data.datasets._files import RawFiles, read_columns
from mmrec_core.errors import MMRecError
from mmrec_core.types import Progress

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income-class",
)  # fmt: skip
LABELS = ("income", "marital")


SITE = "https://archive.ics.uci.edu/static/public/2/adult.zip"
LICENCE = "Adult (Census Income), UCI Machine Learning Repository, Becker & Kohavi 1996, CC BY 4.0."


class Census(DatasetReader):
    """Adult (UCI, US census of 1994): income over $50K, and married or not, as labels of a row.

    The published training and test rows are the split ``official``. ``relationship`` (husband, wife, own child …)
    nearly determines the marital status: use ``--set fields=all,-relationship`` to see what the other columns
    contribute.
    """

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read ``adult.data`` and ``adult.test`` from a folder or zip; downloaded from UCI if they are not found."""
        places = [source] if source else [place / "census" for place in settings.sources()]
        folder = next((place for place in places if place.is_file() or (place / "adult.data").is_file()), None)
        if folder is None and source is not None:
            raise MMRecError(
                f"{source} holds no adult.data; name the folder or zip with adult.data and adult.test in it."
            )
        files = RawFiles(folder or fetch(os.environ.get("MMREC_CENSUS", SITE), settings.home() / "downloads", progress))
        progress(0, 1, "reading rows")
        parts = [_table(files, "adult.data", skip=0), _table(files, "adult.test", skip=1)]
        events = pd.concat(parts, ignore_index=True)
        events["income"] = events.pop("income-class").str.startswith(">50K").astype(np.int8)
        events["marital"] = events.pop("marital-status").str.startswith("Married").astype(np.int8)
        rows, cut = np.arange(len(events)), len(parts[0])
        return RawData(
            events,
            labels=LABELS,
            features=[column for column in events.columns if column not in LABELS],
            official={"official": (rows[:cut], rows[cut:])},
            file=files.where("adult.data"),
            licence=LICENCE,
            about={
                "counts": ["capital-gain", "capital-loss"],
                "hints": [
                    "relationship (husband, wife, own child …) all but gives away who is married: "
                    "compare with fields=all,-relationship"
                ],
            },
        )


NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")


def _table(files: RawFiles, name: str, skip: int) -> pd.DataFrame:
    """Read one of the two files: no header, a space after each comma, ``?`` for missing values.

    The first line of the test file is no row; ``skip`` skips it.
    """
    types = {column: "float64" if column in NUMBERS else "str" for column in COLUMNS}
    with files.open(name) as opened:
        body = io.BytesIO(opened.read())
    table = read_columns(
        body,
        files.where(name),
        types,
        names=list(COLUMNS),
        header=None,
        skiprows=skip,
        skipinitialspace=True,
        keep_default_na=False,
    )
    texts = [column for column in COLUMNS if column not in NUMBERS]
    table[texts] = table[texts].replace("?", "")
    return table
