"""Pairs of user and item in NumPy shards: MLPerf's synthetic expansion of MovieLens-20M."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmrec_core import settings
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import DatasetReader, RawData
from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files
from mmrec_core.types import Array, Progress

PARTS = ("training", "validation", "evaluation")


class Npz20m(DatasetReader):
    """Synthetic: MovieLens-20M expanded 16 × 32 by fractals (Belletti et al. 2019, for MLPerf), ``[user, item]`` pairs in ``.npz`` shards; no real people.

    Shards lie in folders ``training``, ``validation`` and ``evaluation``, or flat as their makers name them (``trainx16x32_*`` to learn from, ``testx16x32_*``: the
    first half to validate on, the second to be judged on). They are read one at a time; preparing takes about 60 bytes of memory a pair. Splits ``folds:validation`` and
    ``folds:evaluation`` are the makers' own.
    """

    class Config(Config):
        """How much is read, and whether the pairs' order means anything."""

        share: float = setting(
            0.1,
            "share of each folder's shards to read, from the first on (at least one); of training those of the same people",
            ge=0.001,
            le=1.0,
            log=True,
        )
        order: Literal["none", "file"] = setting(
            "none",
            "whether a pair's place in the files is taken for its time, which models of sequences need; the makers promise no order",
        )

    generated = True
    config: Config

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the folder named with ``--from``, or ``npz20m`` under ``MMREC_SOURCES``."""
        shards = self._shards(self._find(source))
        total, done = sum(len(files) for files in shards.values()), 0
        pieces: list[Array] = []
        bounds = [0]
        for part in PARTS:
            rows = 0
            for file in shards[part]:
                progress(done, total, f"reading {file.name}")
                for pairs in self._pairs(file):
                    pieces.append(pairs)
                    rows += len(pairs)
                done += 1
            bounds.append(bounds[-1] + rows)
        if not pieces:
            raise MMRecError(f"{shards['training'][0].parent} holds shards without arrays. Fetch them again.")
        pairs = np.concatenate(pieces)
        events = pd.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1]})
        if self.config.order == "file":
            events["time"] = np.arange(len(events), dtype=np.int64)
        every = np.arange(len(events))
        train, *held = (every[a:b] for a, b in zip(bounds, bounds[1:], strict=False))
        return RawData(
            events, repeats="allowed", file=str(shards["training"][0].parent), official={n: (train, own) for n, own in zip(PARTS[1:], held, strict=True) if len(own)},
            licence="Made by MLPerf's data generator from MovieLens-20M (GroupLens' terms).",
            about={
                "synthetic": "fractal expansion of MovieLens-20M; its users and films do not exist",
                "shards": {part: [file.name for file in files] for part, files in shards.items()},
                **({"times": "a pair's place in the files; the makers promise no order"} if self.config.order == "file" else {}),
            },
        )  # fmt: skip

    def _shards(self, folder: Path) -> dict[str, list[Path]]:
        """The files of each part that are read, in the order of their numbers."""
        if all((folder / part).is_dir() for part in PARTS):
            found = {part: sorted((folder / part).glob("*.npz"), key=_number) for part in PARTS}
        else:
            test = sorted(folder.glob("test*.npz"), key=_number)
            found = {
                "training": sorted(folder.glob("train*.npz"), key=_number),
                "validation": test[: len(test) // 2],
                "evaluation": test[len(test) // 2 :],
            }
        if not found["training"]:
            raise MMRecError(f"{folder} holds no training shards (training/*.npz or trainx16x32_*.npz).")
        chosen = {part: files[: max(1, round(self.config.share * len(files)))] for part, files in found.items()}
        # a shard is a block of people: learn from the shards of the same numbers as those that are judged, or nobody judged is known
        judged = {_number(file)[1] for part in PARTS[1:] for file in chosen[part]}
        same = [file for file in found["training"] if _number(file)[1] in judged]
        return {**chosen, "training": same or chosen["training"]}

    @staticmethod
    def _pairs(file: Path) -> Iterator[Array]:
        """The arrays of a shard, int32 ``[n, 2]`` each."""
        try:
            input_files.Archive(file)  # bounds what it unpacks to
            with np.load(file, allow_pickle=False) as shard:
                for name in shard.files:
                    told = shard[name]
                    if not isinstance(told, np.ndarray):
                        raise MMRecError(f"{file}: '{name}' is no array of numbers. Fetch it again.")
                    if told.ndim != 2 or told.shape[1] < 2 or told.dtype.kind not in "iu":
                        raise MMRecError(
                            f"{file}: '{name}' is {told.dtype} {list(told.shape)}, expected whole numbers [n, 2]."
                        )
                    if len(told) and (told[:, :2].min() < 0 or told[:, :2].max() > np.iinfo(np.int32).max):
                        raise MMRecError(f"{file}: '{name}' holds numbers that are no ids.")
                    yield told[:, :2].astype(np.int32)
        except MMRecError:
            raise
        except Exception as error:
            if not input_files.known(error) and not isinstance(error, OSError):
                raise
            raise MMRecError(
                f"{file} is damaged or no .npz of numbers ({input_files.brief(error)}). Fetch it again."
            ) from None

    @staticmethod
    def _find(source: Path | None) -> Path:
        folders = [source] if source is not None else [place / "npz20m" for place in settings.sources()]
        for folder in folders:
            if folder.is_dir():
                return folder
        raise MMRecError(
            "The x16x32 shards were not found. Make them with MLPerf's generator (mlcommons/training), and name their folder with --from or put it as npz20m "
            "under MMREC_SOURCES."
        )


def _number(file: Path) -> tuple[str, Any]:
    """``test_10`` after ``test_9``."""
    head = file.stem.rstrip("0123456789")
    return head, int(file.stem[len(head) :] or 0)
