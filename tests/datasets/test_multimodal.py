"""RecBole's files and the published multimodal datasets: events, the authors' division, and vectors beside them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mmrec_core import features, runs
from mmrec_core.data import preparation, splits
from mmrec_core.errors import MMRecError
from mmrec_core.training.fit import fit
from mmrec_core.types import Array, Dataset

N_USERS, N_ITEMS = 6, 8


def rows() -> list[tuple[int, int, int]]:
    """User, item and part (0 training, 1 validation, 2 test): every user has four, one and one."""
    return [(u, (u + 2 * k + k // 4) % N_ITEMS, (0, 0, 0, 0, 1, 2)[k]) for u in range(N_USERS) for k in range(6)]


def toolbox(folder: Path, lines: list[str] | None = None) -> Path:
    """A folder in the form of enoche/MMRec: ids are numbers, header without types, vectors by item number."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = lines or [
        f"{u}\t{i}\t{1 + (u + i) % 5}.0\t{1_400_000_000 + 10 * n}\t{p}" for n, (u, i, p) in enumerate(rows())
    ]
    (folder / "baby.inter").write_text("userID\titemID\trating\ttimestamp\tx_label\n" + "\n".join(lines) + "\n")
    rng = np.random.default_rng(0)
    image = rng.normal(size=(N_ITEMS, 12)).astype(np.float32)
    image[3] = 0
    np.save(folder / "image_feat.npy", image)
    np.save(folder / "text_feat.npy", rng.normal(size=(N_ITEMS, 5)))
    return folder


def by_part(dataset: Dataset) -> dict[str, set[tuple[Any, Any]]]:
    """Raw pairs of each part of the official split."""
    split = splits.make_split(dataset, "official")
    user, item = (np.asarray(dataset.interactions.need(role)) for role in ("user", "item"))
    return {
        part: {(dataset.users.raw[user[r]], dataset.items.raw[item[r]]) for r in getattr(split, part)}
        for part in ("train", "validation", "test")
    }


EXPECTED = {
    part: {(u, i) for u, i, own in rows() if own == at} for at, part in enumerate(("train", "validation", "test"))
}


def test_a_folder_of_the_toolbox(home: Path, tmp_path: Path) -> None:
    folder = toolbox(tmp_path / "baby")
    np.save(folder / "user_graph_dict.npy", {0: [1]}, allow_pickle=True)
    (folder / "mm_adj.pt").write_bytes(b"x")
    preparation.prepare("recbole", source=folder, name="baby")
    dataset = preparation.open_dataset("baby")
    assert by_part(dataset) == EXPECTED
    assert dataset.interactions.has == {"user", "item", "time"} and dataset.items.raw.dtype.kind == "i"
    assert splits.default_split(dataset) == "official" and runs.training_params("baby", "ease")["split"] == "official"
    notes = " ".join(dataset.manifest["notes"])
    assert "Ratings were not read" in notes and "pickled and can run programs: mm_adj.pt, user_graph_dict.npy" in notes
    assert features.available(dataset)["published"]["imported"]
    image, text = (features.load(dataset, "published", m) for m in ("image", "text"))
    given = np.load(folder / "image_feat.npy")
    assert image.ids.tolist() == [0, 1, 2, 4, 5, 6, 7] and text.vectors.shape == (N_ITEMS, 5)
    unit = given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-9)
    assert np.allclose(image.dense, unit[image.ids], atol=1e-3)
    assert features.available_inputs(dataset) >= {"image", "text", "ids", "sequence"}


def test_ratings_can_be_kept(home: Path, tmp_path: Path) -> None:
    preparation.prepare("recbole", source=toolbox(tmp_path / "baby"), name="baby", options={"ratings": "keep"})
    dataset = preparation.open_dataset("baby")
    assert dataset.scale == (1.0, 5.0) and dataset.manifest["relevant_from"] == 3.5
    assert by_part(dataset) == EXPECTED
    assert "Ratings are taken to go from 1 to 5" in " ".join(dataset.manifest["notes"])
    preparation.prepare("recbole", source=tmp_path / "baby", name="baby", options={"ratings": "keep", "scale": "0:10"})
    assert preparation.open_dataset("baby").scale == (0.0, 10.0)


