"""Fuzz tests of the readers: seeded mutations of valid files give a result or one readable error, nothing else.

``MMREC_FUZZ`` is how many mutations each reader gets (100 in the suite; take 1000 or more after a change to a reader).
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

from mmrec_core import features, registry
from mmrec_core.analysis import error_annotations
from mmrec_core.data import preparation, splits
from mmrec_core.data.datasets import _own
from mmrec_core.data.datasets._base import END
from mmrec_core.errors import MMRecError
from mmrec_core.reading import images
from mmrec_core.types import Dataset

TRIES = int(os.environ.get("MMREC_FUZZ", "100"))
NASTY = [
    b"",
    b"nan",
    b"inf",
    b"-inf",
    b"1e400",
    b"-1",
    b"0",
    b"1.5",
    b"007",
    b"9" * 19,
    b"9" * 60,
    b"9223372036854775808",
    b"-9223372036854775809",
    b"1e3",
    b"NA",
    b"None",
    b"\x00",
    b'"',
    b'""',
    b"'",
    b",",
    b";",
    b"\t",
    b"|",
    b"::",
    b"\n",
    b"\r",
    b"\r\n",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\xc2\xb2",
    b"2015-13-45",
    b"0001-01-01",
    b"9999-12-31T00:00:00Z",
    b"1/2/3",
    b"True",
    b"[]",
    b"{}",
    b"null",
    b"[[[[",
    b"=1+1",
    b"<script>",
    b"../../x",
    b"x" * 3000,
]


def mutated(body: bytes, rng: random.Random) -> bytes:
    """One to three changes: bytes flipped, cut, doubled, moved; cells replaced by what is easily misread."""
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randrange(len(body) + 1), rng.choice([1, 1, 2, 4, 16, 64, 400])
        kind = rng.randrange(9)
        if kind == 0 and body:
            changed = bytearray(body)
            changed[min(at, len(body) - 1)] = rng.randrange(256)
            body = bytes(changed)
        elif kind == 1:
            body = body[:at] + body[at + length :]
        elif kind == 2:
            body = body[:at] + rng.choice(NASTY) + body[at:]
        elif kind == 3:
            body = body[:at] + body[at : at + length] * 2 + body[at + length :]
        elif kind == 4:
            body = body[:at]
        elif kind == 5:
            body = body[:at] + rng.randbytes(length) + body[at + length :]
        else:  # a cell, a line or a word
            marks = b"\n" if kind == 6 else b',;\t|:\n "'
            ends = [0, *(i + 1 for i, c in enumerate(body) if c in marks), len(body) + 1]
            which = rng.randrange(len(ends) - 1)
            start, end = ends[which], max(ends[which + 1] - 1, ends[which])
            body = body[:start] + (rng.choice(NASTY) if kind != 8 else body[start:end] * 2) + body[end:]
    return body


@dataclass(frozen=True)
class Reader:
    """How to make a reader's valid input, and how to have it read."""

    files: Callable[[], dict[str, bytes]]
    """Bytes by file name."""
    read: Callable[[Path], Any]
    """Reads a folder of them."""
    touch: tuple[str, ...] = ()
    """Files to damage; all where none is named."""


def prepare(name: str, source: str = "", **options: Any) -> Callable[[Path], Dataset]:
    """Prepares a dataset of the folder and checks what was stored."""

    def go(folder: Path) -> Dataset:
        preparation.prepare(
            name,
            source=folder / source if source else folder,
            name="fuzzed" if name == "csv" else None,
            options=options,
        )
        dataset = preparation.open_dataset("fuzzed" if name == "csv" else name)
        whole(dataset)
        return dataset

    return go


def whole(dataset: Dataset) -> None:
    """What was accepted can be used: values within bounds, ids unique and without odd characters."""
    events = dataset.interactions
    assert len(events) and json.dumps(dataset.manifest)
    for role, ids in (("user", dataset.users), ("item", dataset.items)):
        column = getattr(events, role)
        if column is not None:
            assert 0 <= int(column.min()) and int(column.max()) < len(ids) and len(np.unique(ids.raw)) == len(ids)
            assert ids.raw.dtype.kind in "iU" and not any(
                "\0" in str(i) or str(i).strip() != str(i) or not str(i) for i in ids.raw.tolist()
            )
    if events.rating is not None:
        low, high = dataset.scale or (0, 0)
        assert (
            np.isfinite(events.rating).all()
            and low - 1e-6 <= float(events.rating.min())
            and float(events.rating.max()) <= high + 1e-6
        )
    if events.time is not None:
        assert 0 <= int(events.time.min()) and int(events.time.max()) < END
    if len(dataset.catalog):
        assert dataset.catalog["title"].map(lambda t: isinstance(t, str) and bool(t)).all()


