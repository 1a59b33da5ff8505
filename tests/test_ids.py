"""The rule for ids: text, unless every one over all files of a dataset is a canonical integer that fits int64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec_core import features, ids
from mmrec_core.data import preparation
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset, IdMap


def of(values: object, kind: object = None) -> ids.Ids:
    return ids.of_column(pa.array(values, kind), "id", "f.csv", lambda row: row + 2)


@pytest.mark.parametrize("text", ["0", "7", "-7", "9223372036854775807", "-9223372036854775807"])
def test_canonical_integers(text: str) -> None:
    assert ids.is_canonical(text)


@pytest.mark.parametrize(
    "text",
    [
        "007",
        "-0",
        "+7",
        "7.0",
        "1e3",
        "1_000",
        "",
        "²",
        "٣",
        "9223372036854775808",
        "12345678901234567890",
        "x",
        " 7",
        "7\n",
    ],
)
def test_all_else_is_text(text: str) -> None:
    assert not ids.is_canonical(text)


def test_four_films_stay_four() -> None:
    (found,) = ids.decide(of(["007", "7", "0042", "42", "1e3"]))
    assert found.tolist() == ["007", "7", "0042", "42", "1e3"]
    assert ids.decide(of(["7", " 42 ", "7"]))[0].tolist() == [7, 42, 7]


def test_one_text_id_in_any_file_makes_all_of_them_text() -> None:
    ratings, table = ids.decide(of(["108", "109"]), of(["108", "X12"]))
    assert ratings.tolist() == ["108", "109"] and table.tolist() == ["108", "X12"]


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(st.integers(-(10**20), 10**20).map(str), st.from_regex(r"[0-9a-z.+-]{1,6}", fullmatch=True)),
        min_size=1,
        max_size=20,
    )
)
def test_ids_that_differ_as_text_stay_apart(texts: list[str]) -> None:
    (found,) = ids.decide(of(texts))
    assert [str(i) for i in found.tolist()] == texts


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=20))
def test_integers_are_the_same_from_text_and_from_numbers(values: list[int]) -> None:
    as_text, as_numbers = ids.decide(of([str(v) for v in values]), of(values, pa.int64()))
    assert as_text.dtype == as_numbers.dtype == np.int64 and as_text.tolist() == as_numbers.tolist() == values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, 2.5], "line 3: id is 2.5"),
        ([2.0**60], "2\\^53"),
        (["a", "b\0"], "control characters"),
        (["x" * 501], "500 characters"),
        ([True], "true or false"),
        ([b"\xff"], "UTF-8"),
    ],
)
def test_what_cannot_be_an_id_is_named(values: list[object], said: str) -> None:
    with pytest.raises(MMRecError, match=said):
        of(values)


def test_whole_floats_and_blanks() -> None:
    found = of([1.0, None, 2.0])
    assert found.missing().tolist() == [False, True, False] and found.values == ["1", "2"]


def test_a_map_finds_no_number_under_another_form() -> None:
    numbers, words = IdMap(np.array([7, 42, 1000])), IdMap(np.array(["007", "7", "1000"]))
    assert numbers.rows(["7", "007", "7.0", "1e3", "1_000", " 42", "x"]).tolist() == [0, -1, -1, -1, -1, -1, -1]
    assert numbers.rows(np.array([7.0, 7.5, np.nan])).tolist() == [0, -1, -1]
    assert numbers.rows(np.array([7, 2**64 - 1], np.uint64)).tolist() == [0, -1]
    assert words.rows([7, 1000]).tolist() == [1, 2] and words.rows(np.array([7.5, None], object)).tolist() == [-1, -1]


def prepared(tmp_path: Path, ratings: str, films: str | None = None, **options: str) -> Dataset:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + ratings)
    if films is not None:
        (tmp_path / "films.csv").write_text(films)
    preparation.prepare(
        "csv",
        source=tmp_path / "ratings.csv",
        name="mine",
        options={"scale": "0.5:5", "items": "films.csv" if films else "", **options},
    )
    return preparation.open_dataset("mine")


RATINGS = "a,0108,5,100\na,0109,1,200\nb,0108,2,300\nb,0110,4,400\n"


def test_one_text_id_in_the_table_leaves_the_others_joined(home: Path, tmp_path: Path) -> None:
    dataset = prepared(
        tmp_path, RATINGS, "movieId,title,year\n0108,Alpha,1990\n0109,Beta,1991\n0110,Gamma,1992\nX12,Delta,1993\n"
    )
    assert dataset.catalog["title"].tolist() == ["Alpha", "Beta", "Gamma", "Delta"] and dataset.catalog[
        "n_ratings"
    ].tolist() == [2, 1, 1, 0]


def test_a_blank_id_in_the_table_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MMRecError, match=r"films.csv, line 4: movieId is empty"):
        prepared(tmp_path, RATINGS, "movieId,title\n0108,Alpha\n0109,Beta\n,Orphan\n")


def test_ids_beyond_int64_stay_apart(home: Path, tmp_path: Path) -> None:
    dataset = prepared(tmp_path, "12345678901234567890,1,5,1\n12345678901234567891,1,4,2\n")
    assert dataset.users.raw.tolist() == ["12345678901234567890", "12345678901234567891"]


def test_parquet_ids_beyond_two_to_the_53_stay_apart(home: Path, tmp_path: Path) -> None:
    ids_ = [9007199254740993, 9007199254740992]
    pd.DataFrame({"userId": ["u", "u"], "movieId": ids_, "rating": [4.0, 3.0]}).to_parquet(tmp_path / "r.parquet")
    pd.DataFrame({"movieId": ids_, "title": ["Odd", "Even"]}).to_parquet(tmp_path / "films.parquet")
    preparation.prepare(
        "csv", source=tmp_path / "r.parquet", name="mine", options={"scale": "0.5:5", "items": "films.parquet"}
    )
    catalog = preparation.open_dataset("mine").catalog
    assert catalog.set_index("item")["title"].to_dict() == {9007199254740993: "Odd", 9007199254740992: "Even"}


def test_posters_are_found_by_the_id_as_it_is_written(home: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "posters").mkdir()
    for name in ("0108.jpg", "0111.png", "108.jpg"):
        Image.new("RGB", (20, 30), "red").save(tmp_path / "posters" / name)
    films = "movieId,title\n0108,Alpha\n0109,Beta\n0110,Gamma\n0111,Nobody rated it\n"
    dataset = prepared(tmp_path, RATINGS, films, posters="posters")
    assert dataset.catalog.set_index("item")["poster"].notna().to_dict() == {
        "0108": True,
        "0109": False,
        "0110": False,
        "0111": True,
    }
    assert any("1 poster file match" in note and "108.jpg" in note for note in dataset.manifest["notes"])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.array([1.5, 2.5]), "id is 1.5"),
        (np.array([["1"], ["2"]]), "in one dimension"),
        (np.array(["1", "01"]), "names film 1 as '01'"),
        (np.array(["1.0", "2.0"]), "names film 1 as '1.0'"),
        (np.int64(5), "in one dimension"),
        (np.array([True, False]), "true or false"),
    ],
)
def test_vectors_of_ids_that_are_not_the_datasets(home: Path, tmp_path: Path, raw: np.ndarray, message: str) -> None:
    dataset = prepared(tmp_path, "a,1,5,100\nb,2,4,200\n")
    (tmp_path / "v").mkdir()
    np.save(tmp_path / "v" / "x_text_ids.npy", raw)
    np.save(tmp_path / "v" / "x_text.npy", np.ones((2, 4), np.float32))
    with pytest.raises(MMRecError, match=message):
        features.import_folder(dataset, tmp_path / "v", "theirs")


@pytest.mark.parametrize(
    "raw",
    [
        np.array([1, 2], ">i8"),
        np.array([b"1", b"2"]),
        np.array([1, 2], np.uint16),
        np.array([1.0, 2.0]),
        np.array(["1", "2"]),
    ],
)
def test_vectors_of_ids_in_any_honest_type(home: Path, tmp_path: Path, raw: np.ndarray) -> None:
    dataset = prepared(tmp_path, "a,1,5,100\nb,2,4,200\n")
    (tmp_path / "v").mkdir()
    np.save(tmp_path / "v" / "x_text_ids.npy", raw)
    np.save(tmp_path / "v" / "x_text.npy", np.eye(2) * [[1e300], [1e-300]])
    features.import_folder(dataset, tmp_path / "v", "theirs")
    own = features.load(dataset, "theirs", "text")
    assert own.items.tolist() == [0, 1] and own.dense.tolist() == [[1, 0], [0, 1]], (
        "large and small rows are unit rows, too"
    )