def recbole(folder: Path) -> Path:
    """A folder in RecBole's own form: types in the header, ids as text, tables of items and users."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"u{u}\tB{i:02}\t{1 + (u + i) % 5}\t{1_400_000_000 + 10 * n}" for n, (u, i, _) in enumerate(rows())]
    (folder / "ml.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\n".join(lines) + "\n"
    )
    (folder / "ml.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\timage_emb:float_seq\tnote:float_seq\n"
        + "".join(f"B{i:02}\tMatrix {i}, The\t{1990 + i}\tDrama War\t{i} 1 {-i}\t1\n" for i in range(N_ITEMS))
        + "B99\tNobody's Film\t\t\t\t\n"
    )
    (folder / "ml.user").write_text(
        "user_id:token\tage:float\tgender:token\thobbies:token_seq\n"
        + "".join(f"u{u}\t{20 + u}\tF\ta b\n" for u in range(N_USERS))
    )
    return folder


def test_recboles_own_form(home: Path, tmp_path: Path) -> None:
    preparation.prepare("recbole", source=recbole(tmp_path / "ml"))
    dataset = preparation.open_dataset("recbole")
    assert len(dataset.interactions) == len(rows()) and dataset.scale == (1.0, 5.0)
    assert dataset.official_names() == [] and splits.default_split(dataset) == "user-temporal"
    film = dataset.catalog.set_index("item").loc["B02"]
    assert (film["title"], film["year"], list(film["genres"])) == ("The Matrix 2", 1992, ["Drama", "War"])
    assert dataset.catalog.set_index("item").loc["B99", "title"] == "Nobody's Film"
    assert dataset.user_table is not None and dataset.user_table["age"].tolist() == [20.0 + u for u in range(N_USERS)]
    assert list(dataset.user_table) == ["user", "age", "gender"]
    image = features.load(dataset, "published", "image")
    assert image.ids.tolist() == [f"B{i:02}" for i in range(N_ITEMS)] and image.vectors.shape[1] == 3
    assert "Column note was not read" in " ".join(dataset.manifest["notes"])


def test_vectors_by_number_need_numbers(home: Path, tmp_path: Path) -> None:
    folder = recbole(tmp_path / "ml")
    np.save(folder / "text_feat.npy", np.ones((N_ITEMS, 4), np.float32))
    preparation.prepare("recbole", source=folder)
    dataset = preparation.open_dataset("recbole")
    assert "their rows are item numbers, and these ids are no numbers" in " ".join(dataset.manifest["notes"])
    assert "text" not in features.available(dataset)["published"]["modality"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lines": ["0\t1\t3\t1400000000\t3"]}, r"baby\.inter, line 2: x_label is '3', expected 0"),
        ({"lines": ["0\t\t3\t1400000000\t0"]}, r"line 2: itemID is empty"),
        ({"lines": ["0\t1\t3\t1400000000"]}, r"line 2: 4 fields where 5 are expected"),
        ({"lines": ["0\t1\t3\tyesterday\t0"]}, "line 2: timestamp"),
        ({"lines": ["0\t1\t3\t1400000000\t0"] * 2}, "second time|copies|met before|repeat"),
        ({"image": np.ones((3, 4), np.float32)}, r"image_feat\.npy has 3 rows.*up to number 7"),
        ({"image": np.ones((8, 4), np.int64)}, "expected one row of floats"),
        ({"image": np.full((8, 4), np.nan, np.float32)}, "NaN"),
        ({"image": np.array([[None]] * 8, object)}, r"image_feat\.npy|pickled"),
        ({"head": "a:token\tb:token"}, "no column of users"),
        ({"head": "user_id:token\titem_id:number"}, "has the type 'number'"),
        ({"head": "user_id:token\titem_id_list:token_seq"}, "no column of items|is a sequence"),
        ({"head": "user_id:token\titem_id:token_seq"}, "is a sequence"),
        ({"head": "user_id:token\tuser_id:token"}, "two columns named 'user_id'"),
    ],
)
def test_a_bad_folder_is_refused_in_one_line(home: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = toolbox(tmp_path / "baby", change.get("lines"))
    if "image" in change:
        np.save(folder / "image_feat.npy", change["image"], allow_pickle=True)
    if "head" in change:
        (folder / "baby.inter").write_text(change["head"] + "\n1\t2\n")
    if message.startswith("second time"):  # copies of events without ratings are kept, with a note
        preparation.prepare("recbole", source=folder, name="baby")
        assert "met before" in " ".join(preparation.open_dataset("baby").manifest["notes"])
        with pytest.raises(MMRecError, match="second time"):
            preparation.prepare("recbole", source=folder, name="baby", options={"repeats": "refused"})
        return
    with pytest.raises(MMRecError, match=message) as raised:
        preparation.prepare("recbole", source=folder, name="baby")
    assert "\n" not in str(raised.value) and preparation.prepared() == []


def test_pickles_and_several_files_are_refused(home: Path, tmp_path: Path) -> None:
    folder = toolbox(tmp_path / "baby")
    (folder / "baby.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(MMRecError, match="is a pickle, which can run programs"):
        preparation.prepare("recbole", source=folder / "baby.pkl", name="baby")
    (folder / "other.inter").write_bytes((folder / "baby.inter").read_bytes())
    preparation.prepare("recbole", source=folder, name="baby")  # the file that is named as its folder
    with pytest.raises(MMRecError, match=r"one \.inter file \(found: baby\.inter, other\.inter\)"):
        preparation.prepare("recbole", source=folder.rename(tmp_path / "x"), name="baby")
    preparation.prepare("recbole", source=tmp_path / "x" / "other.inter", name="baby")
    with pytest.raises(MMRecError, match="Name the folder"):
        preparation.prepare("recbole", name="baby")


def matrices(folder: Path, parts: tuple[int, ...] = (0, 1, 2)) -> Path:
    """DiffMM's files: pickled coo matrices, vectors of images and audio."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(("trnMat", "valMat", "tstMat"), parts, strict=True):
        own = np.array([(u, i) for u, i, p in rows() if p == part])
        matrix = sparse.coo_matrix((np.ones(len(own)), (own[:, 0], own[:, 1])), shape=(N_USERS, N_ITEMS))
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(matrix, protocol=3))
    for modality in ("image", "audio"):
        np.save(folder / f"{modality}_feat.npy", np.random.default_rng(0).normal(size=(N_ITEMS, 6)).astype(np.float16))
    return folder


