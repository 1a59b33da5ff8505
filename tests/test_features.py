"""The feature store: reading back, damage checks, resumed encoding, and imported vectors."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmrec_core import features
from mmrec_core.data import preparation
from mmrec_core.encoders._base import unit
from mmrec_core.errors import MMRecError
from mmrec_core.features.nearest_neighbours import nearest, recall
from mmrec_core.spaces import search
from mmrec_core.types import Dataset


@pytest.fixture
def mine(home: Path, demo: Dataset) -> Dataset:
    """A copy of the small demo that a test may change."""
    shutil.copytree(demo.folder, home / "datasets" / "demo")
    shutil.rmtree(home / "datasets" / "demo" / "features", ignore_errors=True)
    return preparation.open_dataset("demo")


def test_recall_in_blocks_is_recall_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against every cosine in one table, ties among equal vectors included; no table of N² numbers is made."""
    from mmrec_core.features import nearest_neighbours

    rng = np.random.default_rng(0)
    text, image = (rng.integers(-2, 3, (57, 6)).astype(np.float32) for _ in range(2))
    image[20:24] = image[3]
    table = text.astype(np.float64) @ image.T.astype(np.float64)
    found = {}
    for size in (7, 512):
        monkeypatch.setattr(nearest_neighbours, "BLOCK", size)
        found[size] = recall(text, image, ks=(1, 10))
    assert found[7] == found[512]
    for name, cosine in (("text_to_image", table), ("image_to_text", table.T)):
        own = np.diagonal(cosine)[:, None]
        for k in (1, 10):
            right = np.clip((k - (cosine > own).sum(1)) / (cosine == own).sum(1), 0, 1).mean()
            assert found[7][name][f"recall@{k}"] == pytest.approx(right, abs=1e-12)


def test_the_rich_text_prompt() -> None:
    film = {
        "title": "Inception",
        "year": 2010,
        "genres": ["Action", "Sci-Fi"],
        "director": "Christopher Nolan",
        "cast": np.array(["Leonardo DiCaprio", "Elliot Page"]),
        "plot": "A thief enters dreams.",
    }
    assert features.rich_text(film) == (
        "Movie: Inception\nYear: 2010\nGenres: Action, Sci-Fi\nDirector: Christopher Nolan\n"
        "Cast: Leonardo DiCaprio, Elliot Page\nPlot: A thief enters dreams."
    )
    bare = {"title": "Nobody", "year": None, "genres": [], "director": None, "cast": [], "plot": float("nan")}
    assert features.rich_text(bare) == "Movie: Nobody"


def test_what_was_changed_behind_our_back_is_refused(mine: Dataset) -> None:
    features.encode(mine, "classic")
    folder = features.folder_of(mine, "classic")
    ids = np.load(folder / "image_ids.npy")
    np.save(folder / "image_ids.npy", np.random.default_rng(0).permutation(ids))
    with pytest.raises(MMRecError, match="image_ids.npy was changed"):
        features.load(mine, "classic", "image")
    vectors = np.load(folder / "text.npy")
    vectors[3] = vectors[4]
    np.save(folder / "text.npy", vectors)
    with pytest.raises(MMRecError, match="text.npy was changed"):
        features.load(mine, "classic", "text")
    with pytest.raises(MMRecError, match="has not encoded"):
        features.load(mine, "mini_clip", "text")