def rows(n: int = 40) -> list[tuple[int, int, float, int]]:
    """Ratings, each pair once."""
    rng = random.Random(1)
    return [(1 + at % 8, 10 + at // 8, rng.randint(1, 10) / 2, 1_500_000_000 + 1000 * at) for at in range(n)]


def text(head: str, lines: list[str]) -> bytes:
    return ("\n".join([head, *lines] if head else lines) + "\n").encode()


def ratings() -> bytes:
    return text("userId,movieId,rating,timestamp", [",".join(map(str, row)) for row in rows()])


def films() -> bytes:
    return text(
        "movieId,title,year,genres,director,plot",
        [f'{i},"Film, number {i}",{1990 + i},Drama|War,Ann Bee,A plot of {i}.' for i in range(10, 16)],
    )


def parquet(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out)
    return out.getvalue()


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name.replace("__", "."), body)
    return out.getvalue()


def table() -> pd.DataFrame:
    found = pd.DataFrame(rows(), columns=["userId", "movieId", "rating", "timestamp"])
    return found.assign(timestamp=pd.to_datetime(found["timestamp"], unit="s"))


def movielens_csv() -> dict[str, bytes]:
    return {
        "ratings.csv": ratings(),
        "movies.csv": text("movieId,title,genres", [f'{i},"Alpha, The ({1990 + i})",Drama|War' for i in range(10, 16)]),
        "links.csv": text("movieId,imdbId,tmdbId", [f"{i},000{i},{i}" for i in range(10, 16)]),
        "tags.csv": text("userId,movieId,tag,timestamp", ["1,10,nice,5", "2,10,Nice,6", "2,11,dull,7"]),
    }


def movielens_dat() -> dict[str, bytes]:
    return {
        "ratings.dat": text("", ["::".join(map(str, (u, i, int(r + 0.5), t))) for u, i, r, t in rows()]),
        "movies.dat": text("", [f"{i}::Alpha ({1990 + i})::Drama|War" for i in range(10, 16)]),
        "users.dat": text("", [f"{u}::F::25::3::12345" for u in range(1, 9)]),
    }


def movielens_100k() -> dict[str, bytes]:
    lines = ["\t".join(map(str, (u, i, max(int(r), 1), t))) for u, i, r, t in rows()]
    return {
        "u.data": text("", lines),
        "u.genre": text("", ["unknown|0", "Drama|1", "War|2"]),
        "u.item": text("", [f"{i}|Alpha ({1990 + i})|01-Jan-1995||http://x|0|1|0" for i in range(10, 16)]),
        "u.user": text("", [f"{u}|33|M|writer|12345" for u in range(1, 9)]),
        "u1.base": text("", lines[:30]),
        "u1.test": text("", lines[30:]),
    }


def amazon() -> dict[str, bytes]:
    return {
        "Beauty.txt": text("", [f"{u} {u} {u + 1} {u + 2} {u + 3}" for u in range(1, 9)]),
        "Beauty_item2attributes.json": json.dumps({str(i): [i, 2] for i in range(1, 12)}).encode(),
    }


def reviews(squeezed: bool = False) -> dict[str, bytes]:
    lines = [
        json.dumps(
            {"user_id": f"U{u}", "parent_asin": f"B{i}", "rating": max(float(int(r)), 1.0), "timestamp": t * 1000}
        )
        for u, i, r, t in rows()
    ]
    meta = [
        json.dumps(
            {
                "parent_asin": f"B{i}",
                "title": f"Boots {i}",
                "features": ["warm"],
                "description": [],
                "categories": ["A", "B"],
                "store": "S",
                "images": [],
            }
        )
        for i in range(10, 15)
    ]
    body = text("", lines)
    return {
        f"Clothing_Shoes_and_Jewelry.jsonl{'.gz' if squeezed else ''}": gzip.compress(body) if squeezed else body,
        "meta_Clothing_Shoes_and_Jewelry.jsonl": text("", meta),
    }


def shards() -> dict[str, bytes]:
    out = {}
    for name in ("trainx16x32_0.npz", "testx16x32_0.npz"):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, np.array([(u, i) for u, i, _, _ in rows()], np.int32))
        out[name] = buffer.getvalue()
    return out


def census() -> dict[str, bytes]:
    line = (
        "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, "
        "2174, 0, 40, United-States, <=50K"
    )
    return {
        "adult.data": text("", [line, line.replace("39", "50").replace("<=", ">")] * 4),
        "adult.test": text("|1x3 Cross validator", [line + "."] * 4),
    }


