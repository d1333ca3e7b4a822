"""python -m dlx: the `dlx` command."""

from __future__ import annotations

import sys

from dlx.cli import main

__all__ = []

if __name__ == "__main__":
    sys.exit(main())
