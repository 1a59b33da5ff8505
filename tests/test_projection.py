"""Maps: trust as scikit-learn counts it, neighbours exact, the same each time, new points between their neighbours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from mmrec_core import features, spaces, storage
from mmrec_core.data import preparation
from mmrec_core.encoders._base import unit
from mmrec_core.errors import MMRecError
from mmrec_core.spaces import publish
from mmrec_core.types import Dataset


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    rng = np.random.default_rng(0)
    return unit(rng.standard_normal((240, 24)) + 4 * rng.standard_normal((6, 24))[rng.integers(0, 6, 240)])


def test_trust_is_that_of_scikit_learn(clouds: np.ndarray) -> None:
    flat = spaces.pca(clouds, 2)
    found = spaces.trust(clouds, flat, k=15)
    assert found["trustworthiness"] == pytest.approx(trustworthiness(clouds, flat, n_neighbors=15), abs=1e-5)
    assert found["continuity"] == pytest.approx(trustworthiness(flat, clouds, n_neighbors=15), abs=1e-5)
    assert spaces.trust(clouds, clouds) == {
        "trustworthiness": pytest.approx(1.0, abs=1e-6),
        "continuity": pytest.approx(1.0, abs=1e-6),
    }


def test_neighbours_are_exact_and_leave_oneself_out(clouds: np.ndarray) -> None:
    near, cosine = spaces.neighbours(clouds, 7)
    table = clouds @ clouds.T
    np.fill_diagonal(table, -2)
    assert np.array_equal(np.sort(near, 1), np.sort(np.argsort(-table, 1)[:, :7], 1))
    assert np.allclose(cosine, np.take_along_axis(table, near.astype(int), 1), atol=1e-5)


def test_pca_is_that_of_scikit_learn(clouds: np.ndarray) -> None:
    from sklearn.decomposition import PCA

    theirs = PCA(3, svd_solver="full").fit_transform(clouds)
    assert np.allclose(np.abs(spaces.pca(clouds, 3)), np.abs(theirs), atol=1e-3)


def test_the_layout_keeps_clouds_apart_and_is_the_same_each_time(clouds: np.ndarray) -> None:
    one = spaces.layout(clouds)
    assert np.array_equal(one, spaces.layout(clouds)) and one.shape == (240, 2) and np.isfinite(one).all()
    assert spaces.trust(clouds, one)["trustworthiness"] > 0.9
    assert spaces.layout(clouds[:5]).shape == (5, 2), "too few for UMAP"
    assert spaces.layout(clouds[:20], dim=3).shape == (20, 3)


def test_overlap_purity_hubness_by_hand(demo: Dataset) -> None:
    rows = np.arange(3)
    shared, share = spaces.overlap(
        (rows, np.array([[1, 2], [0, 2], [0, 1]])), (rows, np.array([[1, 2], [2, 9], [8, 9]]))
    )
    assert shared.tolist() == [0, 1, 2] and share.tolist() == [1.0, pytest.approx(1 / 3), 0.0]
    assert spaces.hubness(np.array([[1], [2], [0]]), 3) == 0.0
    assert spaces.hubness(np.array([[1], [0], [0], [0], [0]]), 5) > 1.0
    genres = [set(own) for own in demo.catalog["genres"]]
    alike = next(j for j in range(1, 200) if genres[0] & genres[j])
    unlike = next(j for j in range(1, 200) if not genres[0] & genres[j])
    found = spaces.genre_purity(demo, np.array([0, alike, unlike]), np.array([[1], [0], [0]]))
    assert found is not None and found["value"] == pytest.approx(2 / 3)


def test_a_new_point_lies_between_its_neighbours(clouds: np.ndarray) -> None:
    flat = spaces.pca(clouds, 2)
    near, _ = spaces.neighbours(clouds, 8)
    at = spaces.place(clouds, flat, clouds[4])
    assert np.linalg.norm(at - flat[4]) < 0.05, "a point that is there stays there"
    between = unit((clouds[4] + clouds[near[4][0]])[None])[0]
    low, high = flat[[4, *near[4]]].min(0) - 0.3, flat[[4, *near[4]]].max(0) + 0.3
    assert (spaces.place(clouds, flat, between) >= low).all() and (spaces.place(clouds, flat, between) <= high).all()


@pytest.fixture
def mine(home: Path, demo: Dataset) -> Dataset:
    shutil.copytree(demo.folder, home / "datasets" / "demo")
    return preparation.open_dataset("demo")


def test_a_map_is_kept_and_made_again_when_its_vectors_change(mine: Dataset) -> None:
    features.encode(mine, "mini_clip")
    info = spaces.project(mine, "mini_clip", "both")
    assert info["points"] == 400 and info["films"] == 200 and info["modality_gap"] > 0 and 0 <= info["overlap"] <= 1
    found = spaces.stored(mine, "mini_clip", "both")
    assert found is not None and found.manifest["layout"] == "umap"
    assert sorted(set(found.kind.tolist())) == [1, 2] and (np.asarray(found.near) != np.arange(400)[:, None]).all()
    assert spaces.project(mine, "mini_clip", "both")["seconds"] < 1, "it is there already"
    file = found.folder / "manifest.json"
    earlier = storage.read_json(file)
    storage.write_json(file, {**{k: v for k, v in earlier.items() if k != "measures"}, "told": earlier["measures"]})
    again = spaces.stored(mine, "mini_clip", "both")
    assert again is not None and again.manifest["measures"] == earlier["measures"], "a map of an earlier version"
    folder = features.folder_of(mine, "mini_clip")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["modality"]["text"]["checksum"] = "another"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert spaces.stored(mine, "mini_clip", "both") is None
    with pytest.raises(MMRecError, match="has not encoded"):
        spaces.project(mine, "mini_siglip", "text")
    with pytest.raises(MMRecError, match="left no model"):
        spaces.project(mine, "run:nobody", "text")


def test_what_a_model_has_learned_is_a_space_too(mine: Dataset) -> None:
    from mmrec_core import runs
    from mmrec_core.jobs import worker

    run = worker.work(
        runs.create("train", runs.training_params("demo", "mf", options={"max_epochs": 3})).id, foreground=True
    )
    info = spaces.project(mine, f"run:{run.id}", "text")
    assert 150 < info["points"] <= 200
    none = worker.work(runs.create("train", runs.training_params("demo", "popularity")).id, foreground=True)
    with pytest.raises(MMRecError, match="no vectors of films"):
        spaces.project(mine, f"run:{none.id}", "text")


def test_files_for_the_browser(mine: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(publish.settings, "static_dir", lambda: tmp_path)
    features.encode(mine, "mini_clip")
    spaces.project(mine, "mini_clip", "image")
    found = spaces.stored(mine, "mini_clip", "image")
    assert found is not None
    made = publish.publish(mine, found)
    body = (tmp_path / made.files["points"]).read_bytes()
    n = made.files["n"]
    assert n == 200 and len(body) == 9 * n, "nine bytes a point"
    x, y = np.frombuffer(body, "<u2", n), np.frombuffer(body, "<u2", n, 2 * n)
    assert np.allclose(np.stack([x, y], 1) / 65_535, made.xy) and made.xy.min() >= 0 and made.xy.max() <= 1
    assert np.array_equal(np.frombuffer(body, "<i4", n, 4 * n), found.items)
    near = np.frombuffer((tmp_path / made.files["near"][0]).read_bytes(), "<i4").reshape(-1, made.files["k"])
    assert np.array_equal(near, found.near)
    films = json.loads((tmp_path / made.files["films"][0]).read_text())
    assert films[3][0] == mine.catalog["title"].iloc[3] and films[3][3] == str(mine.items.raw[3])
    assert publish.publish(mine, found).files == made.files


def test_points_in_a_polygon() -> None:
    square = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]
    notch = [[0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1]]
    points = np.array([[0.5, 0.5], [0.1, 0.5], [0.79, 0.79], [0.5, 0.9]])
    assert publish.inside(points, square).tolist() == [True, False, True, False]
    assert publish.inside(points, notch).tolist()[3] is False and bool(publish.inside(np.array([[0.5, 0.2]]), notch)[0])
    rng = np.random.default_rng(0)
    many = rng.random((500, 2))
    centre, radius = np.array([0.5, 0.5]), 0.3
    ring = centre + radius * np.stack(
        [np.cos(np.linspace(0, 2 * np.pi, 400)), np.sin(np.linspace(0, 2 * np.pi, 400))], 1
    )
    away = np.linalg.norm(many - centre, axis=1)
    clear = np.abs(away - radius) > 0.002
    assert np.array_equal(publish.inside(many, ring.tolist())[clear], (away < radius)[clear])
