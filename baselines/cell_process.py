"""A cell's process: `python -m algorithms.run` that dies with the comparison that started it.

    python -m baselines.cell_process PARENT aepo --env web --run-dir ...

Killed in any way, a comparison leaves no training behind that would hold its run directory; the run itself is resumed
when the comparison is started again.
"""

import ctypes
import os
import signal
import sys

from algorithms.run import main

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)

if __name__ == "__main__":
    ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):  # it died before this process could ask
        sys.exit(1)
    sys.exit(main(sys.argv[2:]))