def table(folder: Path) -> Path:
    """The same data as a Parquet table."""
    folder.mkdir(parents=True, exist_ok=True)
    named = [(u, i, ("train", "valid", "test")[p]) for u, i, p in rows()]
    pd.DataFrame(named, columns=["user", "item", "split"]).to_parquet(folder / "interactions.parquet")
    return folder


def test_the_three_forms_give_one_split(home: Path, tmp_path: Path) -> None:
    checksums = set()
    for make in (matrices, table, toolbox):
        folder = make(tmp_path / make.__name__)
        preparation.prepare("amazon-baby", source=folder)
        dataset = preparation.open_dataset("amazon-baby")
        assert by_part(dataset) == EXPECTED
        split = splits.make_split(dataset, "official")
        pairs: Array = np.stack([np.asarray(dataset.interactions.need(r)) for r in ("user", "item")])
        checksums.add(tuple(sorted(map(tuple, pairs[:, split.validation].T.tolist()))))
    assert len(checksums) == 1


def test_tiktok_holds_image_and_audio(home: Path, tmp_path: Path) -> None:
    preparation.prepare("tiktok", source=matrices(tmp_path / "tiktok"))
    dataset = preparation.open_dataset("tiktok")
    assert dataset.interactions.has == {"user", "item"} and dataset.catalog["title"][0] == "Video 0"
    assert set(features.available(dataset)["published"]["modality"]) == {"image", "audio"}
    assert {"image", "audio"} <= features.available_inputs(dataset) and "rating" not in features.available_inputs(
        dataset
    )
    assert dataset.manifest["relevant_from"] is None and dataset.manifest["notes"] == []
    split = splits.make_split(dataset, splits.default_split(dataset))
    assert split.strategy == "official" and len(split.validation) == N_USERS
    fit("popularity", dataset, split)
    with pytest.raises(MMRecError, match="'mf' needs rating, which tiktok does not have"):
        fit("mf", dataset, split)
    with pytest.raises(MMRecError, match="needs times"):
        splits.make_split(dataset, "user-temporal")


