"""What a user's own code ends in, in a sentence: `build` and `forward` may raise anything."""

import traceback
from pathlib import Path

FOLDER = "own"
"""Where it lies."""

_PLAIN = (RuntimeError, ValueError, TypeError, AssertionError, IndexError)
"""What torch raises, and says in its text what is wrong."""


def told(error: Exception) -> str:
    """Return the first line of what an exception says, its kind, and where in `own/` it arose.

    The kind is left out where it is one that torch raises with a text of its own.
    """
    kind, lines = type(error).__name__, str(error).strip().splitlines()
    text = lines[0] if lines else ""
    said = text if text and isinstance(error, _PLAIN) else f"{kind}: {text}" if text else kind
    root = Path.cwd()
    inside = [
        (Path(frame.filename).relative_to(root), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(root / FOLDER)
    ]
    if not inside:
        return said
    path, line = inside[-1]
    return f"{said} ({path.as_posix()}, line {line})"