def criteo() -> dict[str, bytes]:
    return {
        "train.txt": text(
            "",
            [
                "\t".join([str(at % 2), *(str(at + k) for k in range(13)), *(f"c{k}{at % 3}" for k in range(26))])
                for at in range(12)
            ],
        )
    }


def atomic() -> dict[str, bytes]:
    """RecBole's files of one dataset, with vectors beside them."""
    image = io.BytesIO()
    np.save(image, np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32))
    return {
        "x.inter": text(
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\tx_label:float",
            ["\t".join(map(str, (u, i, r, t, (u + i) % 3))) for u, i, r, t in rows()],
        ),
        "x.item": text(
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\ttext_emb:float_seq",
            [f"{i}\tFilm {i}\t{1980 + i}\tDrama War\t{i} 1 {-i}.5" for i in range(10, 16)],
        ),
        "x.user": text("user_id:token\tage:float", [f"{u}\t{20 + u}" for u in range(1, 9)]),
        "image_feat.npy": image.getvalue(),
    }


def matrices() -> dict[str, bytes]:
    """Pickled matrices in three parts, as DiffMM publishes them."""
    pairs = np.array([(u, i - 10) for u, i, _, _ in rows()])
    found = {}
    for at, name in enumerate(("trnMat.pkl", "valMat.pkl", "tstMat.pkl")):
        own = pairs[at::3]
        matrix = sparse.coo_matrix((np.ones(len(own)), (own[:, 0], own[:, 1])), shape=(9, 6))
        found[name] = pickle.dumps(matrix, protocol=3)
    return found


def published_table() -> bytes:
    named = [(u, i, ("train", "valid", "test")[at % 3]) for at, (u, i, _, _) in enumerate(rows())]
    return parquet(pd.DataFrame(named, columns=["user", "item", "split"]))


def vectors() -> dict[str, bytes]:
    out = {}
    for name, column in (
        ("x_text_v.npy", np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)),
        ("x_text_v_ids.npy", np.arange(1, 31)),
    ):
        body = io.BytesIO()
        np.save(body, column)
        out[name] = body.getvalue()
    return out


def pictures() -> dict[str, bytes]:
    out = {}
    for ending, form, mode in (
        ("jpg", "JPEG", "RGB"),
        ("png", "PNG", "RGBA"),
        ("webp", "WEBP", "RGB"),
        ("gif", "GIF", "P"),
        ("bmp", "BMP", "RGB"),
        ("tif", "TIFF", "I;16"),
    ):
        body = io.BytesIO()
        Image.effect_noise((24, 32), 80).convert("RGB" if mode == "I;16" else mode).convert(
            "L" if mode == "I;16" else mode
        ).convert(mode).save(body, form)
        out[f"1.{ending}"] = body.getvalue()
    return out


def open_every(folder: Path) -> None:
    """Opens each picture on its own; the first that is refused ends it."""
    for file in sorted(folder.iterdir()):
        assert images.open_image(file).mode == "RGB"
        preparation.thumbnail(file)


def look(folder: Path) -> None:
    """The calls that the upload form makes."""
    seen = _own.look(folder / "r.csv")
    _own.preview(
        folder / "r.csv",
        registry.config(
            "datasets",
            "csv",
            {"items": "", "scale": "0.5:5", **{r: seen.roles.get(r, "") for r in ("user", "rating", "time")}},
        ),
    )


def one(name: str, body: Callable[[], bytes]) -> Callable[[], dict[str, bytes]]:
    return lambda: {name: body()}


LETTERBOXD = text(
    "Date,Name,Year,Letterboxd URI,Rating",
    [f'2017-04-{1 + at:02},"Film, {at}",{1990 + at},https://boxd.it/{at},{at % 5 + 0.5}' for at in range(20)],
)
BLOCKS = text(
    "",
    [line for i in range(1, 6) for line in (f"{i}:", *(f"{u},{1 + (u + i) % 5},2005-0{i}-1{u}" for u in range(1, 9)))],
)
TITLES = text("", [f"{i},{1990 + i},Film, the {i}" for i in range(1, 6)])
GERMAN = (
    "Benutzer;Film;Bewertung;Datum\n"
    + "".join(f"Müller-{u};Fünf {i};{str(r).replace('.', ',')};{1 + u}.10.2015 19:27\n" for u, i, r, _ in rows())
).encode("latin-1")
LOG = text(
    "event_time,visitor,item,event",
    [f"2020-01-0{1 + at % 9}T10:00:{at:02}Z,u{at % 4},tt{at % 6},{'view' if at % 2 else 'buy'}" for at in range(40)],
)

