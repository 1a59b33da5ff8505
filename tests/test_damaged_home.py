"""Damage every file of a home, one by one: pages and lists still work, the file is reported, its content is kept."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from mmrec_core import features, records, runs, spaces, storage
from mmrec_core.analysis import ablation, error_annotations
from mmrec_core.cli import main as command_line
from mmrec_core.data import preparation
from mmrec_core.errors import DamagedFile, MMRecError
from mmrec_core.jobs import worker
from mmrec_core.maintenance import damage
from mmrec_core.runs import ray_cluster
from mmrec_core.tuning import sweep
from pages.parts import slices
from tests.test_pages import PAGES, ROOT

KINDS = ("cut", "empty", "shape", "garbage")
EVERY = os.environ.get("MMREC_EVERY_DAMAGE") == "1"
"""Whether to test all kinds of damage on all pages (half an hour); by default each file gets one kind, on its pages."""


def build(home: Path) -> None:
    """A small home with one of each thing."""
    preparation.prepare("demo", options={"films": 60, "scale": 0.15})
    dataset = preparation.open_dataset("demo")
    for model, options in (("popularity", {}), ("ease", {}), ("mf", {"max_epochs": 2})):
        worker.work(runs.create("train", runs.training_params("demo", model, options=options)).id, foreground=True)
    mf = next(r for r in runs.all_runs() if r.params["model"] == "mf")
    worker.work(runs.create("evaluate", runs.evaluation_params(mf.id, "sampled:10", "frozen")).id, foreground=True)
    crossing = runs.create("crossing", runs.crossing_params("demo", ["itemknn"], ks=[0, 1]))
    at = {
        "metrics": {"ndcg@10": 0.1},
        "intervals": {"ndcg@10": [0.0, 0.2]},
        "against": {"difference": 0.0, "interval": [-0.1, 0.1]},
    }
    models = {name: {"0": at, "1": at} for name in ("itemknn", "popularity")}
    curve = {
        "models": models,
        "crosses": {"itemknn": None},
        "above": {"itemknn": 1},
        "ks": [0, 1],
        "users": 9,
        "seed": 0,
        "split_seed": 0,
    }
    storage.write_json(crossing.folder / "result.json", curve)
    runs.update(crossing, status="finished", data=dataset.checksum, ended=crossing.record["created"])
    features.encode(dataset, "classic")
    spaces.project(dataset, "classic", "text")
    spaces.project(dataset, f"run:{mf.id}", "text")
    search = runs.create("tune", sweep.params("demo", "mf", trials=2, over=["dim=2:8"]))
    trials = [
        {
            "id": "a",
            "options": {"dim": 4},
            "status": "finished",
            "curve": [0.1],
            "score": 0.1,
            "best_epoch": 0,
            "seconds": 1.0,
            "error": None,
        }
    ]
    storage.write_json(search.folder / "trials.json", {"metric": "rmse", "trials": trials})
    found = {
        "winner": mf.id,
        "metric": "rmse",
        "metrics": {"rmse": 1.0},
        "intervals": {"rmse": [0.9, 1.1]},
        "seconds": {"search": 1.0},
    }
    storage.write_json(search.folder / "result.json", found)
    runs.update(search, status="finished", data=dataset.checksum, ended=search.record["created"])
    ablation.save(dataset, "mf", ["dim=2:4"], [1], {})
    slices.save(dataset, "first ten", np.arange(10))
    error_annotations.put(dataset, error_annotations.case("film", film=str(dataset.items.raw[0]), tags=("odd",)))
    ray_cluster.name("127.0.0.1:9")
    storage.write_json(
        mf.folder / "mlflow.json", {"store": "sqlite:///x", "run_id": "1", "events": 0, "status": "finished"}
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home, built once; each test mends what it damaged."""
    home = tmp_path_factory.mktemp("whole") / "home"
    before = {key: os.environ.get(key) for key in ("MMREC_HOME", "RAY_ADDRESS")}
    os.environ["MMREC_HOME"] = str(home)
    os.environ.pop("RAY_ADDRESS", None)
    try:
        build(home)
        yield home
    finally:
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value


