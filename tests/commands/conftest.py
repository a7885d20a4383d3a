"""What the commands that look at results are tried on."""

from pathlib import Path

import pytest
import repository
import toy


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository on a branch of main, before it changes anything."""
    made = repository.make(tmp_path / "toy")
    toy.git(made, "switch", "--quiet", "--create", "topic")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def alike(folder: Path) -> Path:
    """The same, where base and branch were exported of the same training."""
    repository.write_training(folder, "a" * 64)
    toy.commit(folder, "Say which weights they are")
    toy.git(folder, "branch", "--force", "main")
    return folder
