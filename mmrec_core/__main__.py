"""``python -m mmrec_core``: the command line."""

from mmrec_core.cli.main import main

if __name__ == "__main__":
    main()
