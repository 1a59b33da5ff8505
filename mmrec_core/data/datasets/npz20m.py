"""MLPerf's synthetic expansion of MovieLens-20M: pairs of user and item in NumPy shards."""

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
    """Synthetic: MovieLens-20M expanded 16 × 32 by fractals (Belletti et al. 2019, for MLPerf); no real people.

    ``[user, item]`` pairs are in ``.npz`` shards, in folders ``training``, ``validation`` and ``evaluation``, or in one
    folder with the published names (``trainx16x32_*`` for training; ``testx16x32_*``, the first half for validation,
    the second for testing). Shards are read one at a time; preparation needs about 60 bytes of memory per pair. The
    splits ``folds:validation`` and ``folds:evaluation`` are the published ones.
    """

    class Config(Config):
        """How much is read, and whether the order of pairs counts as time."""

        share: float = setting(
            0.1,
            "share of each folder's shards to read, from the first on (at least one); of training those of the same "
            "users",
            ge=0.001,
            le=1.0,
            log=True,
        )
        order: Literal["none", "file"] = setting(
            "none",
            "whether a pair's position in the files is used as its time, which sequence models need; the files have no "
            "documented order",
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
        train, *others = (every[a:b] for a, b in zip(bounds, bounds[1:], strict=False))
        return RawData(
            events,
            repeats="allowed",
            file=str(shards["training"][0].parent),
            official={n: (train, own) for n, own in zip(PARTS[1:], others, strict=True) if len(own)},
            licence="Made by MLPerf's data generator from MovieLens-20M (GroupLens' terms).",
            about={
                "synthetic": "fractal expansion of MovieLens-20M; its users and films do not exist",
                "shards": {part: [file.name for file in files] for part, files in shards.items()},
                **(
                    {"times": "a pair's place in the files; the makers promise no order"}
                    if self.config.order == "file"
                    else {}
                ),
            },
        )

    def _shards(self, folder: Path) -> dict[str, list[Path]]:
        """The files to read by part, in the order of their numbers."""
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
        # a shard is a block of users: training must read the shards of the same numbers, so that test users are known
        evaluated = {_number(file)[1] for part in PARTS[1:] for file in chosen[part]}
        same = [file for file in found["training"] if _number(file)[1] in evaluated]
        return {**chosen, "training": same or chosen["training"]}

    @staticmethod
    def _pairs(file: Path) -> Iterator[Array]:
        """Read the arrays of a shard, int32 ``[n, 2]`` each."""
        try:
            input_files.Archive(file)  # checks the unpacked size
            with np.load(file, allow_pickle=False) as shard:
                for name in shard.files:
                    pairs = shard[name]
                    if not isinstance(pairs, np.ndarray):
                        raise MMRecError(f"{file}: '{name}' is no array of numbers. Fetch it again.")
                    if pairs.ndim != 2 or pairs.shape[1] < 2 or pairs.dtype.kind not in "iu":
                        raise MMRecError(
                            f"{file}: '{name}' is {pairs.dtype} {list(pairs.shape)}, expected whole numbers [n, 2]."
                        )
                    if len(pairs) and (pairs[:, :2].min() < 0 or pairs[:, :2].max() > np.iinfo(np.int32).max):
                        raise MMRecError(f"{file}: '{name}' holds numbers that are no ids.")
                    yield pairs[:, :2].astype(np.int32)
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
            "The x16x32 shards were not found. Make them with MLPerf's generator (mlcommons/training), and name their "
            "folder with --from or put it as npz20m under MMREC_SOURCES."
        )


def _number(file: Path) -> tuple[str, Any]:
    """Sort key by name and number: ``test_10`` comes after ``test_9``."""
    head = file.stem.rstrip("0123456789")
    return head, int(file.stem[len(head) :] or 0)
