"""``python -m inferatlas``: the command line."""

import sys

from inferatlas.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
