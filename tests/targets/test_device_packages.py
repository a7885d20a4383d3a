from collections.abc import Mapping

import pytest

from slimline.errors import TargetError
from slimline.targets import device_packages

LOCK = "requirements-board.lock"
INSTALL = f"python -m pip install --no-deps --requirement {LOCK}"
TRIED = {"board": "1.5.1", "torch": "2.14.1"}


def refused(found: Mapping[str, str]) -> str:
    with pytest.raises(TargetError) as caught:
        device_packages.require(found, [TRIED], target="board", lock=LOCK)
    return str(caught.value)


def test_without_the_packages_the_command_is_told() -> None:
    assert INSTALL in refused(TRIED | {"board": ""})


def test_another_torch_is_refused() -> None:
    told = refused(TRIED | {"torch": "2.13.0"})
    assert "tried with board 1.5.1 and torch 2.14.1" in told
    assert "installed are board 1.5.1 and torch 2.13.0" in told
    assert INSTALL in told


def test_what_was_tried_is_taken() -> None:
    device_packages.require(dict(TRIED), [TRIED], target="board", lock=LOCK)


def test_versions_are_without_what_names_a_build() -> None:
    found = device_packages.versions("torch", "no-such-package")
    assert "+" not in found["torch"]
    assert found["no-such-package"] == ""


def test_releases_are_told_as_a_sentence() -> None:
    assert device_packages.told({"a": "1", "b": "2", "c": "3"}) == "a 1, b 2 and c 3"
