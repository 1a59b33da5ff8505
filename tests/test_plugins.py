"""Plugins: a model, a dataset, an encoder and a metric, each in one file or function."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmrec_core import metrics, registry
from mmrec_core.data import preparation
from mmrec_core.data.splits import make_split
from mmrec_core.errors import MMRecError
from mmrec_core.evaluation.evaluate import evaluate
from mmrec_core.training.fit import fit
from tests.test_command_line import here, mmrec

MODEL = '''
"""Likes old films."""
import torch
from mmrec_core.config import Config, setting
from mmrec_core.models._base import Model, fallback_sources
from mmrec_core.types import UserState

class Vintage(Model):
    """Ranks films by their row: a toy."""
    class Config(Config):
        """One setting."""
        slope: float = setting(1.0, "how steeply older rows are preferred", ge=0.1, le=9.0, unit="points")
    def fit(self, train, progress=None):
        self.mark_known(train.interactions)
    def gather_users(self, user):
        return {"none": torch.zeros(len(user), 0)}
    def score_states(self, state, items=None):
        scores = -self.config.slope * torch.arange(self.schema.n_items).float()
        return (scores if items is None else scores[items]).expand(len(state["none"]), -1).clone()
    def fold_in(self, histories):
        return UserState(self.gather_users(torch.zeros(len(histories))), fallback_sources(len(histories)))
'''
DATASET = '''
"""Four ratings."""
import pandas as pd
from mmrec_core.config import Config, setting
from mmrec_core.data.datasets._base import DatasetReader, RawData

class Tiny(DatasetReader):
    """Four ratings, for a test."""
    class Config(Config):
        """One setting."""
        copies: int = setting(1, "how many people", ge=1, le=5, unit="people")
    def read(self, source, draft, progress):
        n = self.config.copies
        user = [u for u in range(n) for _ in range(4)]
        columns = {"user": user, "item": [1, 2, 3, 4] * n, "rating": [4.0] * 4 * n, "time": range(4 * n)}
        events = pd.DataFrame(columns)
        return RawData(events, scale=(1.0, 5.0))
'''
ENCODER = '''
"""Counts letters."""
import numpy as np
from mmrec_core.encoders._base import Encoder, unit

class Letters(Encoder):
    """Letter counts, for a test."""
    modalities = ("text",)

    def width(self, modality):
        return 26

    def encode_text(self, texts):
        counts = [[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts]
        return unit(np.array(counts).reshape(-1, 26))
'''
METRIC = '''
"""One more metric."""
import numpy as np

def first(ranking):
    """The chance that the very first film is a liked one."""
    out = np.zeros(ranking.n_queries)
    top = ranking.above == 0
    np.add.at(out, ranking.query[top], 1 / ranking.tied[top])
    return out
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "plugins"
    for kind, name, text in (
        ("models", "vintage", MODEL),
        ("datasets", "tiny", DATASET),
        ("encoders", "letters", ENCODER),
        ("metrics", "more", METRIC),
    ):
        (folder / kind).mkdir(parents=True)
        (folder / kind / f"{name}.py").write_text(text)
    monkeypatch.setenv("MMREC_PLUGINS", str(folder))
    return folder


def test_a_plugin_that_many_ask_for_at_once_is_whole(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module runs once, and nobody is handed it before it has run to its end."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "slow_vintage.py").write_text("import time\ntime.sleep(0.3)\n" + MODEL)
    monkeypatch.setenv("MMREC_PLUGINS", str(tmp_path))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: registry.load("models", "slow_vintage"), range(4)))
    assert {cls.__name__ for cls in found} == {"Vintage"} and len(set(found)) == 1


def test_one_file_is_enough(plugins: Path, home: Path) -> None:
    assert (
        "vintage" in registry.names("models")
        and "tiny" in registry.names("datasets")
        and "letters" in registry.names("encoders")
    )
    assert registry.entries("models")["vintage"].summary == "Ranks films by their row: a toy."
    assert registry.schema("models", "vintage")["config"]["properties"]["slope"]["unit"] == "points"
    preparation.prepare("tiny", options={"copies": 5})
    dataset = preparation.open_dataset("tiny")
    split = make_split(dataset)
    model = fit("vintage", dataset, split, options={"slope": 2}).model
    found = evaluate(model, dataset, split)
    assert found.metrics["first"] is not None and metrics.metric("first").meaning.startswith("The chance")
    model.save(home / "kept")
    from mmrec_core.models._base import load_model

    assert load_model(home / "kept").config.slope == 2.0  # type: ignore[attr-defined]


def test_it_appears_on_the_command_line(plugins: Path, home: Path) -> None:
    assert "vintage" in here("models").stdout and "tiny" in here("datasets").stdout
    assert json.loads(here("prepare", "tiny", "--set", "copies=4", "--json").stdout)["users"] == 4
    assert "Letter counts" in here("encoders").stdout
    result = json.loads(mmrec(home, "train", "tiny", "vintage", "--set", "slope=3", "--json").stdout)
    assert "first" in result["metrics"] and result["settings"] == {"slope": 3.0}


def test_it_appears_in_the_form(plugins: Path, home: Path) -> None:
    from streamlit.testing.v1 import AppTest

    def script() -> None:
        import streamlit as st

        from pages.parts.config_form import config_form

        st.json(config_form("models", "vintage", key="t"))

    page = AppTest.from_function(script).run(timeout=60)
    assert not page.exception
    slope = page.number_input[0]
    assert (
        slope.label == "slope (points)" and "how steeply" in slope.help.lower() and (slope.min, slope.max) == (0.1, 9.0)
    )
    slope.set_value(4.0).run()
    assert json.loads(page.json[0].value) == {"slope": 4.0}


def test_a_broken_file_hurts_nobody_else(plugins: Path, home: Path) -> None:
    (plugins / "models" / "broken.py").write_text("class Broken(:\n")
    (plugins / "models" / "raising.py").write_text('"""x"""\nimport nowhere_to_be_found\nclass Raising:\n    """y"""\n')
    assert "vintage" in registry.names("models") and "broken" not in registry.names("models")
    assert "does not parse" in str(registry.entries("models")["broken"].fault)
    with pytest.raises(MMRecError, match="does not parse"):
        registry.load("models", "broken")
    with pytest.raises(MMRecError, match="nowhere_to_be_found"):
        registry.load("models", "raising")
    assert registry.load("models", "vintage")


def test_a_changed_file_counts_at_once(plugins: Path, home: Path) -> None:
    """What is remembered of a plugin follows its file: settings, class, and the schema of a form."""
    before = registry.schemas("models")["vintage"]
    file = plugins / "models" / "vintage.py"
    file.write_text(file.read_text().replace("slope", "steepness"))
    after = registry.schemas("models")["vintage"]
    assert "slope" in before["config"]["properties"] and "steepness" not in before["config"]["properties"]
    assert "steepness" in after["config"]["properties"] and "slope" not in after["config"]["properties"]
    assert registry.config("models", "vintage", {"steepness": 2.0}).steepness == 2.0
    assert after == json.loads(registry.schema_file("models", "vintage").read_text())
    file.unlink()
    assert "vintage" not in registry.schemas("models") and "vintage" not in registry.names("models")


def test_whoever_changes_a_schema_changes_his_own(plugins: Path, home: Path) -> None:
    registry.schema("models", "vintage")["config"]["properties"].clear()
    assert registry.schema("models", "vintage")["config"]["properties"]
    file = registry.schema_file("models", "vintage")
    file.write_text("{")
    assert registry.schema("models", "vintage")["config"]["properties"], "a damaged file is made again"
    assert json.loads(file.read_text()) == registry.schema("models", "vintage")


SPLIT = '''
import numpy as np
from mmrec_core.types import Split

def split(dataset, rows, argument, seed, relevance_threshold):
    """Every second row is test."""
    return Split("", 0, rows[::2], np.zeros(0, np.int64), rows[1::2])
'''
REGRET = '''
import numpy as np

LOWER_IS_BETTER = {"regret"}

def regret(ranking):
    """Items above the first relevant one."""
    return np.zeros(len(ranking.n_candidates))
'''


def test_a_split_and_a_metric_of_errors_are_one_file_each(
    tmp_path: Path, home: Path, ratings_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A split strategy of a plugin is named like others, is checked like others, and replaces none of the package's; a
    metric says itself whether lower is better."""
    from mmrec_core import runs

    for kind, name, body in (
        ("splits", "every_second", SPLIT),
        ("splits", "random", SPLIT),
        ("metrics", "regret", REGRET),
    ):
        (tmp_path / "p" / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / kind / f"{name}.py").write_text(body)
    (tmp_path / "p" / "splits" / "broken.py").write_text("import nothing_of_this_name")
    monkeypatch.setenv("MMREC_PLUGINS", str(tmp_path / "p"))
    preparation.prepare("csv", source=ratings_csv, name="mine", options={"scale": "0.5:5"})
    dataset = preparation.open_dataset("mine")
    made = make_split(dataset, "every-second", seed=3)
    n = len(dataset.interactions)
    assert (len(made.train), len(made.test), made.strategy, made.seed) == ((n + 1) // 2, n // 2, "every-second", 3)
    assert len(make_split(dataset, "random").validation), "the package's own"
    assert runs.training_params("mine", "ease", split="every-second")["split"] == "every-second"
    with pytest.raises(MMRecError, match="every-second"):
        make_split(dataset, "broken")
    assert metrics.metric("regret").better == "lower" and metrics.metric("ndcg@10").better == "higher"
    assert {metrics.metric(n).better for n in ("rmse", "mae", "log_loss", "future_items@10")} == {"lower"}


@pytest.mark.parametrize("kind", ["models", "encoders", "datasets", "enrich"])
def test_every_entry_has_a_summary_of_its_own(kind: str) -> None:
    """No two models, encoders, datasets or sources have the same summary."""
    summaries: dict[str, list[str]] = {}
    for name, entry in registry.entries(kind).items():
        assert entry.summary.endswith("."), name
        summaries.setdefault(entry.summary, []).append(name)
    assert [names for names in summaries.values() if len(names) > 1] == []