def test_babys_exchanged_parts_are_recognised_by_size(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmrec_core.data.datasets import amazon_baby

    folder = matrices(tmp_path / "baby", (0, 2, 1))
    preparation.prepare("amazon-baby", source=folder)
    exchanged = by_part(preparation.open_dataset("amazon-baby"))
    assert exchanged["test"] == EXPECTED["validation"]
    matrix = sparse.coo_matrix(([1.0], ([0], [5])), shape=(N_USERS, N_ITEMS))
    test = sparse.coo_matrix(pickle.loads((folder / "tstMat.pkl").read_bytes()).toarray() + matrix.toarray())
    (folder / "tstMat.pkl").write_bytes(pickle.dumps(test))
    monkeypatch.setattr(amazon_baby, "SIZES", {"validation": N_USERS + 1, "test": N_USERS})
    preparation.prepare("amazon-baby", source=folder)
    dataset = preparation.open_dataset("amazon-baby")
    assert by_part(dataset)["test"] == EXPECTED["test"] and "exchanged" in dataset.manifest["notes"][0]


def change(name: str, value: Any) -> Any:
    """Replaces a file: bytes as they are, a matrix pickled, an array by numpy.save, columns as Parquet."""

    def go(folder: Path) -> None:
        if isinstance(value, dict):
            pd.DataFrame(value).to_parquet(folder / name)
        elif name.endswith(".npy") and not isinstance(value, bytes):
            np.save(folder / name, value)
        else:
            (folder / name).write_bytes(value if isinstance(value, bytes) else pickle.dumps(value))

    return go


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "valMat.pkl").unlink(), r"valMat\.pkl is missing"),
        (change("valMat.pkl", b"cos\nsystem\n(S'touch x'\ntR."), r"valMat\.pkl is a pickle that names os\.system"),
        (change("valMat.pkl", np.zeros((6, 8))), "holds a plain array"),
        (change("valMat.pkl", sparse.coo_matrix((6, 9))), "expected one shape"),
        (change("valMat.pkl", sparse.coo_matrix((6, 8))), "has no valid rows"),
        (change("valMat.pkl", sparse.coo_matrix(([1.0], ([0], [0])), shape=(6, 8))), "user 0 with item 0 twice"),
        (change("image_feat.npy", np.ones((2, 4), np.float32)), r"image_feat\.npy has 2 rows"),
        (change("image_feat.npy", b""), r"image_feat\.npy"),
        (change("interactions.parquet", b"PAR1"), "Parquet"),
        (change("interactions.parquet", {"user": [0], "item": [0], "split": ["x"]}), "split is 'x'"),
        (change("interactions.parquet", {"user": ["a"], "item": [0], "split": ["train"]}), "no whole number"),
    ],
)
def test_a_damaged_download_is_refused(home: Path, tmp_path: Path, break_it: Any, message: str) -> None:
    folder = matrices(tmp_path / "tiktok")
    preparation.prepare("tiktok", source=folder)
    before = preparation.open_dataset("tiktok").checksum
    break_it(folder)
    with pytest.raises(MMRecError, match=message) as raised:
        preparation.prepare("tiktok", source=folder)
    assert "\n" not in str(raised.value) and preparation.open_dataset("tiktok").checksum == before


