"""Convolutions beside PyTorch's, in turns: forward, input gradient, weight gradient of each row.

python benchmarks/convolution.py [part of a row's name]; `dlx bench` prints the same table.
"""

from __future__ import annotations

import sys

from dlx._bench import import_torch
from dlx._bench_conv import main

if __name__ == "__main__":
    main(import_torch(), *sys.argv[1:])
