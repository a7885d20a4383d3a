"""Names of `backbone` are checked without building anything."""

import runpy
from pathlib import Path

import pytest

from slimline.networks import backbone_names

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["resnet18", "torchvision:regnet_x_400mf", "timm:repvgg_a0"])
def test_a_name_that_is_there(name: str) -> None:
    assert backbone_names.check(name) == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnet99", "must be one of resnet8_w48, .* torchvision:<name>, timm:<name>, or own"),
        ("torchvision:resnet19", r"torchvision has no classifier resnet19; did you mean resnet18"),
        ("timm:nothing_like_it_at_all", "timm has no classifier"),
        ("own.mine", "must be torchvision:<name>"),
        ("own.mine:build", r"there is no file own/mine\.py"),
        ("elsewhere.mine:build", "must be in the folder own/"),
    ],
)
def test_a_name_that_is_not(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=told):
        backbone_names.check(name)


def test_own_networks_are_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(
        "1 / 0\n\n\ndef build(num_classes, in_channels): ...\n"
    )
    assert backbone_names.check("own.mine:build") == "own.mine:build"
    (tmp_path / "own" / "other.py").write_text("one, make = object(), partial(Net, width=32)\n")
    assert backbone_names.check("own.other:make") == "own.other:make"
    with pytest.raises(ValueError, match=r"own/mine\.py defines no make, but build"):
        backbone_names.check("own.mine:make")
    (tmp_path / "own" / "mine.py").write_text("def build(:\n")
    with pytest.raises(ValueError, match=r"own/mine\.py is no Python: line 1"):
        backbone_names.check("own.mine:build")


def test_the_names_are_those_of_the_installed_libraries() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "backbone_names.py"))
    assert tool["TARGET"].read_text() == tool["text"]()
