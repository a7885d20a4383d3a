from unittest import mock

import pytest

from slimline.errors import TargetError
from slimline.targets.executorch import installed


def refused(executorch: str, torch: str) -> str:
    found = {"executorch": executorch, "torch": torch}
    with (
        mock.patch.object(installed, "versions", return_value=found),
        pytest.raises(TargetError) as caught,
    ):
        installed.require()
    return str(caught.value)


def test_without_the_packages_the_command_is_told() -> None:
    told = refused("", "2.14.1")
    assert "python -m pip install --no-deps --requirement requirements-executorch.lock" in told


def test_another_torch_is_refused() -> None:
    told = refused("1.5.1", "2.13.0")
    assert "tried with executorch 1.5.1 and torch 2.14.1" in told
    assert "installed are executorch 1.5.1 and torch 2.13.0" in told
