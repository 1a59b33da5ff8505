"""Shards of pairs and raw reviews: counts by hand, honest labels, and what broken files say."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.training.fit import fit
from mmrec_core.types import Dataset


def shards(folder: Path, per: int = 10) -> Path:
    """Sixteen training shards and sixteen test shards with the published names."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name, count in (("trainx16x32", 16), ("testx16x32", 16)):
        for at in range(count):
            people = 100 * (at % 16) + rng.integers(0, 5, per)  # a shard is a block of people
            np.savez(folder / f"{name}_{at}.npz", np.stack([people, rng.integers(0, 30, per)], 1).astype(np.int32))
    return folder


def test_shards_are_read_in_parts(home: Path, tmp_path: Path) -> None:
    """A tenth reads one shard of each test part and training shards of the same users; all reads every pair once.

    The manifest says that the data are synthetic.
    """
    summary = preparation.prepare("npz20m", source=shards(tmp_path / "flat"), name="tenth")
    assert summary["ratings"] == 40
    tenth = preparation.open_dataset("tenth")
    assert tenth.manifest["shards"]["training"] == ["trainx16x32_0.npz", "trainx16x32_8.npz"]
    split = make_split(tenth, "folds:evaluation")
    user = np.asarray(tenth.interactions.need("user"))
    assert len(np.intersect1d(user[split.test], user[split.train])) >= 3, "test users are known"
    preparation.prepare("npz20m", source=tmp_path / "flat", name="whole", options={"share": 1.0})
    dataset = preparation.open_dataset("whole")
    assert dataset.manifest["ratings"] == 320 and dataset.manifest["generated"] and "synthetic" in dataset.manifest
    assert dataset.manifest["shards"]["evaluation"] == [f"testx16x32_{at}.npz" for at in range(8, 16)]
    split = make_split(dataset, "folds:evaluation")
    assert (len(split.train), len(split.test)) == (160, 80) and not set(split.train) & set(split.test)
    raw = np.concatenate([np.load(tmp_path / "flat" / f"testx16x32_{at}.npz")["arr_0"] for at in range(8, 16)])
    user, item = (
        ids.raw[np.asarray(dataset.interactions.need(role))[split.test]]
        for role, ids in (("user", dataset.users), ("item", dataset.items))
    )
    assert sorted(zip(user.tolist(), item.tolist(), strict=True)) == sorted(map(tuple, raw.tolist()))
    fit("popularity", dataset, split)


def test_shards_in_folders_are_the_same(home: Path, tmp_path: Path) -> None:
    shards(tmp_path / "flat")
    for part, pattern, which in (
        ("training", "train", range(16)),
        ("validation", "test", range(8)),
        ("evaluation", "test", range(8, 16)),
    ):
        (tmp_path / "parts" / part).mkdir(parents=True)
        for at in which:
            source = tmp_path / "flat" / f"{pattern}x16x32_{at}.npz"
            (tmp_path / "parts" / part / source.name).write_bytes(source.read_bytes())
    made = {}
    for name in ("flat", "parts"):
        preparation.prepare("npz20m", source=tmp_path / name, name=name, options={"share": 1.0, "order": "file"})
        made[name] = preparation.open_dataset(name).interactions
    for role in ("user", "item", "time"):
        assert np.array_equal(np.asarray(made["flat"].need(role)), np.asarray(made["parts"].need(role)))