READERS = {
    "csv": Reader(one("r.csv", ratings), prepare("csv", "r.csv", scale="0.5:5", items="")),
    "csv.gz": Reader(
        lambda: {"r.csv.gz": gzip.compress(ratings())}, prepare("csv", "r.csv.gz", scale="0.5:5", items="")
    ),
    "csv in zip": Reader(
        lambda: {"r.zip": packed(ratings__csv=ratings(), other__md=b"x")},
        prepare("csv", "r.zip", scale="0.5:5", items=""),
    ),
    "parquet": Reader(lambda: {"r.parquet": parquet(table())}, prepare("csv", "r.parquet", scale="0.5:5", items="")),
    "film table": Reader(
        lambda: {"r.csv": ratings(), "f.csv": films()},
        prepare("csv", "r.csv", scale="0.5:5", items="f.csv"),
        ("f.csv",),
    ),
    "film table, parquet": Reader(
        lambda: {
            "r.csv": ratings(),
            "f.parquet": parquet(
                pd.DataFrame(
                    {"movieId": [10, 11], "title": ["A", "B"], "genres": [["x", "y"], []], "year": [1990, 1991]}
                )
            ),
        },
        prepare("csv", "r.csv", scale="0.5:5", items="f.parquet"),
        ("f.parquet",),
    ),
    "letterboxd": Reader(one("r.csv", lambda: LETTERBOXD), prepare("csv", "r.csv")),
    "netflix prize": Reader(
        lambda: {"combined_data_1.txt": BLOCKS, "movie_titles.csv": TITLES}, prepare("csv", "combined_data_1.txt")
    ),
    "german": Reader(one("r.csv", lambda: GERMAN), prepare("csv", "r.csv", scale="0.5:5")),
    "log": Reader(one("r.csv", lambda: LOG), prepare("csv", "r.csv", keep="view")),
    "look and preview": Reader(one("r.csv", ratings), look),
    "movielens csv": Reader(movielens_csv, prepare("ml-latest")),
    "movielens dat": Reader(movielens_dat, prepare("ml-latest")),
    "movielens 100k": Reader(movielens_100k, prepare("ml-latest")),
    "movielens zip": Reader(
        lambda: {"ml.zip": packed(**{k.replace(".", "__"): v for k, v in movielens_csv().items()})},
        prepare("ml-latest", "ml.zip"),
    ),
    "sequences": Reader(
        one("s.txt", lambda: text("", [f"{1 + at % 5} {at % 7}" for at in range(40)])), prepare("sequences", "s.txt")
    ),
    "amazon": Reader(amazon, prepare("amazon-beauty")),
    "amazon reviews": Reader(reviews, prepare("amazon-clothing", core=1)),
    "amazon reviews.gz": Reader(lambda: reviews(True), prepare("amazon-clothing", core=1)),
    "npz20m": Reader(shards, prepare("npz20m", share=1.0)),
    "census": Reader(census, prepare("census")),
    "criteo": Reader(criteo, prepare("criteo", "train.txt", buckets=64)),
    "recbole": Reader(atomic, prepare("recbole")),
    "recbole, ratings": Reader(atomic, prepare("recbole", ratings="keep"), ("x.inter", "x.item")),
    "matrices": Reader(matrices, prepare("tiktok")),
    "published table": Reader(one("interactions.parquet", published_table), prepare("amazon-baby")),
    "pictures": Reader(pictures, open_every),
}