def test_lfm2k_names_its_encoders(home: Path, tmp_path: Path) -> None:
    folder = toolbox(tmp_path / "lfm").rename(tmp_path / "lfm2k")
    (folder / "baby.inter").rename(folder / "lfm2k.inter")
    for name in ("all-MiniLM-L6-v2", "whisper", "vit_cls"):
        np.save(folder / f"{name}.npy", np.random.default_rng(0).normal(size=(N_ITEMS, 4)))
    preparation.prepare("lfm2k", source=folder)
    dataset = preparation.open_dataset("lfm2k")
    found = {name: list(m["modality"]) for name, m in features.available(dataset).items()}
    assert found == {"minilm": ["text"], "whisper": ["audio"], "vit_cls": ["image"], "published": ["image", "text"]}
    assert any("No vectors of audio (audio_vggish.npy)" in note for note in dataset.manifest["notes"])
    assert "rating" not in dataset.interactions.has


def test_nothing_at_hand_says_where_to_put_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMREC_SOURCES", "")
    for name in ("tiktok", "amazon-baby", "lfm2k"):
        with pytest.raises(MMRecError, match="multimodal/.* under MMREC_SOURCES"):
            preparation.prepare(name)


def test_saved_splits_of_two_parts_still_open(home: Path, tmp_path: Path) -> None:
    """Datasets of earlier versions have no file of validation rows."""
    preparation.prepare("tiktok", source=matrices(tmp_path / "tiktok"))
    dataset = preparation.open_dataset("tiktok")
    (dataset.folder / "official" / "official.validation.npy").unlink()
    split = splits.make_split(preparation.open_dataset("tiktok"), "official")
    assert len(split.validation) == 0 and len(split.train) == 24 and len(split.test) == 6
    assert splits.default_split(dataset) == "official"


def test_default_splits(home: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("userId,movieId,rating\n1,5,3\n1,6,3\n2,6,4\n2,5,4\n")
    preparation.prepare("csv", source=tmp_path / "r.csv", name="untimed", options={"scale": "1:5"})
    dataset = preparation.open_dataset("untimed")
    assert splits.default_split(dataset) == "random:80-10-10"
    assert runs.training_params("untimed", "popularity", split=None)["split"] == "random:80-10-10"
    assert runs.training_params("untimed", "popularity", split="random:70-10-20")["split"] == "random:70-10-20"


def test_the_real_files(home: Path, sources: Path) -> None:
    """Sizes that the authors state, and vectors of every item."""
    expected = {
        "tiktok": (59_541, 3_051, 6_130),
        "amazon-baby": (118_551, 20_559, 21_682),
        "lfm2k": (44_327, 4_799, 7_219),
    }
    vectors = {
        "tiktok": {"published": {"image": 6_710, "audio": 6_710}},
        "amazon-baby": {},
        "lfm2k": {"minilm": {"text": 1_425}, "vggish": {"audio": 1_425}, "whisper": {"audio": 1_425}},
    }
    if not (sources / "multimodal").is_dir():
        pytest.skip("needs the folder multimodal under MMREC_SOURCES")
    for name, sizes in expected.items():
        preparation.prepare(name)
        dataset = preparation.open_dataset(name)
        split = splits.make_split(dataset, splits.default_split(dataset))
        assert (len(split.train), len(split.validation), len(split.test)) == sizes
        found = features.available(dataset)
        assert {n: {m: v["n"] for m, v in f["modality"].items()} for n, f in found.items()} == vectors[name]
