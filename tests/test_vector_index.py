"""The FAISS index of large catalogs finds what exact search finds; search is exact wherever it cannot be used."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from mmrec_core import storage
from mmrec_core.encoders._base import unit
from mmrec_core.features import vector_index
from mmrec_core.features.nearest_neighbours import nearest
from mmrec_core.features.store import Features
from mmrec_core.types import Array

N, WIDTH = 6_000, 32


def stored(vectors: Array, checksum: str = "a" * 64) -> Features:
    """Vectors as the store gives them."""
    ids = np.arange(len(vectors))
    manifest = {"modality": {"text": {"checksum": checksum}}}
    return Features("drawn", "text", ids, vectors.astype(np.float16), ids, manifest)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, home: Path) -> Features:
    """Clustered vectors, of which there are enough for an index; some films have equal vectors."""
    monkeypatch.setattr(vector_index, "EXACT_UNTIL", 1_000)
    vector_index._building.clear()
    vector_index._loaded.clear()
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((80, WIDTH))
    vectors = unit(centres[rng.integers(0, 80, N)] + 0.6 * rng.standard_normal((N, WIDTH)))
    vectors[100:160] = vectors[7]
    return stored(vectors)


def test_the_first_search_is_exact_and_later_ones_find_the_same(own: Features) -> None:
    """Recall@10 against exact search on films that did not decide how many cells are searched, cosines recomputed."""
    query = own.dense[5]
    rows, cosine = vector_index.nearest_films(own, query, 10)
    assert rows.tolist() == nearest(own.dense, query, 10)[0].tolist() and not vector_index._loaded
    vector_index._building["a" * 64].join()
    found = []
    for at in range(0, N, 37):
        rows, cosine = vector_index.nearest_films(own, own.dense[at], 10)
        assert cosine == pytest.approx(own.dense[rows] @ own.dense[at], abs=1e-6) and (np.diff(cosine) <= 0).all()
        found.append(float(np.mean(cosine >= nearest(own.dense, own.dense[at], 10)[1][-1] - 1e-6)))
    assert vector_index._loaded and np.mean(found) >= 0.98
    about = storage.read_json(vector_index.file_of("a" * 64).with_suffix(".json"))
    assert about["n"] == N and about["recall@10"] >= vector_index.RECALL and about["probes"] > 0


def test_an_index_belongs_to_its_vectors(own: Features) -> None:
    """Changed vectors have another checksum, and so no index yet; a second build of the same ones reads the file."""
    first = vector_index.build(own.vectors, "a" * 64)
    assert vector_index.load("b" * 64) is None
    stamp = vector_index.file_of("a" * 64).stat().st_mtime_ns
    assert vector_index.build(own.vectors, "a" * 64) == first
    assert vector_index.file_of("a" * 64).stat().st_mtime_ns == stamp


def test_a_damaged_file_is_not_read_and_made_again(own: Features) -> None:
    vector_index.build(own.vectors, "a" * 64)
    vector_index._loaded.clear()
    file = vector_index.file_of("a" * 64)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(bytes(data))
    assert vector_index.load("a" * 64) is None
    rows, _ = vector_index.nearest_films(own, own.dense[5], 10)
    assert rows.tolist() == nearest(own.dense, own.dense[5], 10)[0].tolist()
    vector_index._building["a" * 64].join()
    assert vector_index.load("a" * 64) is not None


def test_where_the_recall_is_not_reached_search_stays_exact(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Points without any clusters in many dimensions, and one candidate a neighbour."""
    monkeypatch.setattr(vector_index, "EXACT_UNTIL", 1_000)
    monkeypatch.setattr(vector_index, "CANDIDATES", 1)
    vector_index._loaded.clear()
    vectors = unit(np.random.default_rng(1).standard_normal((N, WIDTH)))
    own = stored(vectors, "c" * 64)
    about = vector_index.build(own.vectors, "c" * 64)
    assert about["probes"] == 0 and about["recall@10"] < vector_index.RECALL
    rows, _ = vector_index.nearest_films(own, own.dense[5], 10)
    assert rows.tolist() == nearest(own.dense, own.dense[5], 10)[0].tolist()


def test_small_catalogs_and_machines_without_faiss_search_exactly(
    own: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = nearest(own.dense, own.dense[5], 10)[0].tolist()
    few = dataclasses.replace(own, vectors=own.vectors[:900])
    assert (
        vector_index.nearest_films(few, own.dense[5], 10)[0].tolist()
        == nearest(few.dense, own.dense[5], 10)[0].tolist()
    )
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(vector_index, "available", lambda: False)
    assert vector_index.nearest_films(own, own.dense[5], 10)[0].tolist() == expected
    assert not vector_index._building


def test_a_content_control_never_meets_the_index_of_the_real_vectors(own: Features) -> None:
    """Shuffled vectors come with the manifest of the real ones, and so with their checksum."""
    vector_index.build(own.vectors, "a" * 64)
    shuffled = np.random.default_rng(3).permutation(own.vectors)
    control = dataclasses.replace(own, encoder="shuffled.1:drawn", vectors=shuffled)
    query = control.dense[5]
    assert vector_index.nearest_films(control, query, 10)[0].tolist() == nearest(control.dense, query, 10)[0].tolist()


@pytest.mark.parametrize("width", [1, 7, 128, 172, 384, 512, 1024])
def test_every_width_can_be_divided_into_pieces(width: int) -> None:
    pieces = vector_index._pieces(width)
    assert width % pieces == 0 and 1 <= pieces <= max(1, width // 8)
