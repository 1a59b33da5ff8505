"""Limits on untrusted files: decompression bombs, false array headers, damaged archives and tables."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmrec_core import settings
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.reading import input_files, tables
from tests.test_datasets import small_movielens

HEAD = b"userId,movieId,rating,timestamp\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test can pass quickly."""
    monkeypatch.setattr(input_files, "FREE_BYTES", 1 << 20)


def zeros(n: int) -> bytes:
    return HEAD + b"1,2,3,4\n" * (n // 8)


def zip_bomb(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "r.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ratings.csv", zeros(4 << 20))
    return folder / "r.zip"


def gzip_bomb(folder: Path) -> Path:
    (folder / "r.csv.gz").write_bytes(gzip.compress(zeros(4 << 20)))
    return folder / "r.csv.gz"


def parquet_bomb(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = 2_000_000
    same = {name: pa.array(np.zeros(n, np.int64)) for name in ("userId", "movieId", "timestamp")}
    pq.write_table(pa.table({**same, "rating": pa.array(np.ones(n))}), folder / "r.parquet", compression="zstd")
    return folder / "r.parquet"


@pytest.mark.parametrize("make", [zip_bomb, gzip_bomb, parquet_bomb])
def test_a_bomb_is_refused(home: Path, tmp_path: Path, small: None, make: Callable[[Path], Path]) -> None:
    with pytest.raises(MMRecError, match="decompression bomb"):
        preparation.prepare("csv", source=make(tmp_path), name="mine", options={"scale": "0.5:5"})
    assert preparation.prepared() == []


@pytest.mark.parametrize("make", [zip_bomb, gzip_bomb])
def test_no_more_is_unpacked_than_may_be(tmp_path: Path, small: None, make: Callable[[Path], Path]) -> None:
    """The whole is never in memory: what was read when it was refused is little more than the bound."""
    import tracemalloc

    file = make(tmp_path)
    tracemalloc.start()
    with pytest.raises(MMRecError, match="decompression bomb"):
        tables.read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20


def test_a_size_that_a_zip_understates_does_not_help(tmp_path: Path, small: None) -> None:
    body = zip_bomb(tmp_path).read_bytes()
    real = (len(zeros(4 << 20))).to_bytes(4, "little")
    (tmp_path / "r.zip").write_bytes(body.replace(real, (1000).to_bytes(4, "little")))
    with pytest.raises(MMRecError):
        tables.read(tmp_path / "r.zip")


def test_a_bomb_among_movielens_files_and_other_sources(
    home: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_movielens(tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "ml.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        archive.writestr("tags.csv", b"userId,movieId,tag,timestamp\n" + b"1,10,a,1\n" * 400_000)
    with pytest.raises(MMRecError, match="decompression bomb"):
        preparation.prepare("ml-latest", source=tmp_path / "ml.zip")
    (tmp_path / "sources" / "movie_text").mkdir(parents=True)
    (tmp_path / "sources" / "movie_text" / "x.csv.gz").write_bytes(
        gzip.compress(b"id,overview\n" + b"862,a\n" * 800_000)
    )
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path / "sources"))
    summary = preparation.prepare("ml-latest", source=folder)
    assert summary["ratings"] == 2 and any("decompression bomb" in note for note in summary["notes"])


def test_ordinary_compression_is_read(home: Path, tmp_path: Path, ratings_csv: Path) -> None:
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(ratings_csv.read_bytes()))
    with zipfile.ZipFile(tmp_path / "r.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(ratings_csv, "export/ratings.csv")
        archive.writestr("export/profile.csv", "a,b\n1,2\n")
    for name in ("r.csv.gz", "r.zip"):
        assert (
            preparation.prepare("csv", source=tmp_path / name, name="mine", options={"scale": "0.5:5"})["ratings"]
            == 360
        )


def encrypted(folder: Path) -> Path:
    """The flag of encryption is what counts; no library here writes such an archive."""
    with zipfile.ZipFile(folder / "r.zip", "w") as archive:
        archive.writestr("ratings.csv", HEAD + b"1,2,3,4\n")
    body = bytearray((folder / "r.zip").read_bytes())
    body[6] |= 1
    body[body.rindex(b"PK\x01\x02") + 8] |= 1
    (folder / "r.zip").write_bytes(body)
    return folder / "r.zip"


def other_bytes(name: str, body: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(body)
        return folder / name

    return make


def foreign(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "r.zip", "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("b.csv", "x\n1\n")
    return folder / "r.zip"


BROKEN = {
    "encrypted zip": (encrypted, "is encrypted"),
    "foreign zip": (foreign, "no single CSV table"),
    "no zip": (other_bytes("r.zip", b"nothing"), "damaged or cut short"),
    "no gzip": (other_bytes("r.csv.gz", b"\x1f\x8bnothing"), "cannot be read"),
    "no Parquet": (other_bytes("r.parquet", b"PAR1nothing"), "not readable as Parquet"),
    "a picture": (other_bytes("r.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "NUL byte"),
    "a NUL as an id": (other_bytes("r.csv", HEAD + b"\0,2,3,4\n"), "line 2: holds a NUL byte"),
    "an open quote": (other_bytes("r.csv", HEAD + b'1,"2,3,4\n5,6,7,8\n'), "line 2: 2 fields"),
    "a huge field": (
        other_bytes("r.csv", HEAD + b"1," + b"2" * 200_000 + b",3,4\n"),
        "line 2: movieId is .* at most 500 characters",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_file_is_one_plain_line(home: Path, tmp_path: Path, name: str) -> None:
    make, said = BROKEN[name]
    with pytest.raises(MMRecError, match=said) as raised:
        preparation.prepare("csv", source=make(tmp_path), name="mine", options={"scale": "0.5:5"})
    assert "\n" not in str(raised.value) and preparation.prepared() == []


def test_a_header_that_promises_more_than_the_file_holds_takes_no_memory(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.zeros(4))
    for shape in ("(9000000000,)", "(592233720368547758070,)", "(-1,)", "(4", "'x'"):
        changed = out.getvalue().replace(b"'shape': (4,), }".ljust(30), f"'shape': {shape}, }}".ljust(30).encode())
        (tmp_path / "a.npy").write_bytes(changed)
        with pytest.raises(MMRecError, match="cannot be read"):
            input_files.array(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("named", "runs"), [("²", 1), ("٣", 1), ("", 1), ("-2", 1), ("0", 1), ("3", 3), ("9" * 5000, 1), ("x", 1)]
)
def test_a_number_of_runs_that_is_none(monkeypatch: pytest.MonkeyPatch, named: str, runs: int) -> None:
    monkeypatch.setenv("MMREC_CPU_RUNS", named)
    assert settings.cpu_runs() == runs


def test_only_the_known_exceptions_become_plain() -> None:
    with pytest.raises(MMRecError, match="x.csv cannot be read"), input_files.reading("x.csv", "a table"):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")
    with pytest.raises(AssertionError), input_files.reading("x.csv", "a table"):
        raise AssertionError("ours")
    with pytest.raises(MMRecError), input_files.outermost("x.csv"):
        raise zipfile.BadZipFile("bad")
    with pytest.raises(ValueError), input_files.outermost("x.csv"):
        raise ValueError("ours")
