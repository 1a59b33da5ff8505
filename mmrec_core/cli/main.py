"""Entry point of the command line: loads all commands and prints errors."""

from __future__ import annotations

import importlib
import logging
import sys

from mmrec_core.cli.options import app
from mmrec_core.errors import MMRecError

for _group in ("data", "encode", "train", "evaluate", "runs", "serve"):  # in the order of --help
    importlib.import_module(f"mmrec_core.cli.{_group}")


def main() -> None:
    """Run a command; known errors are printed as one line on standard error, with exit code 2."""
    from mmrec_core.settings import silence_telemetry

    silence_telemetry()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except MMRecError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
