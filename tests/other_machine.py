"""A stand-in for `ssh` that runs what it is told on this machine, or fails as others do."""

import os
import sys
from pathlib import Path

import pytest

_SSH = """#!/bin/sh
while [ "$1" != "--" ]; do shift; done
shift; host=$1; shift
echo "Welcome to $host"
case $host in
  gone) echo "ssh: Could not resolve hostname gone: Name or service not known" >&2; exit 255;;
  bare) PATH=/nothing exec /bin/sh -c "$*";;
  poor) python3() { echo "ModuleNotFoundError: No module named 'onnxruntime'" >&2; return 1; };;
  mute) exit 0;;
esac
eval "$*"
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put it on the path, and a python3 that has what this one has."""
    write(folder / "bin/python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    write(folder / "bin/ssh", _SSH)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
