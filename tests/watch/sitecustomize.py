"""Notes every file of ours that a stage opens: byte code, source, templates, whoever asks.

Python runs this first in every process where this folder is on PYTHONPATH, workers included. An
audit hook cannot be taken off, and what is written at once survives however a process ends.
"""

import os
import sys
from pathlib import Path

_TARGET, _STAGE = os.environ.get("WATCH_TARGET"), os.environ.get("DVC_STAGE")
_FOLDERS = ("slimline", "stages", "own")

if _TARGET and _STAGE:
    _root = Path.cwd()
    _log = os.open(
        Path(_TARGET, f"{_STAGE.partition('@')[0]}.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    )

    def _note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            path = Path(arguments[0])
            if path.is_absolute() and path.is_relative_to(_root):
                path = path.relative_to(_root)
            if path.parts[:1] and path.parts[0] in _FOLDERS:
                if "__pycache__" in path.parts:  # written under a passing name, then renamed
                    path = path.parent.parent / f"{path.name.partition('.')[0]}.py"
                os.write(_log, f"{path.as_posix()}\n".encode())

    sys.addaudithook(_note)
