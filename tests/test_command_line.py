"""The command line as people meet it: one JSON object, exit 0; one clear line, exit 2."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from mmrec_core.cli.main import main
from mmrec_core.types import Dataset

ROOT = Path(__file__).resolve().parents[1]


def mmrec(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a verb in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mmrec_core", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        env={**os.environ, "MMREC_HOME": str(home), **environment},
    )


def here(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb in this process: the entry point that ``python -m mmrec_core`` calls, without loading torch anew."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["mmrec_core", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(words, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The single error line of a refused call."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_help_lists_every_verb(home: Path) -> None:
    done = mmrec(home, "--help")
    assert done.returncode == 0
    for verb in (
        "datasets",
        "prepare",
        "split",
        "train",
        "evaluate",
        "compare",
        "recommend",
        "cold-start",
        "runs",
        "stop",
        "serve",
    ):
        assert verb in done.stdout


def test_the_whole_path(home: Path, ratings_csv: Path) -> None:
    """Preparing, training and recommending in processes of their own, the rest in this one."""
    manifest = json.loads(
        mmrec(home, "prepare", "csv", "--from", str(ratings_csv), "--name", "mine", "--scale", "0.5:5", "--json").stdout
    )
    assert (manifest["dataset"], manifest["ratings"], manifest["users"], manifest["films"]) == ("mine", 360, 30, 20)
    split = json.loads(here("split", "mine", "--export", str(home / "out"), "--json").stdout)
    assert split["train"] + split["validation"] + split["test"] == 360
    trained = json.loads(mmrec(home, "train", "mine", "ease", "--set", "l2=10", "--json").stdout)
    assert trained["split"] == "user-temporal" and trained["protocol"] == "full" and trained["metrics"]["ndcg@10"] > 0
    assert (
        trained["split_checksum"] == split["checksum"]
        and trained["intervals"]["ndcg@10"][0] <= trained["metrics"]["ndcg@10"]
    )
    assert trained["environment"]["packages"]["torch"] and trained["settings"] == {"l2": 10.0}
    here("train", "mine", "popularity", "--json")
    evaluated = json.loads(here("evaluate", trained["run"], "--protocol", "sampled:5", "--json").stdout)
    assert evaluated["protocol"] == "sampled:5"
    again = json.loads(here("evaluate", trained["run"], "--json").stdout)
    assert again["metrics"] == trained["metrics"], "a saved model scores as it did"
    table = json.loads(here("compare", "mine", "--json").stdout)
    assert {row["model"] for row in table["rows"]} == {"ease (l2=10)", "popularity"}
    assert "popularity" in next(r for r in table["rows"] if r["model"] == "ease (l2=10)")["paired"]
    new = json.loads(mmrec(home, "recommend", trained["run"], "--ratings", "3:5,7:4.5", "--top", "4", "--json").stdout)
    films = [f["movieId"] for f in new["recommendations"]]
    assert len(films) == 4 and not {3, 7} & set(films) and new["source"] == "folded"
    known = json.loads(here("recommend", trained["run"], "--user", "1", "--top", "20", "--json").stdout)
    rated = {int(line.split(",")[1]) for line in ratings_csv.read_text().splitlines()[1:] if line.startswith("1,")}
    assert not rated & {f["movieId"] for f in known["recommendations"]}
    listed = json.loads(here("runs", "--json").stdout)["runs"]
    assert {r["status"] for r in listed} == {"finished"}


def test_bad_input_gives_one_clear_line(home: Path, shared_home: Path, demo: Dataset) -> None:
    shutil.copytree(
        shared_home / "datasets" / "demo", home / "datasets" / "demo"
    )  # a run that fails would stay in the home of all
    refused = {
        ("train", "demo", "eaze"): "Did you mean 'ease'?",
        ("train", "nowhere", "ease"): "Unknown dataset 'nowhere'",
        ("train", "ml-25m", "ease"): "prepare ml-25m",
        ("train", "demo", "ease", "--set", "l2=-4"): "greater than or equal to 0.001",
        ("train", "demo", "ease", "--set", "dim=4"): "has no setting 'dim'. It has: l2",
        ("train", "demo", "ease", "--set", "max_epochs=3"): "closed form",
        ("train", "demo", "mf", "--set", "max_epochs=0"): "greater than or equal to 1",
        ("train", "demo", "mf", "--set", "lr"): "expected key=value",
        ("train", "demo", "ease", "--split", "weekly"): "Known: user-temporal",
        ("train", "demo", "ease", "--protocol", "best"): "Unknown protocol",
        ("evaluate", "no-such-run"): "Unknown run",
        ("recommend", "no-such-run", "--user", "1"): "Unknown run",
        ("prepare", "csv", "--from", "/no/such.csv", "--name", "x"): "not a file",
        ("prepare", "demo", "--set", "films=3"): "greater than or equal to 50",
        ("prepare", "demo", "--name", "../up"): "cannot be a dataset name",
        ("cold-start", "demo", "--k", "a,b"): "whole numbers",
    }
    for words, expected in refused.items():
        assert expected in one_line(here(*words)), words
    for words in list(refused)[:1]:  # a process of its own says the same
        assert refused[words] in one_line(mmrec(home, *words)), words


def test_an_unknown_film_and_a_rating_off_the_scale(home: Path, ratings_csv: Path) -> None:
    here("prepare", "csv", "--from", str(ratings_csv), "--name", "mine", "--scale", "0.5:5")
    run = json.loads(here("train", "mine", "popularity", "--json").stdout)["run"]
    assert "Unknown film id '99999'" in one_line(here("recommend", run, "--ratings", "99999:4"))
    assert "expected a number from 0.5 to 5" in one_line(here("recommend", run, "--ratings", "3:9"))
    assert "not a rating" in one_line(here("recommend", run, "--ratings", "3=4"))
    assert "Unknown user" in one_line(here("recommend", run, "--user", "4000"))


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Set MMREC_HOME" in one_line(mmrec(tmp_path / "file" / "home", "prepare", "demo"))


def test_a_port_in_use(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} is in use" in one_line(mmrec(home, "serve", "--port", str(port), "--headless"))


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_progress_never_mixes_with_the_answer(home: Path, ratings_csv: Path, flag: list[str]) -> None:
    done = mmrec(home, "prepare", "csv", "--from", str(ratings_csv), "--name", "mine", "--scale", "0.5:5", *flag)
    assert json.loads(done.stdout)["ratings"] == 360
