from typing import Any

import pytest
import toy

from slimline import params
from slimline.report import limits
from slimline.report.gates import GatesParams


def held(here: dict[str, Any], base: dict[str, Any]) -> tuple[GatesParams, list[str]]:
    """What is judged by, and the keys that are looser here, of changes to the default."""
    default = params.read(toy.ROOT / "params.yaml")["gates"]
    ours = GatesParams.model_validate(default | here)
    theirs = params.flat({"gates": default | base})
    found = limits.hold(ours, theirs)
    return found.settings, [each.key for each in found.loosened]


@pytest.mark.parametrize(
    ("key", "here", "base", "judged_by", "is_looser"),
    [
        ("max_top1_drop", 2, 0.5, 0.5, True),
        ("max_top1_drop", 0.1, 0.5, 0.1, False),
        ("max_top1_drop", "none", 0.5, 0.5, True),
        ("max_top1_drop", 2, "none", 2, False),
        ("min_speedup", 1, 5, 5, True),
        ("min_speedup", 9, 5, 9, False),
        ("burden", "refute", "prove", "prove", True),
        ("burden", "prove", "refute", "prove", False),
        ("confidence", 99, 95, 95, True),
        ("confidence", 80, 95, 95, False),
    ],
)
def test_of_each_limit_the_stricter_holds(
    key: str, here: Any, base: Any, judged_by: Any, is_looser: bool
) -> None:
    settings, looser = held({key: here}, {key: base})
    assert getattr(settings, key) == judged_by
    assert looser == ([key] if is_looser else [])


def test_to_prove_less_surely_is_looser() -> None:
    assert held({"burden": "prove", "confidence": 80}, {"burden": "prove"})[1] == ["confidence"]


def test_an_older_base_lacks_keys() -> None:
    default = params.read(toy.ROOT / "params.yaml")["gates"]
    theirs = params.flat({"gates": default | {"max_old": 3}})
    del theirs["gates.burden"], theirs["gates.min_int8_macs"]
    found = limits.hold(GatesParams.model_validate(default), theirs)
    assert (found.settings.min_int8_macs, found.loosened) == (90, [])


def test_a_wrong_limit_of_the_base_is_named() -> None:
    with pytest.raises(ValueError, match=r"the base's params.yaml: gates.max_top1_drop: must be"):
        held({}, {"max_top1_drop": "banana"})
