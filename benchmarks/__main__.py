"""The command: `python -m benchmarks` is `waypost bench`."""

import sys

from waypost.cli.__main__ import main

sys.argv[1:1] = ["bench"]
main()
