"""Which pins are asked for where; what pip answers is asked by hand, since it needs a network."""

import pytest
import toy

from tools import check_wheels

LOCK = """\
# Compiled.
common==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
older==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:cc
newer==3.0 ; python_full_version >= '3.12' and sys_platform == 'linux' \\
    --hash=sha256:dd
"""


def test_each_pin_has_its_hashes() -> None:
    pins = check_wheels.read_lock(LOCK)
    assert [sorted(pin.hashes) for pin in pins] == [["aa", "bb"], ["cc"], ["dd"]]


@pytest.mark.parametrize(
    ("python", "system", "names"),
    [
        ("3.11", "linux-x86_64", ["common", "older"]),
        ("3.12", "linux-aarch64", ["common", "newer"]),
        ("3.14", "macos-arm64", ["common"]),
    ],
)
def test_markers_are_those_of_the_other_machine(python: str, system: str, names: list[str]) -> None:
    pins = check_wheels.wanted(check_wheels.read_lock(LOCK), python, system)
    assert [pin.requirement.name for pin in pins] == names


@pytest.mark.parametrize("name", check_wheels.LOCKS)
def test_every_pin_of_the_lock_files_has_a_hash(name: str) -> None:
    pins = check_wheels.read_lock((toy.ROOT / name).read_text())
    assert len(pins) > 10
    assert [pin.requirement.name for pin in pins if not pin.hashes] == []
    assert [pin.requirement.name for pin in pins if len(pin.requirement.specifier) != 1] == []
