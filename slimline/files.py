"""How files are written and read: JSON and tables that diff cleanly, folders all at once."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DIGITS = 6
"""Figures keep this many digits behind the point; small ones keep as many that count."""

_NOISE_DIGITS = 12
"""What begins behind this digit is float noise."""

_PARTIAL = ".partial"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping with sorted keys, two spaces, rounded floats and a final newline."""
    text = json.dumps(_rounded(content), indent=2, sort_keys=True, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], header: Sequence[str] = ()) -> None:
    """Write rows of the same keys, tab-separated under a header, as `dvc plots` reads them.

    `header` is needed where there may be no row.
    """
    header = header or list(rows[0])
    lines = [header, *([str(_rounded(row[key])) for key in header] for row in rows)]
    write_text(path, "".join("\t".join(line) + "\n" for line in lines))


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table that `write_table` wrote, each cell as it stands."""
    header, *lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [dict(zip(header, cells, strict=True)) for cells in lines]


def write_text(path: Path, text: str) -> None:
    """Write a text file at once: whoever reads it sees the old content or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends without an exception.

    A folder that a killed run left behind is removed first. A process whose parent has died does
    not replace anything: another run may already have begun.

    Raises:
        RuntimeError: the parent process died meanwhile.
    """
    parent = os.getppid()
    partial = target.with_name(f".{target.name}{_PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial)
        raise
    if os.getppid() != parent:
        raise RuntimeError(f"the process that started this stage died: {target} is left alone")
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        if abs(value) < 1:
            return float(f"{round(value, _NOISE_DIGITS):.{DIGITS}g}")
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
