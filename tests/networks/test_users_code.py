"""What a user's code raises is said in a line, with the place in `own/` where it arose."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from slimline.networks import users_code

TEXT = """
def plain():
    raise ValueError("images of 30 pixels\\n\\nand much more")


def missing():
    return {64: 2}[96]


def silent():
    raise AssertionError
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Exception]:
    path = tmp_path / "own" / "mine.py"
    path.parent.mkdir()
    path.write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def raised(name: str) -> Exception:
        with pytest.raises((ValueError, KeyError, AssertionError)) as found:
            getattr(module, name)()
        return found.value

    return raised


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plain", "images of 30 pixels (own/mine.py, line 3)"),
        ("missing", "KeyError: 96 (own/mine.py, line 7)"),
        ("silent", "AssertionError (own/mine.py, line 11)"),
    ],
)
def test_what_it_says_and_where(name: str, told: str, mine: Callable[[str], Exception]) -> None:
    assert users_code.told(mine(name)) == told


def test_without_a_place_where_it_arose_in_a_library() -> None:
    assert users_code.told(RuntimeError("no such size")) == "no such size"
