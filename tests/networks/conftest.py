"""What tests of any network need: a user's own in own/mine.py, and images."""

import sys
from pathlib import Path

import pytest
import toy

from slimline.data.split_files import Split
from slimline.networks import backbones


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where `own.mine` stands, which each test writes anew."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own", "own.mine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    backbones.find.cache_clear()
    return tmp_path / "own" / "mine.py"


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Return grey images of the toy set."""
    return toy.splits(tmp_path_factory.mktemp("raw"), validation_images=40)["validation"]
