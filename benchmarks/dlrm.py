"""Training speed on Criteo rows against the reference's script, and memory of streaming; ratios measured in one run.

    python -m benchmarks.dlrm [--reference FOLDER] [--rows N]

The same generated rows, network (bottom 13-64-16, top 64-1, width 16), batch (2,048) and threads on both sides: ours
by the trainer that every run uses, theirs by ``dlrm_s_pytorch.py`` of facebookresearch/dlrm (``--reference`` names a
checkout; without one it is left out). Then the peak memory of reading and training on 500,000 and on 5,000,000 rows,
each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BATCH, BOTTOM, TOP, DIM = 2048, "64", "64", 16
TARGET_SPEED, TARGET_MEMORY = 3.0, 1.2

TRAIN = """
import sys, json, resource, torch
from mmrec_core.data.preparation import open_dataset
from mmrec_core.data.splits import make_split
from mmrec_core.training.fit import fit
torch.set_num_threads(int(sys.argv[2]))
data = open_dataset(sys.argv[1])
how = dict(batch_size={batch}, bottom='{bottom}', top='{top}', dim={dim}, dropout=0.0, l2=0.0, bins=0,
           max_epochs=int(sys.argv[3]), patience=0, device='cpu', weight_decay=0.0)
done = fit('dlrm', data, make_split(data, 'official'), options=how)
print(json.dumps(dict(samples_s=max(e['samples_s'] for e in done.epochs), loss=done.epochs[-1]['loss'],
                      tables=sum(p.numel() for p in done.model.tables.parameters()),
                      peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
""".format(batch=BATCH, bottom=BOTTOM, top=TOP, dim=DIM)  # noqa: UP032

PREPARE = """
import sys, json, resource
from mmrec_core.data.preparation import prepare
prepare('criteo-generated', name=sys.argv[1], options={'rows': int(sys.argv[2]), 'buckets': 65536})
print(json.dumps(dict(peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
"""


def here(code: str, *args: str, home: Path) -> dict[str, float]:
    """Run code in a fresh process and read its last line."""
    env = {**os.environ, "MMREC_HOME": str(home), "PYTHONPATH": str(ROOT), "MMREC_MLFLOW": "off"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *args], capture_output=True, text=True, env=env, cwd=ROOT
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    args: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return args


def reference(folder: Path, rows: int, threads: int, work: Path) -> float:
    """Samples per second of the reference's script on the same rows: its own steps, after its own reading."""
    from mmrec_core.data.datasets.criteo_generated import write_rows

    raw = work / "train.txt"
    write_rows(raw, rows, 1, lambda *_: None)
    shim = work / "shim"
    shim.mkdir()
    # what the script imports for exporting, for MLPerf's and TensorBoard's logs, and does not use here
    (shim / "sitecustomize.py").write_text(
        "import importlib.machinery, sys, types\n"
        "class Nothing:\n"
        "    def __init__(self, *a, **k): pass\n"
        "    def __call__(self, *a, **k): pass\n"
        "    def __getattr__(self, name): return lambda *a, **k: None\n"
        "for name in ('onnx', 'mlperf_logger', 'torch.utils.tensorboard'):\n"
        "    made = types.ModuleType(name)\n"
        "    made.__spec__ = importlib.machinery.ModuleSpec(name, None)\n"
        "    made.SummaryWriter, made.__file__ = Nothing, __file__\n"
        "    for log in ('log_start', 'log_end', 'log_event', 'barrier', 'mlperf_submission_log', 'constants'):\n"
        "        setattr(made, log, Nothing())\n"
        "    sys.modules[name] = made\n"
    )
    text = (folder / "dlrm_s_pytorch.py").read_text()
    script = work / "dlrm_reference.py"
    script.write_text(text.replace("use_cuda=use_gpu, ", ""))  # an argument that today's profiler does not know
    env = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([str(shim), str(folder)]),
    }
    wanted = [
        sys.executable,
        "-W",
        "ignore",
        str(script),
        f"--arch-sparse-feature-size={DIM}",
        f"--arch-mlp-bot=13-{BOTTOM}-{DIM}",
        f"--arch-mlp-top={TOP}-1",
        "--data-generation=dataset",
        "--data-set=kaggle",
        f"--raw-data-file={raw}",
        "--loss-function=bce",
        "--round-targets=True",
        "--learning-rate=0.1",
        f"--mini-batch-size={BATCH}",
        "--print-freq=20",
        "--print-time",
        "--nepochs=2",
        "--max-ind-range=-1",
    ]
    done = subprocess.run(wanted, capture_output=True, text=True, env=env, cwd=work)
    steps = [float(ms) for ms in re.findall(r"([\d.]+) ms/it", done.stdout)]
    if not steps:
        raise SystemExit(f"The reference printed no timings:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    return BATCH / min(steps) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, help="a checkout of facebookresearch/dlrm")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-memory", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        here(PREPARE, "speed", str(args.rows), home=work / "home")
        ours = here(TRAIN, "speed", str(args.threads), "3", home=work / "home")
        print(
            f"ours: {ours['samples_s']:,.0f} samples/s ({args.rows:,} rows, {ours['tables']:,.0f} numbers in tables, "
            f"batch {BATCH}, {args.threads} thread)"
        )
        if args.reference is not None:
            theirs = reference(args.reference.resolve(), args.rows, args.threads, work)
            print(
                f"facebookresearch/dlrm: {theirs:,.0f} samples/s; ours / theirs {ours['samples_s'] / theirs:.2f} "
                f"(target ≥ {TARGET_SPEED})"
            )
        if args.no_memory:
            return
        peaks: dict[str, list[float]] = {"reading": [], "training": []}
        for n in (500_000, 5_000_000):
            peaks["reading"].append(here(PREPARE, f"rows-{n}", str(n), home=work / "home")["peak_mib"])
            peaks["training"].append(here(TRAIN, f"rows-{n}", str(args.threads), "1", home=work / "home")["peak_mib"])
        for what, (small, large) in peaks.items():
            print(
                f"peak memory of {what}: {small:,.0f} MiB at 500,000 rows, {large:,.0f} MiB at 5,000,000: "
                f"{large / small:.2f} × (target ≤ {TARGET_MEMORY})"
            )


if __name__ == "__main__":
    main()