def test_what_is_done_is_skipped_and_what_was_begun_is_gone_on_with(
    mine: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after two shards: they are not made again, and the result is that of an undisturbed run."""
    monkeypatch.setattr(features.encoding, "SHARD", 40)
    made = features.make_encoder("mini_clip")
    batches: list[int] = []
    real = made.encode_images

    def counted(images: list) -> np.ndarray:  # type: ignore[type-arg]
        batches.append(len(images))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return real(images)

    monkeypatch.setattr(features.encoding, "make_encoder", lambda *_: made)
    monkeypatch.setattr(made, "encode_images", counted)
    with pytest.raises(KeyboardInterrupt):
        features.encode(mine, "mini_clip")
    assert features.available(mine) == {}
    features.encode(mine, "mini_clip")
    assert batches == [40, 40, 40, 40, 40, 40], "200 posters, one shard of 40 tried twice"
    first = np.array(features.load(mine, "mini_clip", "image").vectors)
    assert not [f for f in (mine.folder / "features").iterdir() if f.name.startswith(".")]
    features.encode(mine, "mini_clip")
    assert len(batches) == 6
    monkeypatch.setattr(made, "encode_images", real)
    features.encode(mine, "mini_clip", again=True)
    assert np.array_equal(first, features.load(mine, "mini_clip", "image").vectors)


def test_missing_posters_and_plots_are_masked(mine: Dataset) -> None:
    table = mine.catalog.copy()
    table.loc[[2, 5], "poster"] = table.loc[[2, 5], "poster_file"] = None
    table.loc[5, "plot"] = None
    table.loc[7, "poster"], table.loc[7, "poster_file"] = "thumbs/none.jpg", str(mine.folder / "none.jpg")
    table.to_parquet(mine.folder / "catalog.parquet")
    mine = preparation.open_dataset("demo")
    modalities = features.encode(mine, "classic")["modality"]
    assert modalities["image"]["missing"] == 3 and modalities["text"]["missing"] == 1
    own = features.load(mine, "classic", "image")
    assert set(range(200)) - set(own.items.tolist()) == {2, 5, 7}
    assert own.by_item(200)[5] == -1 and own.by_item(200)[6] == 4
    with pytest.raises(MMRecError, match="no poster"):
        search.by_film(mine, "classic", 5)


def save(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_vectors_made_elsewhere(mine: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(50, 8)).astype(np.float32) * 7, rng.normal(size=(40, 6)).astype(np.float16)
    image[3] = 0.0
    each = save(
        tmp_path / "each",
        x_text_a=text,
        x_text_a_ids=np.arange(50, 0, -1),
        x_image_b=image,
        x_image_b_ids=np.arange(1, 41),
    )
    summary = features.import_folder(mine, each, "a")
    assert summary["modality"] == {"text": {"n": 50, "width": 8, "missing": 150}}
    assert features.import_folder(mine, each, "b")["modality"] == {"image": {"n": 39, "width": 6, "missing": 161}}, (
        "zeros are missing"
    )
    own = features.load(mine, "a+b", "text")
    assert own.items[0] == 49 and np.allclose(np.linalg.norm(own.dense, axis=1), 1, atol=1e-3)
    assert np.allclose(own.dense[0], text[0] / np.linalg.norm(text[0]), atol=1e-3)
    shared = save(tmp_path / "shared", old_text=text, old_image=image.repeat(2, 0)[:50], old_ids=np.arange(1, 51))
    assert set(features.import_folder(mine, shared, "old")["modality"]) == {"text", "image"}
    with pytest.raises(MMRecError, match="a query cannot be encoded"):
        search.by_text(mine, "old", "a ship")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"text": np.ones((3, 4), np.float32)}, "has no ids"),
        ({"text": np.ones((3, 4), np.float32), "text_ids": np.arange(2)}, "one row of floats for each"),
        ({"text": np.ones((3, 4), np.float32), "text_ids": np.array([1, 1, 2])}, "names a film twice"),
        ({"text": np.full((3, 4), np.nan, np.float32), "text_ids": np.arange(3)}, "NaN or infinity in row 0"),
        ({"text": np.ones((3, 4), np.float32), "text_ids": np.array([9001, 9002, 9003])}, "None of the ids"),
        ({"other": np.ones((3, 4), np.float32)}, "holds no vectors"),
    ],
)
def test_vectors_that_cannot_be_taken_over(
    mine: Dataset, tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(MMRecError, match=said):
        features.import_folder(mine, save(tmp_path / "v", **arrays), "theirs")
    assert features.available(mine) == {}


def test_the_real_vectors_serve(ml_small: Dataset, sources: Path, home: Path) -> None:
    shutil.copytree(ml_small.folder, home / "datasets" / "ml-latest-small")
    dataset = preparation.open_dataset("ml-latest-small")
    for name in ("minilm", "mobilenet_v1"):
        features.import_folder(dataset, sources / "features", name)
    text, image = (features.load(dataset, "minilm+mobilenet_v1", m) for m in ("text", "image"))  # type: ignore[arg-type]
    assert text.vectors.shape == (7705, 384) and image.vectors.shape == (4819, 1024)
    assert len(np.intersect1d(text.items, image.items)) == 4496
    toys = search.by_film(dataset, "minilm", dataset.items.row(1, "film"), 5, "text")
    assert "Toy Story 2" in dataset.catalog["title"].iloc[toys.items].tolist()


def test_nearest_is_exact_and_recall_is_counted_by_hand() -> None:
    rng = np.random.default_rng(0)
    table = unit(rng.normal(size=(300, 16)))
    rows, cosine = nearest(table, table[7], 10)
    order = np.argsort(-(table @ table[7]), kind="stable")[:10]
    assert rows.tolist() == order.tolist() and rows[0] == 7 and cosine[0] == pytest.approx(1.0, abs=1e-5)
    same = np.eye(4, dtype=np.float32)
    assert recall(same, same)["text_to_image"]["recall@1"] == 1.0
    found = recall(same, same[[1, 0, 2, 3]])
    assert found["text_to_image"]["recall@1"] == 0.5 and found["chance@1"] == 0.25
    flat = np.ones((4, 4), np.float32) / 2
    assert recall(flat, flat)["image_to_text"]["recall@1"] == pytest.approx(0.25), "a constant finds by chance"


def test_words_that_nobody_wrote(mine: Dataset) -> None:
    features.encode(mine, "classic")
    with pytest.raises(MMRecError, match="None of these words"):
        search.by_text(mine, "classic", "qqqq zzzz")
    with pytest.raises(MMRecError, match="a word or two"):
        search.by_text(mine, "classic", "   ")
    title = str(mine.catalog["title"].iloc[11])
    assert 11 in search.by_text(mine, "classic", title, 5).items.tolist()
    assert os.listdir(mine.folder / "features") == ["classic"]
