from unittest import mock

import pytest

from slimline.errors import TargetError
from slimline.targets import device_packages
from slimline.targets.litert import installed


def refused(changes: dict[str, str]) -> str:
    found = installed._TRIED[0] | changes
    with (
        mock.patch.object(installed, "versions", return_value=found),
        pytest.raises(TargetError) as caught,
    ):
        installed.require()
    return str(caught.value)


@pytest.mark.parametrize("missing", ["ai-edge-litert", "litert-converter", "litert-torch"])
def test_without_the_packages_the_command_is_told(missing: str) -> None:
    told = refused({missing: ""})
    assert "target litert needs packages that are not installed" in told
    assert "python -m pip install --no-deps --requirement requirements-litert.lock" in told


def test_another_torch_is_refused() -> None:
    told = refused({"torch": "2.13.0"})
    assert "litert-torch 0.10.0 and torch 2.14.1; installed are" in told


def test_a_file_runs_without_what_writes_it() -> None:
    found = {"ai-edge-litert": "9.0"}
    with mock.patch.object(device_packages, "versions", return_value=found):
        installed.require_interpreter()


def test_no_file_runs_without_litert() -> None:
    with (
        mock.patch.object(device_packages, "versions", return_value={"ai-edge-litert": ""}),
        pytest.raises(TargetError, match=r"requirements-litert\.lock"),
    ):
        installed.require_interpreter()
