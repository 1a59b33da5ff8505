"""Amazon Reviews 2023 in the published format, one JSON object per line: ratings, times, product texts and images."""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from mmrec_core import settings, storage
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import END, DatasetReader, RawData
from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files
from mmrec_core.reading.images import ENDINGS
from mmrec_core.types import Array, Progress

PRESETS: dict[str, dict[str, Any]] = {
    "amazon-clothing": {"file": "Clothing_Shoes_and_Jewelry"},
    "amazon-sports-2023": {"file": "Sports_and_Outdoors"},
}
SUMMARIES = {
    "amazon-clothing": "Amazon Reviews 2023 of clothing (Hou et al. 2024), from files that the user downloaded.",
    "amazon-sports-2023": "Amazon Reviews 2023 of sports goods (Hou et al. 2024), from files that the user downloaded.",
}
BLOCK_BYTES = 16 << 20
FILES = (".jsonl", ".jsonl.gz")


class AmazonReviews(DatasetReader):
    """Amazon Reviews 2023 (Hou et al. 2024, "Bridging Language and Items"), from files that the user downloaded.

    The files are ``FILE.jsonl[.gz]`` and ``meta_FILE.jsonl[.gz]``. The item id is ``parent_asin``; of several reviews
    of a product by one user the latest is kept. Users and products with fewer than ``core`` reviews are removed until
    all have enough (k-core). A product's title, description and features become its plot, its categories its genres,
    its first image its poster: ``images_FILE/PARENT_ASIN.jpg`` if there is such a file, else a download if ``images``
    allows it.
    """

    class Config(Config):
        """Which file, and which part of it."""

        file: str = setting(
            "Clothing_Shoes_and_Jewelry",
            "name of the files without ending, in the folder given by --from or in MMREC_SOURCES/amazon_reviews",
        )
        core: int = setting(
            10, "smallest number of reviews of every user and product kept", ge=1, le=1000, unit="reviews"
        )
        since: str = setting(
            "", "first day of the reviews to read, such as 2018-01-01; empty: all", pattern=r"^(\d{4}-\d{2}-\d{2})?$"
        )
        latest: int = setting(0, "number of latest reviews kept (before the k-core); 0: all", ge=0, unit="reviews")
        images: int = setting(
            0, "largest number of product images to download, the most reviewed products first", ge=0, unit="pictures"
        )

    config: Config

    def read(self, source: Path | None, draft: Path, progress: Progress) -> RawData:
        """Read the files in the folder named with ``--from``, or found by their name in ``MMREC_SOURCES``."""
        folder, config = self._find(source), self.config
        file = _file(folder, config.file)
        assert file is not None
        try:
            since = int(pd.Timestamp(config.since, tz="UTC").timestamp()) if config.since else None
        except ValueError:
            raise MMRecError(f"since is '{config.since}', which is no date; expected one such as 2018-01-01.") from None
        read = (self._events(block, file) for block in _blocks(file, progress, "reading reviews", REVIEW))
        parts = [part if since is None else part[part["time"] >= since] for part in read]
        if not parts:
            raise MMRecError(f"{file} is empty.")
        events = pd.concat(parts, ignore_index=True)
        events = events.sort_values("time", kind="stable").drop_duplicates(["user", "item"], keep="last")
        if config.latest:
            events = events.tail(config.latest)
        events = core(events, config.core).reset_index(drop=True)
        if not len(events):
            raise MMRecError(
                f"No user and product of {file} have {config.core} reviews each; ask for fewer with --set core=5."
            )
        items, urls = self._products(folder, events, progress)
        return RawData(
            events,
            items=items,
            scale=(1.0, 5.0),
            repeats="refused",
            what="items",
            file=str(file),
            posters=self._pictures(folder, events, urls, progress),
            licence="Amazon Reviews 2023 (McAuley Lab); research use.",
            about={"core": config.core, "since": config.since or None, "times": "UTC seconds of each review"},
        )

    @staticmethod
    def _events(block: Any, file: Path) -> pd.DataFrame:
        table = block.to_pandas()
        if (bad := table.isna().any(axis=1).to_numpy()).any():
            review = table[bad].iloc[0].to_dict()
            missing = ", ".join(k for k, v in review.items() if v is None or v != v)
            raise MMRecError(f"{file}: a review lacks {missing} ({int(bad.sum()):,} such). Correct or remove it.")
        if (bad := ~table["rating"].between(1.0, 5.0).to_numpy()).any():
            raise MMRecError(
                f"{file}: a rating is {table['rating'][bad].iloc[0]:g}, expected 1 to 5 ({int(bad.sum()):,} such). "
                "Correct or remove it."
            )
        when = (table["timestamp"].to_numpy() // 1000).astype(np.int64)
        if (bad := (when < 0) | (when >= END)).any():
            raise MMRecError(
                f"{file}: a timestamp is {table['timestamp'][bad].iloc[0]:g}, expected milliseconds from 1970 to 2095 "
                f"({int(bad.sum()):,} such). Correct or remove it."
            )
        return pd.DataFrame(
            {
                "user": table["user_id"],
                "item": table["parent_asin"],
                "rating": table["rating"].astype("float32"),
                "time": when,
            }
        )

    def _products(self, folder: Path, events: pd.DataFrame, progress: Progress) -> tuple[pd.DataFrame, dict[str, str]]:
        """The reviewed products, and the URL of an image by product."""
        known, urls = set(events["item"]), dict[str, str]()
        rows: list[dict[str, Any]] = []
        beside = _file(folder, f"meta_{self.config.file}")
        for block in _blocks(beside, progress, "reading products", PRODUCT) if beside is not None else ():
            for product in block.to_pylist():
                if product["parent_asin"] not in known:
                    continue
                texts = [product["title"], *(product["features"] or []), *(product["description"] or [])]
                rows.append(
                    {
                        "item": product["parent_asin"],
                        "title": product["title"],
                        "genres": list(product["categories"] or [])[1:],
                        "director": product["store"],
                        "plot": " ".join(t.strip() for t in texts if t) or None,
                    }
                )
                picture = next(
                    (p.get("large") or p.get("hi_res") or p.get("thumb") for p in product["images"] or []), None
                )
                if picture:
                    urls[product["parent_asin"]] = picture
        table = pd.DataFrame(rows, columns=["item", "title", "genres", "director", "plot"]).drop_duplicates("item")
        lacking = sorted(known - set(table["item"]))
        more = pd.DataFrame({"item": lacking, "title": [f"Product {asin}" for asin in lacking]})
        return pd.concat([table, more], ignore_index=True), urls

    def _pictures(
        self, folder: Path, events: pd.DataFrame, urls: Mapping[str, str], progress: Progress
    ) -> dict[str, Path]:
        """Image files by product: those in the folder, then downloads.

        Args:
            folder: folder of the files.
            events: the reviews.
            urls: URL of an image by product.
            progress: progress callback.
        """
        own = folder / f"images_{self.config.file}"
        found = {f.stem: f for f in own.glob("*") if f.suffix.lower() in ENDINGS} if own.is_dir() else {}
        wanted = [asin for asin in events["item"].value_counts().index if asin in urls and asin not in found][
            : self.config.images
        ]
        cache, site = settings.home() / "cache" / "amazon", os.environ.get("MMREC_AMAZON_IMAGES")
        for done, asin in enumerate(wanted):
            progress(done, len(wanted), "downloading pictures")
            kept = cache / f"{storage.safe_name(asin, 'product number')}.jpg"
            if not kept.exists():
                url = urls[asin] if site is None else f"{site}/{urls[asin].rsplit('/', 1)[-1]}"
                content = _picture(url)
                if content is None:
                    continue
                storage.write_bytes(kept, content)
            found[asin] = kept
        return found

    def _find(self, source: Path | None) -> Path:
        if (
            source is not None
            and source.is_file()
            and source.name.removesuffix(".gz").removesuffix(".jsonl") != self.config.file
        ):
            raise MMRecError(
                f"{source.name} is not {self.config.file}.jsonl. Use --set file={source.name.split('.')[0]}, "
                "or name the folder."
            )
        folders = (
            [source.parent if source.is_file() else source]
            if source is not None
            else [place / "amazon_reviews" for place in settings.sources()]
        )
        for folder in folders:
            if _file(folder, self.config.file) is not None:
                return folder
        raise MMRecError(
            f"{self.config.file}.jsonl was not found. Download it and meta_{self.config.file}.jsonl from "
            "amazon-reviews-2023.github.io, and name their folder with --from or put them into a folder called "
            "amazon_reviews under MMREC_SOURCES."
        )


REVIEW = ("user_id", "parent_asin", "rating", "timestamp")
PRODUCT = ("parent_asin", "title", "features", "description", "categories", "store", "images")


def _file(folder: Path, name: str) -> Path | None:
    return next((folder / f"{name}{end}" for end in FILES if (folder / f"{name}{end}").is_file()), None)


def _blocks(file: Path, progress: Progress, what: str, fields: tuple[str, ...]) -> Iterator[Any]:
    """Read JSON lines as Arrow tables, block by block, with only some of the fields.

    Args:
        file: the file, possibly gzipped.
        progress: progress callback, in bytes.
        what: text for the progress callback.
        fields: fields to read.

    Raises:
        MMRecError: a line is no JSON object, or lacks the fields.
    """
    import pyarrow as pa
    from pyarrow import json as fast

    text, several = pa.string(), pa.list_(pa.string())
    picture = pa.struct([("thumb", text), ("large", text), ("hi_res", text)])
    kinds = {
        "rating": pa.float64(),
        "timestamp": pa.int64(),
        "features": several,
        "description": several,
        "categories": several,
        "images": pa.list_(picture),
    }
    schema = pa.schema([(name, kinds.get(name, text)) for name in fields])
    how = fast.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    size, line = max(file.stat().st_size, 1), 1
    with file.open("rb") as raw:
        stream: IO[bytes] = input_files.gunzip(file) if file.suffix == ".gz" else raw
        try:
            while part := stream.read(BLOCK_BYTES):
                part += stream.readline()
                progress(min(raw.tell(), size), size, what)
                _objects_only(part, file, line)
                try:
                    yield fast.read_json(
                        pa.BufferReader(part), fast.ReadOptions(use_threads=False, block_size=len(part) + 1), how
                    ).select(fields)
                except (pa.ArrowException, KeyError) as error:
                    raise MMRecError(
                        f"{file}, between lines {line} and {line + part.count(10)}: no reviews or products in the "
                        f"published format ({input_files.brief(error)})."
                    ) from None
                line += part.count(10)
        except (OSError, EOFError, zlib.error) as error:
            raise MMRecError(f"{file} is damaged or cut short ({error}). Fetch it again.") from None


def _objects_only(part: bytes, file: Path, first: int) -> None:
    """Refuse lines that are no JSON object before pyarrow reads them: a bare ``null`` crashes pyarrow.

    Raises:
        MMRecError: there is such a line; the message names it.
    """
    odd = re.search(rb"^[ \t\r]*[^{\s]", part, re.MULTILINE)
    if odd is None and not re.search(rb"\}\s*null", part):  # inside an object such a place can only be in a text
        return
    for at, line in enumerate(part.split(b"\n"), first):
        with input_files.reading(f"{file}, line {at}", "one JSON object on each line", "Correct or remove the line."):
            if line.strip() and not isinstance(json.loads(line), dict):
                raise ValueError("no object")


def core(events: pd.DataFrame, least: int) -> pd.DataFrame:
    """The k-core of events: users and items with fewer than ``least`` events are removed until all have enough."""
    user, item = (pd.factorize(events[column])[0] for column in ("user", "item"))
    keep: Array = np.ones(len(events), bool)
    while True:
        few = [np.bincount(codes[keep], minlength=codes.max(initial=-1) + 1)[codes] < least for codes in (user, item)]
        lost = keep & (few[0] | few[1])
        if not lost.any():
            return events[keep]
        keep &= ~lost


def _picture(url: str) -> bytes | None:
    """Download an image; ``None`` if it does not exist any more.

    Raises:
        MMRecError: no network; images downloaded so far are kept.
    """
    import requests

    for attempt in range(4):
        try:
            answer = requests.get(url, timeout=20)
        except requests.RequestException as error:
            raise MMRecError(
                f"The image server did not answer ({type(error).__name__}). "
                "Run this again: it continues where it stopped."
            ) from None
        if answer.ok:
            return bytes(answer.content) if answer.headers.get("Content-Type", "").startswith("image/") else None
        if answer.status_code != 429 and answer.status_code < 500:
            return None
        time.sleep(2**attempt)
    raise MMRecError(
        "The image server keeps refusing requests. Wait a while and run this again: it continues where it stopped."
    )
