"""dlx beside PyTorch and the machine's limits, row by row: the same as `dlx bench`.

python benchmarks/compare.py [--only TEXT] [--threads N] [--rounds 7] [--full] [--save DIR]
"""

import sys

from dlx import cli

if __name__ == "__main__":
    sys.exit(cli.main(["bench", *sys.argv[1:]]))
