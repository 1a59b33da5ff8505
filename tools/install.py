"""Install requirements into the running environment; where there is no NVIDIA GPU, try PyTorch's small CPU build first.

The CPU build saves several gigabytes. If its index cannot be reached quickly, the default build is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
WAIT_S = 5


def pip(*words: str) -> int:
    """Run pip in this environment and return its exit status."""
    return subprocess.call([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *words])


def torch_pins(files: list[str]) -> list[str]:
    """The lines that pin torch and its companions."""
    lines = [line.strip() for file in files for line in Path(file).read_text(encoding="utf-8").splitlines()]
    nested = [line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    own = [line for line in lines if line.startswith(("torch==", "torchvision=="))]
    return own + (torch_pins(nested) if nested else [])


def installed(pins: list[str]) -> bool:
    """Whether exactly these versions are installed."""
    from importlib import metadata

    for pin in pins:
        name, _, version = pin.partition("==")
        try:
            if metadata.version(name).split("+")[0] != version:
                return False
        except metadata.PackageNotFoundError:
            return False
    return True


def main(files: list[str]) -> int:
    """Install all requirements of the files."""
    pins = torch_pins(files)
    if not installed(pins) and shutil.which("nvidia-smi") is None and sys.platform != "darwin":
        print("No NVIDIA GPU found: trying PyTorch's CPU build …", flush=True)
        if pip("--quiet", "--retries", "0", "--timeout", str(WAIT_S), "--index-url", CPU_INDEX, *pins) != 0:
            print("Not reachable: installing the default build instead.", flush=True)
    return pip("--quiet", *[word for file in files for word in ("-r", file)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
