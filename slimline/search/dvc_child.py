"""DVC as a child of a search: `python -m slimline.search.dvc_child exp run ...`.

It dies with the search, and its stages with it, so that after `kill -9` nothing writes on.
"""

import ctypes
import signal
import sys

from dvc.cli import main

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.exit(main(sys.argv[1:]))