def files_of(home: Path) -> list[Path]:
    """One of each kind of file: those of the run of ``mf`` stand for other training runs."""
    found = []
    others = {r.folder for r in runs.all_runs() if r.params["model"] in {"popularity", "ease"}}
    for file in sorted(home.rglob("*")):
        skipped = {"locks", "schemas", "alive", "log.txt"} & set(file.relative_to(home).parts)
        if file.suffix in {".png", ".jpg"} and any(f.suffix == file.suffix for f in found):
            continue  # one poster stands for all
        if file.is_file() and not skipped and not any(file.is_relative_to(folder) for folder in others):
            found.append(file)
    return found


def damaged(body: bytes, file: Path, kind: str) -> bytes:
    """A file's content, damaged."""
    if kind == "cut":
        return body[: len(body) // 2]
    if kind == "empty":
        return b""
    if kind == "garbage":
        return np.random.default_rng(len(body)).bytes(max(len(body), 64))
    stream = io.BytesIO()
    if file.suffix == ".npy":
        np.save(stream, np.zeros((3, 2, 2)))
    elif file.suffix == ".npz":
        np.savez(stream, allow_pickle=False, other=np.zeros(3))
    elif file.suffix == ".parquet":
        pd.DataFrame({"other": [1, 2]}).to_parquet(stream)
    elif file.suffix == ".jsonl":
        return b'[]\n{}\n{"kind": "progress", "done": "x"}\n"x"\n'
    else:
        return b"[1]" if len(body) % 2 else b'{"pid": "x"}'
    return stream.getvalue()


class Broken:
    """A damaged file, mended at the end."""

    def __init__(self, file: Path, body: bytes) -> None:
        self.file, self.new = file, body

    def __enter__(self) -> Path:
        self.old, self.record = self.file.read_bytes(), self.file.stat()
        self.file.write_bytes(self.new)
        return self.file

    def __exit__(self, *_: object) -> None:
        assert self.file.read_bytes() == self.new or self.file.suffix not in {".json", ".parquet"}, (
            f"{self.file} was written over"
        )
        self.file.write_bytes(self.old)
        os.utime(self.file, ns=(self.record.st_atime_ns, self.record.st_mtime_ns))


def said(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command prints; one that is refused exits with 2, and anything but that is a defect."""
    monkeypatch.setattr(sys, "argv", ["mmrec_core", *words])
    try:
        command_line.main()
    except SystemExit as ended:
        assert ended.code in {0, 2, None}, words
    printed = capsys.readouterr()
    return printed.out + printed.err


PARTS = {
    "coding": ("errors", "look", "Notebook"),
    "trials": ("train", "part", "Tune"),
    "cluster": ("train", "part", "Cluster"),
    "first": ("errors", "look", "User"),
    "model/": ("errors", "look", "Case"),
    "tune": ("train", "part", "Tune"),
    "row_errors": ("errors", "look", "Case"),
}
"""Parts of pages that read a file, by a word of its path."""


READS = {
    "datasets/demo/maps": ("space",),
    "datasets/demo/features": ("space", "train", "compare"),
    "datasets": tuple(PAGES[1:]),
    "runs": ("train", "compare", "errors", "cold_start"),
    "slices": ("space", "errors"),
    "coding": ("errors",),
    "cluster": ("train",),
    "ablations": ("compare",),
}
"""Pages that read a file beside Home, by how its path begins."""


def every_page(relative: str) -> list[str]:
    """Errors of the pages that read the file; of all pages in the thorough mode."""
    pages = (
        PAGES[1:]
        if EVERY or not relative
        else next((pages for start, pages in READS.items() if relative.startswith(start)), ())
    )
    wrong = []
    shown = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    shown.query_params["dataset"] = "demo"
    shown.run()
    wrong += [f"home: {e.value}" for e in shown.exception]
    for page in pages:
        shown.switch_page(f"pages/{page}.py").run()
        wrong += [f"{page}: {e.value}" for e in shown.exception]
    for word, (page, key, value) in PARTS.items():
        if word in relative:
            shown = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
            shown.query_params["dataset"], shown.query_params[key] = "demo", value
            shown.run().switch_page(f"pages/{page}.py").run()
            wrong += [f"{page} {value}: {e.value}" for e in shown.exception]
    return wrong


@pytest.mark.slow
def test_every_file_damaged_one_by_one(
    whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mf = next(r for r in runs.all_runs() if r.params["model"] == "mf" and r.kind == "train").id
    assert every_page("") == []
    assert damage.survey() == []
    files = files_of(whole)
    assert len(files) > 45
    wrong: list[str] = []
    for at, file in enumerate(files):
        relative = file.relative_to(whole).as_posix()
        for number, kind in enumerate(KINDS):
            body = damaged(file.read_bytes(), file, kind)
            if body == file.read_bytes():
                continue
            with Broken(file, body):
                found_damage = damage.survey()
                unseen = any(part in relative for part in UNTOLD) or (file.name == "world.npz" and kind == "shape")
                if not unseen and not any(Path(one.place).name == file.name for one in found_damage):
                    wrong.append(f"{relative} {kind}: not listed")
                listed = said(["runs"], capsys, monkeypatch)
                if mf not in listed or (file.name in {"run.json", "result.json"} and "is damaged" not in listed):
                    wrong.append(f"{relative} {kind}: the list of runs says {listed}")
                if not EVERY and number != at % len(KINDS):
                    continue
                for words in (
                    ["datasets", "--json"],
                    ["clean", "--json"],
                    ["compare", "demo"],
                    ["cluster"],
                    ["recommend", mf, "--user", "1", "--top", "2"],
                    ["search", "demo", "--encoder", "classic", "--text", "sea", "--top", "2"],
                    ["delete", "run", mf],
                    ["delete", "dataset", "demo"],
                ):
                    try:
                        said(words, capsys, monkeypatch)
                    except Exception as error:  # a defect: only plain errors may end a command
                        wrong.append(f"{relative} {kind}: {' '.join(words)} raises {type(error).__name__}: {error}")
                wrong += [f"{relative} {kind}: {fault}" for fault in every_page(relative)]
    assert wrong == []
    assert damage.survey() == []


# Which arrays the world of a generated dataset holds is its maker's own affair.
UNTOLD = (
    "events.jsonl",
    "mlflow.json",
    "model/",
    "snapshots/",
    "cache/",
    "users.parquet",
    "format.json",
    "posters/",
    "static/",
    "mlflow",
    "alive",
)
"""Files whose damage is reported where they are used, or that are recreated automatically."""


def test_a_run_of_any_wrong_form_leaves_the_others(whole: Path) -> None:
    """Each value of ``run.json`` left out, and replaced by values of other types."""
    mf = next(r for r in runs.all_runs() if r.params["model"] == "mf" and r.kind == "train")
    right, n = json.loads((mf.folder / "run.json").read_text()), len(runs.all_runs())
    wrong: list[Any] = ["x", [], {}, None, -1.5, True, 10**30, "NaN"]
    tried = [*([], {}, 1, "x", None), *({k: v for k, v in right.items() if k != key} for key in right)]
    tried += [{**right, key: value} for key in right for value in wrong]
    tried += [{**right, "params": {**right["params"], key: value}} for key in right["params"] for value in wrong]
    for value in tried:
        with Broken(mf.folder / "run.json", json.dumps(value).encode()):
            found, broken = runs.all_runs(), runs.damaged_runs()
            assert len(found) + len(broken) == n
            if mf.id in broken:
                assert "run.json is damaged" in str(broken[mf.id]) and "delete run" in str(broken[mf.id])
                with pytest.raises(DamagedFile):
                    runs.get(mf.id)
            for run in found:
                assert run.status and run.place >= 0 and run.params["dataset"] and (run.error is None or run.error)
                runs.ahead(run)
            runs.expected_seconds(mf.params)
            damage.survey()
    assert runs.damaged_runs() == {}


def test_earlier_slices_and_cases_survive_a_cut_file(whole: Path) -> None:
    dataset = preparation.open_dataset("demo")
    for file, add in (
        (whole / "slices" / "demo.json", lambda: slices.save(dataset, "new", np.arange(3))),
        (
            whole / "coding" / "demo.json",
            lambda: error_annotations.put(dataset, error_annotations.case("film", film="1", tags=("new",))),
        ),
    ):
        cut = file.read_bytes()[:-4]
        with Broken(file, cut):
            with pytest.raises(DamagedFile, match="left as it is"):
                add()
            assert file.read_bytes() == cut
            kept = damage.set_aside(file.parent.name, "demo")
            assert kept.read_bytes() == cut and kept.suffix != ".json"
            add()
            assert len(json.loads(file.read_text())) == 1
            kept.unlink()
            file.write_bytes(cut)
    assert slices.names(dataset) == ["first ten"]


def test_a_cut_address_of_the_cluster_is_kept_aside(whole: Path) -> None:
    file = whole / "cluster.json"
    with Broken(file, b'{"address": "10.0'):
        with pytest.raises(DamagedFile, match="cluster --use"):
            ray_cluster.address()
        ray_cluster.name("127.0.0.1:10")
        assert ray_cluster.address() == "127.0.0.1:10"
        (kept,) = whole.glob("cluster.json.damaged-*")
        assert kept.read_bytes() == b'{"address": "10.0'
        kept.unlink()
        file.write_bytes(b'{"address": "10.0')


@pytest.mark.parametrize("number", [28, 30, 13])
def test_a_home_that_takes_no_writing_is_told_by_every_writer(
    whole: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk, a read-only one, a folder of somebody else's."""
    dataset = preparation.open_dataset("demo")
    mf = next(r for r in runs.all_runs() if r.params["model"] == "mf" and r.kind == "train")

    def refuse(self: Path, *given: Any, **named: Any) -> Any:
        mode = given[0] if given else named.get("mode", "r")
        if set(str(mode)) & set("wax"):
            raise OSError(number, os.strerror(number))
        return opened(self, *given, **named)

    opened: Callable[..., Any] = Path.open
    monkeypatch.setattr(Path, "open", refuse)
    writers: dict[str, Callable[[], object]] = {
        "slices": lambda: slices.save(dataset, "new", np.arange(3)),
        "slices.remove": lambda: slices.remove(dataset, "first ten"),
        "coding": lambda: error_annotations.put(dataset, error_annotations.case("film", film="1", tags=("new",))),
        "cluster": lambda: ray_cluster.name("127.0.0.1:10"),
        "run": lambda: runs.update(mf, note="x"),
        "create": lambda: runs.create("train", mf.params),
        "ablation": lambda: ablation.save(dataset, "mf", ["dim=2:4"], [2], {}),
        "bytes": lambda: storage.write_bytes(whole / "x" / "y", b"1"),
        "work": lambda: worker.work(runs.create("train", mf.params).id, foreground=True),
    }
    for name, write in writers.items():
        with pytest.raises(MMRecError, match=r"disk that holds|Cannot write to") as raised:
            write()
        assert "\n" not in str(raised.value) and "MMREC_HOME" in str(raised.value), name
    monkeypatch.undo()
    assert slices.names(dataset) == ["first ten"] and len(error_annotations.cases(dataset)) == 1
    for folder in [r.folder for r in runs.all_runs() if r.status != "finished"]:
        shutil.rmtree(folder)
    for folder in (whole / "runs").iterdir():
        if not (folder / "run.json").exists():
            shutil.rmtree(folder)


def test_types_say_what_is_wrong() -> None:
    assert records.fault_of({}, records.CLUSTER) == "'address' is missing"
    assert records.fault_of({"address": 3}, records.CLUSTER) == "'address' is 3, and it should be a valid string"
    assert records.fault_of([], records.SLICES) == "it is a list, expected an object with named values"
    assert records.fault_of([], records.RUN) == "it is a list, expected an object with named values"
    assert records.fault_of({"a": ["1"]}, records.SLICES) is None
