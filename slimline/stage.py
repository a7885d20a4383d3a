"""How a stage script is run: arguments are paths, mistakes are one sentence, no orphan survives."""

import ctypes
import gc
import inspect
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

from slimline.errors import SlimlineError

_PR_SET_PDEATHSIG = 1


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments as paths, and exit.

    Exit codes: 0 done; 2 a mistake of the user, told in one sentence; a bug ends in a traceback.
    `dvc repro` makes 255 of any that is not 0.
    """
    _die_with_parent()
    gc.freeze()
    gc.enable()
    # A class may have a name that a terminal or log cannot show.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        arguments = [Path(argument) for argument in sys.argv[1:]]
        inspect.signature(main).bind(*arguments)
    except TypeError as error:
        names = " ".join(inspect.signature(main).parameters)
        sys.exit(f"usage: python -m {main.__module__} {names}\nerror: {error}")
    try:
        main(*arguments)
    except SlimlineError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when DVC dies: no stage writes behind its back."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_stage() -> bool:
    """Return whether this process runs a stage, and not something that imports one."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return module is not None and module.name.startswith("stages.")


# Stages import this before torch, which takes seconds, in which DVC may die as well.
if _is_stage():
    _die_with_parent()
    # Modules stay, but Python would look for garbage in them again and again: `run` begins it.
    gc.disable()
