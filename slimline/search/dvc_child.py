"""DVC as a child of a search: `python -m slimline.search.dvc_child PARENT exp run ...`.

It dies with the search, and its stages with it, so that after `kill -9` nothing writes on. PARENT
is the number of the search's process; this one leads a group of its own.
"""

import ctypes
import os
import signal
import sys
import time
from threading import Thread

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """See to it that this process and its group end when the parent does, or has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os.killpg(0, signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    # Takes a second, in which the parent may die.
    from dvc.cli import main

    sys.exit(main(sys.argv[2:]))