@pytest.mark.parametrize("what", ["cut", "floats", "pickle", "none", "empty", "flipped"])
def test_broken_shards_are_refused(home: Path, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    file = folder / "trainx16x32_0.npz"
    if what == "cut":
        file.write_bytes((shards(tmp_path / "good") / "trainx16x32_0.npz").read_bytes()[:100])
    elif what == "floats":
        np.savez(file, np.zeros((3, 2)))
    elif what == "pickle":
        np.savez(file, np.array([{"a": 1}], dtype=object))
    elif what == "empty":
        np.savez(file)
    elif what == "flipped":
        np.savez_compressed(file, np.zeros((5000, 2), np.int32) + np.arange(5000)[:, None])
        damaged = bytearray(file.read_bytes())
        damaged[200:260] = bytes(60)
        file.write_bytes(damaged)
    with pytest.raises(MMRecError, match=r"trainx16x32_0|training shards|without arrays"):
        preparation.prepare("npz20m", source=folder, name="broken")


def reviews(folder: Path, squeezed: bool = False) -> Path:
    """Twelve people review twelve products all round, one more has a single review; one reviews a product twice."""
    lines = [
        {
            "user_id": f"U{u}",
            "parent_asin": f"B{i:03}",
            "asin": "other",
            "rating": float(1 + (u + i) % 5),
            "timestamp": 1_600_000_000_123 + 1000 * (12 * u + i),
            "text": "…",
        }
        for u in range(12)
        for i in range(12)
    ]
    lines.append({"user_id": "Rare", "parent_asin": "B000", "rating": 5.0, "timestamp": 1_500_000_000_000})
    lines.append({"user_id": "U3", "parent_asin": "B003", "rating": 2.0, "timestamp": 1_700_000_000_000})
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    folder.mkdir(exist_ok=True)
    (folder / f"Clothing_Shoes_and_Jewelry.jsonl{'.gz' if squeezed else ''}").write_bytes(
        gzip.compress(text) if squeezed else text
    )
    products = [
        {
            "parent_asin": f"B{i:03}",
            "title": f"Boots {i}",
            "features": ["warm"],
            "description": [],
            "categories": ["Clothing", "Shoes"],
            "store": "Maker",
            "images": [{"thumb": "t", "large": f"https://pictures.example/{i}.jpg", "variant": "MAIN"}],
            "average_rating": 4.0,
            "details": {"a": 1},
        }
        for i in range(11)
    ]
    (folder / "meta_Clothing_Shoes_and_Jewelry.jsonl").write_text("".join(json.dumps(p) + "\n" for p in products))
    return folder


@pytest.mark.parametrize("squeezed", [False, True])
def test_reviews_become_ratings(home: Path, tmp_path: Path, squeezed: bool) -> None:
    """By hand: the core of ten, the latest of two reviews, seconds, and product texts."""
    preparation.prepare("amazon-clothing", source=reviews(tmp_path / "r", squeezed))
    dataset = preparation.open_dataset("amazon-clothing")
    assert (len(dataset.users), len(dataset.items), dataset.manifest["ratings"]) == (12, 12, 144)
    events = dataset.interactions
    user, item = (np.asarray(events.need(role)) for role in ("user", "item"))
    again = (dataset.users.raw[user] == "U3") & (dataset.items.raw[item] == "B003")
    assert np.asarray(events.rating)[again].tolist() == [2.0] and np.asarray(events.time)[again].tolist() == [
        1_700_000_000
    ]
    films = dataset.catalog.set_index("item")
    assert (
        films.loc["B004", "title"] == "Boots 4"
        and "warm" in films.loc["B004", "plot"]
        and list(films.loc["B004", "genres"]) == ["Shoes"]
    )
    assert films.loc["B011", "title"] == "Product B011"


def test_pictures_come_from_the_folder_or_the_server(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = reviews(tmp_path / "r")
    (folder / "images_Clothing_Shoes_and_Jewelry").mkdir()
    Image.new("RGB", (60, 80), "red").save(folder / "images_Clothing_Shoes_and_Jewelry" / "B001.jpg")
    served = tmp_path / "served"
    served.mkdir()
    for at in range(0, 11, 2):
        Image.new("RGB", (60, 80), "blue").save(served / f"{at}.jpg")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(served))

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MMREC_AMAZON_IMAGES", f"http://127.0.0.1:{server.server_port}")
    try:
        summary = preparation.prepare("amazon-clothing", source=folder, options={"images": 20})
    finally:
        server.shutdown()
    assert summary["posters"] == 7, "one in the folder, six on the server; the others are gone"


def test_broken_reviews_are_refused(home: Path, tmp_path: Path) -> None:
    folder = reviews(tmp_path / "r")
    file = folder / "Clothing_Shoes_and_Jewelry.jsonl"
    good = file.read_text()
    file.write_text(good + '{"user_id": "U1", "par\n')
    with pytest.raises(MMRecError, match=r"between lines 1 and 148"):
        preparation.prepare("amazon-clothing", source=folder)
    file.write_text(good + '{"user_id": "U1", "rating": 3.0, "timestamp": 1600000000000}\n')
    with pytest.raises(MMRecError, match="parent_asin"):
        preparation.prepare("amazon-clothing", source=folder)
    file.write_text("")
    with pytest.raises(MMRecError, match="empty"):
        preparation.prepare("amazon-clothing", source=folder)
    file.write_text(good.replace('"rating": 5.0', '"rating": 9.0', 1))
    with pytest.raises(MMRecError, match="expected 1 to 5"):
        preparation.prepare("amazon-clothing", source=folder)
    with pytest.raises(MMRecError, match="no date"):
        preparation.prepare("amazon-clothing", source=folder, options={"since": "2018-13-45"})
    with pytest.raises(MMRecError, match="name the folder"):
        preparation.prepare("amazon-sports-2023", source=file)
    with pytest.raises(MMRecError, match="core=5"):
        file.write_text(good)
        preparation.prepare("amazon-clothing", source=folder, options={"core": 50})


@pytest.mark.parametrize("odd", ["null", '{"user_id": "U1"} null', "[1]", "7", '"x"', "true", "{} null {}"])
def test_a_line_that_is_no_object_does_not_end_the_process(home: Path, tmp_path: Path, odd: str) -> None:
    """pyarrow's reader of JSON crashes over a bare null."""
    folder = reviews(tmp_path / "r")
    for name in ("Clothing_Shoes_and_Jewelry.jsonl", "meta_Clothing_Shoes_and_Jewelry.jsonl"):
        whole = (folder / name).read_text()
        (folder / name).write_text(whole + odd + "\n")
        with pytest.raises(MMRecError, match=r"line (145|146|147|12)( |,|:)|between lines"):
            preparation.prepare("amazon-clothing", source=folder)
        (folder / name).write_text(whole)


def world(folder: Path, name: str, first: int) -> Dataset:
    """Sequences over products numbered from ``first`` on."""
    folder.mkdir()
    lines = [" ".join(str(n) for n in (u + 1, *(first + (u + step) % 30 for step in range(9)))) for u in range(25)]
    (folder / "Beauty.txt").write_text("\n".join(lines) + "\n")
    preparation.prepare("amazon-beauty", source=folder, name=name)
    return preparation.open_dataset(name)


def test_an_encoder_moves_to_another_catalog(home: Path, tmp_path: Path) -> None:
    """Warm start of SSE-PT: attention is copied, user and item tables start again; the result lists each tensor."""
    from mmrec_core.training.warm_start import donor_of

    old, new = world(tmp_path / "a", "old", 1), world(tmp_path / "b", "new", 1001)
    how = {"max_epochs": 1, "device": "cpu", "length": 6, "patience": 0}
    first = fit("sse_pt", old, make_split(old, "leave-one-out"), options=how).model
    first.save(tmp_path / "model")
    then = fit(
        "sse_pt",
        new,
        make_split(new, "leave-one-out"),
        options={**how, "lr": 1e-7},
        donor=donor_of(tmp_path / "model", "old"),
    )
    assert then.adopted is not None
    assert {"places.weight", "blocks.0.attend.weight", "last.weight"} <= set(then.adopted.loaded)
    assert then.adopted.matched["people.weight"][0] == 0, "equal numbers are other people there"
    assert then.adopted.matched["films.weight"] == (1, 31), "the start mark alone"
    import torch

    torch.testing.assert_close(
        then.model.get_parameter("blocks.0.attend.weight"),
        first.get_parameter("blocks.0.attend.weight"),
        rtol=0,
        atol=1e-4,
    )
