"""Which files of the repository a stage imports, at any depth: read with ast, nothing is run."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


def closure(script: Path, root: Path = ROOT) -> set[Path]:
    """Return every file of ours that a script needs, itself included, relative to the root.

    Imports inside functions count; those under `if TYPE_CHECKING` do not, nothing runs them.
    """
    found: set[Path] = set()
    pending = [script]
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += [each for each in _imported(path, root) if each not in found]
    return found


def _imported(path: Path, root: Path) -> Iterator[Path]:
    for module in _modules(ast.parse((root / path).read_text(encoding="utf-8")).body):
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            stem = Path(*parts[:depth])
            for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
                if (root / candidate).is_file():
                    yield candidate


def _modules(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import):
                yield from (alias.name for alias in inner.names)
            elif isinstance(inner, ast.ImportFrom) and inner.module:
                yield from (f"{inner.module}.{alias.name}" for alias in inner.names)
