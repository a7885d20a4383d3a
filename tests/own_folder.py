"""A folder `own/` with a user's network in it, where the tests run."""

import sys
from pathlib import Path

import pytest

from slimline.networks import backbones


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Go to a folder and write modules into its `own/`, by name; they can be imported there."""
    (folder / "own").mkdir()
    for name, content in {"__init__": "", **modules}.items():
        (folder / "own" / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, f"own.{name}", raising=False)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    backbones.find.cache_clear()
