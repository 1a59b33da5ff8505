"""Runs on the command line: epochs as they end, a short table at the end, names, settings, tables of papers."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from mmrec_core import features
from mmrec_core.cli.run_output import epoch_line
from mmrec_core.cli.settings_table import range_of
from mmrec_core.data.preparation import open_dataset, prepare
from mmrec_core.types import Dataset
from tests.models.test_contract import _ratings_csv
from tests.test_command_line import here, one_line


@pytest.fixture
def mine(home: Path, ratings_csv: Path) -> Dataset:
    prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    return open_dataset("mine")


def test_a_plain_training_prints_its_epochs_and_a_short_table(home: Path, mine: Dataset) -> None:
    quick = ("--set", "max_epochs=3", "--set", "dim=4", "--set", "device=cpu")
    done = here("train", "mine", "mf", *quick)
    lines = done.stdout.splitlines()
    epochs = [line for line in lines if line.startswith("epoch")]
    assert len(epochs) == 3 and len(lines) < 30, done.stdout
    assert re.fullmatch(r"epoch +1  loss \d\.\d{4}  rmse \d\.\d{4}  \d+\.\d s", epochs[0]), epochs[0]
    assert lines.index(epochs[-1]) < next(at for at, line in enumerate(lines) if line.startswith("rmse"))
    assert "95% interval" in done.stdout and "best epoch" in done.stdout and "{" not in done.stdout
    run = json.loads(here("runs", "--json").stdout)["runs"][0]["run"]
    assert run in done.stdout
    again = json.loads(here("train", "mine", "mf", *quick, "--json").stdout)
    assert again["metrics"]["rmse"] > 0 and again["options"] == {"max_epochs": 3, "dim": 4, "device": "cpu"}
    assert again["settings"]["lr"] == 0.005 and again["settings"]["dim"] == 4
    evaluated = here("evaluate", run, "--protocol", "sampled:5").stdout
    assert "5 sampled negatives" in evaluated and len(evaluated.splitlines()) < 20


def test_an_epoch_says_how_it_was_validated() -> None:
    event = {
        "epoch": 4,
        "loss": None,
        "ndcg@10": 0.25,
        "judged": "among 100, streaming",
        "seconds": 1.0,
        "judge_s": 0.5,
    }
    assert epoch_line(event) == "epoch   5  loss –  ndcg@10 0.2500  (among 100, streaming)  1.5 s"


def test_a_training_says_which_vectors_it_takes(home: Path, tmp_path: Path) -> None:
    """Without --encoder the default is said and recorded."""
    prepare("csv", source=_ratings_csv(tmp_path), name="films", options={"scale": "0.5:5", "items": "films.csv"})
    manifest = features.encode(open_dataset("films"), "classic")
    quick = ("--set", "max_epochs=1", "--set", "patience=0", "--set", "device=cpu", "--json")
    done = here("train", "films", "dlrm_multimodal", *quick)
    width = manifest["modality"]["text"]["width"]
    assert f"Vectors: text by classic ({width}), the default of films" in done.stderr
    result = json.loads(done.stdout)
    assert result["encoder"] == "classic" and result["vectors"]["text"]["width"] == width
    assert result["vectors"]["text"]["checksum"] == features.checksum_of(open_dataset("films"), "classic", "text")
    chosen = here("train", "films", "dlrm_multimodal", "--encoder", "classic", *quick)
    assert "the default of" not in chosen.stderr


def test_models_lists_settings_with_meaning_range_and_default(home: Path) -> None:
    shown = here("models", "mf").stdout
    assert re.search(r"dim: default \d+, 1 … [\d,]+\n +\S", shown) and "lr: default 0.005, 1e-07 … 10\n" in shown
    found = json.loads(here("models", "ease", "--json").stdout)
    assert found["settings"][0]["name"] == "l2" and found["settings"][0]["range"] == "0.001 … 1,000,000"
    assert found["settings"][0]["meaning"] and found["settings"][0]["default"] == 300.0 and found["training"] == []
    assert "Did you mean 'ease'?" in one_line(here("models", "eaze"))
    assert range_of({"enum": ["a", "b"]}) == "a | b" and range_of({"type": "boolean"}) == "true | false"
    assert range_of({"minimum": 0}) == "0 … ∞"


def test_a_run_can_be_renamed(home: Path, mine: Dataset) -> None:
    first = json.loads(here("train", "mine", "popularity", "--json").stdout)["run"]
    second = json.loads(here("train", "mine", "ease", "--json").stdout)["run"]
    assert json.loads(here("rename", first, "Most rated", "--json").stdout) == {
        "run": first,
        "name": "Most rated",
    }
    table = json.loads(here("compare", "mine", "--against", "Most rated", "--json").stdout)
    assert {row["model"] for row in table["rows"]} == {"Most rated", "ease"}
    assert "Most rated" in here("runs").stdout
    assert "choose another name" in one_line(here("rename", second, "Most rated"))
    assert "Unknown run" in one_line(here("rename", "nothing", "x"))
    here("rename", first, "")
    assert "Most rated" not in here("runs").stdout


def test_compare_writes_the_table_of_a_paper(home: Path, mine: Dataset, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        for model in ("popularity", "ease", "itemknn"):
            here("train", "mine", model, "--seed", seed, "--json")
    files = ("--latex", str(tmp_path / "t.tex"), "--csv", str(tmp_path / "t.csv"))
    chosen = ("--baseline", "itemknn", "--metrics", "ndcg@10,mrr", "--models", "ease,itemknn")
    done = here("compare", "mine", *files, *chosen)
    assert done.returncode == 0 and "| ease |" in done.stdout, done.stderr
    latex = (tmp_path / "t.tex").read_text()
    assert r"\toprule" in latex and "training seeds (1, 2)" in latex and "tested against it" in latex
    assert "popularity" not in latex and "MRR" in latex and "Recall" not in latex
    read = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [(r["model"], r["metric"]) for r in read] == [
        ("ease", "ndcg@10"), ("ease", "mrr"), ("itemknn", "ndcg@10"), ("itemknn", "mrr"),
    ]  # fmt: skip
    assert {r["seeds"] for r in read} == {"1 2"}
    assert "Unknown metric" in one_line(here("compare", "mine", "--metrics", "ndgc@10"))
    assert "Unknown model" in one_line(here("compare", "mine", "--models", "eaze"))
    here("compare", "mine", "--seeds", "--csv", str(tmp_path / "s.csv"))
    assert {r["seed"] for r in csv.DictReader((tmp_path / "s.csv").open())} == {"1", "2"}
    plain = json.loads(here("compare", "mine", "--json").stdout)
    assert plain["against"] == "popularity (seed 1)", "a model's name stands for its first result"
