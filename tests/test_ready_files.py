"""Files for people's own machines: they lint, they name what there is, and what they print can be submitted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmrec_core.types import Dataset

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def lint(program: str, *words: str, given: str | None = None) -> None:
    found = shutil.which(program, path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{program} is missing; pip install -r requirements-dev.txt"
    done = subprocess.run([found, *words], input=given, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_lints() -> None:
    lint("hadolint", "Dockerfile")


def test_the_compose_files_fit_their_schema() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml", "compose.gpu.yaml")


def test_compose_names_what_there_is_and_listens_on_localhost_alone() -> None:
    import yaml

    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert {"app", "mlflow", "database", "ray-head", "ray-worker", "prepare", "jupyter"} == set(services)
    assert services["jupyter"]["profiles"] == ["jupyter"]
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert set(service.get("depends_on", {})) <= set(services)
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert source in compose["volumes"] or source.startswith("${MMREC_SOURCES")
    assert "password" not in re.sub(r"\$\{\w+[^}]*\}|POSTGRES_PASSWORD", "", json.dumps(services)).lower(), (
        "secrets come from the environment"
    )
    words = services["prepare"]["command"]
    assert words[:4] == ["python", "-m", "mmrec_core", "prepare"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for copied in re.findall(r"requirements-\w+\.txt", dockerfile):
        assert (ROOT / copied).is_file()
    assert "USER 1000" in dockerfile


@pytest.mark.parametrize("workers", [1, 4])
def test_a_job_script_lints_and_says_what_was_asked(
    shared_home: Path, demo: Dataset, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    command = [
        sys.executable,
        "-m",
        "mmrec_core",
        "train",
        "demo",
        "mf",
        "--set",
        "lr=0.01",
        "--seed=3",
        "--workers",
        str(workers),
        "--slurm",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    script = done.stdout
    lint("shellcheck", "--shell", "bash", "-", given=script)
    assert script.startswith("#!/bin/bash\n") and f"#SBATCH --nodes={workers}\n" in script
    assert re.search(r"#SBATCH --time=\d\d:\d\d:00\n", script) and "#SBATCH --job-name=mmrec-demo-mf\n" in script
    assert "train demo mf --set lr=0.01 --seed=3 " in script and "--slurm" not in script
    assert ("symmetric-run" in script) == (workers > 1) and f"MMREC_HOME={shared_home}" in script
    assert script.count("--workers") == (workers > 1)
    resolved = re.search(r"-m mmrec_core (train .*)", script)
    assert resolved is not None
    names = {word.partition("=")[0] for word in resolved[1].split() if word.startswith("--")}
    compose = subprocess.run(
        [sys.executable, "-m", "mmrec_core", "train", "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert all(name in compose.stdout for name in names), "every option that it uses exists"


def test_a_smoke_test_of_this_machine_passes(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmrec_core", "smoke", "--workers", "1", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    checks = json.loads(done.stdout)["checks"]
    assert [c["passed"] for c in checks] == [True, True]
