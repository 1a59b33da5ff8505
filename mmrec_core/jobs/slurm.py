"""Write a SLURM job script for a training run: on one machine, or on several with Ray."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrec_core import runs, settings

USUAL_HOURS = 4
"""Time limit of a job without earlier runs, in hours."""
MARGIN = 3
"""The time limit is this many times the duration of earlier runs: other machines are slower, and a job that reaches its
limit must be resumed."""


def script(params: Mapping[str, Any], words: Sequence[str], workers: int = 1) -> str:
    """The job script of a training run; submit it with ``sbatch``.

    Args:
        params: from :func:`mmrec_core.runs.training_params`.
        words: the command line after ``train``, without ``--slurm``, ``--background`` and ``--executor``.
        workers: processes that train together, one per machine.

    Returns:
        The script.
    """
    expected = runs.expected_seconds(params)
    minutes = USUAL_HOURS * 60
    if expected is not None:
        minutes = max(15, round(MARGIN * (expected["most"] or expected["seconds"]) / 60))
    gpu = runs.wants_gpu("train", params)
    name = f"mmrec-{params['dataset']}-{params['model']}"
    python = shlex.quote(sys.executable)
    command = f"{python} -m mmrec_core train {shlex.join(words)}"
    lines = [
        "#!/bin/bash",
        f"# {params['model']} on {params['dataset']}: submit with sbatch. All machines must share MMREC_HOME.",
        "# Resume an interrupted job with: python -m mmrec_core resume RUN.",
        f"#SBATCH --job-name={name}",
        f"#SBATCH --output={name}-%j.log",
        f"#SBATCH --nodes={workers}",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=32G",
        f"#SBATCH --time={minutes // 60:02d}:{minutes % 60:02d}:00",
        *(["#SBATCH --gpus-per-node=1"] if gpu else []),
        "#SBATCH --signal=B:TERM@60",
        "",
        "set -euo pipefail",
        f"cd {shlex.quote(str(settings.ROOT))}",
        f"export MMREC_HOME={shlex.quote(str(settings.home()))} MMREC_MLFLOW=off",
        'export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-8}"',
        'export MMREC_HOST="job-$SLURM_JOB_ID"  # jobs share no devices',
    ]
    if settings.sources():
        lines.append(f"export MMREC_SOURCES={shlex.quote(':'.join(map(str, settings.sources())))}")
    if workers == 1:
        lines += [f"exec srun {command} --executor local --json"]
    else:
        lines += [
            f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
            "RAY_AUTH_TOKEN=\"$(python -c 'import secrets; print(secrets.token_hex(32))')\"",
            "export RAY_AUTH_TOKEN RAY_AUTH_MODE=token",
            'head="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
            'export RAY_ADDRESS="$head:6379" RAY_USAGE_STATS_ENABLED=0',
            'exec srun ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_JOB_NUM_NODES" -- '
            f"{command} --executor ray --workers {workers} --json",
        ]
    return "\n".join(lines) + "\n"
