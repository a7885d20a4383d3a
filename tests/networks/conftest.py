"""What tests of any network need: a user's own in own/mine.py, and images."""

from pathlib import Path

import own_folder
import pytest
import toy

from slimline.data.split_files import Split


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where `own.mine` stands, which each test writes anew."""
    own_folder.make(tmp_path, monkeypatch, mine="")
    return tmp_path / "own" / "mine.py"


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Return grey images of the toy set."""
    return toy.splits(tmp_path_factory.mktemp("raw"), validation_images=40)["validation"]
