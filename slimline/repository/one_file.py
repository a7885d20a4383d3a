"""The `predict.py` of a package: one file that needs nothing of ours, of our own code."""

import ast
from pathlib import Path

from slimline import data, targets

_SHIPPED = Path("onnxruntime", "shipped_predict.py")
_INLINED = "preprocessing"


def predict_source() -> str:
    """Return `shipped_predict.py`, what it imports of ours put in the place of the import.

    So a packaged model prepares its images by the very code that it was evaluated with.
    """
    shipped = (Path(targets.__path__[0]) / _SHIPPED).read_text(encoding="utf-8")
    inlined = (Path(data.__path__[0]) / f"{_INLINED}.py").read_text(encoding="utf-8")
    lines = shipped.splitlines()
    (own,) = (
        node
        for node in ast.parse(shipped).body
        if isinstance(node, ast.ImportFrom) and node.module == f"slimline.data.{_INLINED}"
    )
    assert own.end_lineno is not None
    before, after = lines[: own.lineno - 1], lines[own.end_lineno :]
    return "\n".join([*before, *_without_docstring(inlined), *after]) + "\n"


def _without_docstring(source: str) -> list[str]:
    """Return the lines of a module after its docstring."""
    end = ast.parse(source).body[0].end_lineno
    assert end is not None
    return source.splitlines()[end:]