def attempt(reader: Reader, good: dict[str, bytes], folder: Path, rng: random.Random) -> bool:
    """One damaged folder; whether it was accepted. Anything but success or one plain line fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, body in good.items():
        (folder / name).write_bytes(body)
    name = rng.choice(reader.touch or sorted(good))
    (folder / name).write_bytes(mutated(good[name], rng))
    try:
        reader.read(folder)
    except MMRecError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000, str(error)
        return False
    return True


@pytest.mark.parametrize("name", list(READERS))
def test_a_reader_ends_in_success_or_one_plain_line(
    home: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_SOURCES", "")
    monkeypatch.setattr("mmrec_core.settings.static_dir", lambda: tmp_path / "static")
    reader = READERS[name]
    good = reader.files()
    (tmp_path / "good").mkdir()
    for file, body in good.items():
        (tmp_path / "good" / file).write_bytes(body)
    reader.read(tmp_path / "good")
    rng = random.Random(f"{name} {os.environ.get('MMREC_FUZZ_SEED', '0')}")
    accepted = 0
    for at in range(TRIES):
        state = rng.getstate()
        try:
            accepted += attempt(reader, good, tmp_path / "bad", rng)
        except Exception as error:
            kept = tmp_path / "failed"
            shutil.copytree(tmp_path / "bad", kept, dirs_exist_ok=True)
            raise AssertionError(
                f"{name}, try {at} ({type(error).__name__}: {error}); input in {kept}, state {hash(state)}"
            ) from error
        if (home / "datasets").is_dir():
            assert not [f.name for f in (home / "datasets").iterdir() if f.name.startswith(".")], "half-written"
    print(f"{name}: {TRIES} tried, {accepted} accepted")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small dataset that splits and vectors are of."""
    from tests.conftest import prepare_once

    folder = tmp_path_factory.mktemp("fuzz")
    return prepare_once(folder / "home", folder, "demo", films=50, scale=0.02)  # type: ignore[return-value]


def test_an_exported_split_is_read_back_or_refused(prepared: Dataset, tmp_path: Path) -> None:
    made = splits.make_split(prepared, "cold-item")
    splits.export_split(prepared, made, tmp_path / "split")
    good = {f.name: f.read_bytes() for f in (tmp_path / "split").iterdir()}

    def read(folder: Path) -> None:
        assert splits.import_split(prepared, folder).checksum == made.checksum, (
            "what is accepted is the split that was exported"
        )

    rng = random.Random(2)
    for _ in range(TRIES):
        attempt(Reader(lambda: good, read), good, tmp_path / "bad", rng)


def test_vectors_are_taken_over_whole_or_refused(prepared: Dataset, tmp_path: Path) -> None:
    good = vectors()

    def read(folder: Path) -> None:
        rows, unit = features.importing._read(prepared, folder / "x_text_v.npy")
        assert (
            np.isfinite(unit).all()
            and np.allclose(np.linalg.norm(unit.astype(np.float64), axis=1), 1, atol=1e-4)
            and len(np.unique(rows)) == len(rows)
        )
        assert np.isfinite(unit.astype(np.float16)).all() and (rows >= 0).all()

    rng = random.Random(3)
    for _ in range(TRIES):
        attempt(Reader(lambda: good, read), good, tmp_path / "bad", rng)


def test_coded_cases_are_taken_over_whole_or_refused(tmp_path: Path) -> None:
    cases = [
        error_annotations.case(
            "rating", user=str(at), film="7", tags=("too kind", "long"), note=f'a "note", {at}', made=1.5 + at
        )
        for at in range(6)
    ]
    good = {"cases.csv": error_annotations.as_csv(cases).encode()}

    def read(folder: Path) -> None:
        found = error_annotations.from_csv((folder / "cases.csv").read_bytes().decode("utf-8", "replace"))
        json.dumps([c.model_dump(mode="json") for c in found], allow_nan=False)
        assert error_annotations.from_csv(error_annotations.as_csv(found)) == found

    rng = random.Random(4)
    for _ in range(TRIES):
        attempt(Reader(lambda: good, read), good, tmp_path / "bad", rng)


def test_stray_tables_among_the_sources_end_in_a_note(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {
        "x/links.csv": text("movieId,imdbId,tmdbId", [f"{i},000{i},{i}" for i in range(10, 16)]),
        "movie_text/a.csv": text(
            "id,title,release_date,overview", [f"{i},Alpha,{1990 + i}-01-01,Plot {i}." for i in range(10, 16)]
        ),
        "movie_text/b.zip": packed(t__csv=text("imdb_id,overview", ["tt00012,A plot."])),
        "posters/index.csv": text("file,movieId,imdbId,tmdbId", ["10.png,10,00010,10"]),
        "posters/10.png": pictures()["1.png"],
    }
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path / "sources"))
    monkeypatch.setattr("mmrec_core.settings.static_dir", lambda: tmp_path / "static")
    (tmp_path / "raw").mkdir()
    for file, body in movielens_csv().items():
        (tmp_path / "raw" / file).write_bytes(body)
    rng = random.Random(5)
    for _ in range(TRIES):
        changed = rng.choice(sorted(good))
        for file, body in good.items():
            (tmp_path / "sources" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "sources" / file).write_bytes(mutated(body, rng) if file == changed else body)
        summary = preparation.prepare("ml-latest", source=tmp_path / "raw")
        assert summary["ratings"] == 40 and not any(
            "Error" in note and "could not be used" in note for note in summary["notes"]
        ), summary["notes"]
