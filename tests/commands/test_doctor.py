"""A network that nobody has seen is taken the whole way, or told where it stops."""

import re
import shutil
from pathlib import Path

import own_folder
import pytest
import toy

from slimline.__main__ import main
from slimline.doctor import network as doctor
from slimline.measure import interleaved

STEPS = ["builds", "trains", "prunes", "reloads", "exports", "quantizes", "int8 file", "gains"]

OWN = """
import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.shares = nn.Conv2d(channels, channels, 1)

    def forward(self, maps):
        return maps * torch.sigmoid(self.shares(maps.mean((2, 3), keepdim=True)))


class Mine(nn.Module):
    def __init__(self, num_classes, in_channels, looks=False):
        super().__init__()
        self.looks = looks
        self.begin = nn.Conv2d(in_channels, 32, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(32)
        self.bend = nn.PReLU(32)
        self.narrow = nn.Conv2d(32, 32, 3, padding=1)
        self.gate = Gate(32)
        self.answer = nn.Linear(32, num_classes)

    def forward(self, images):
        maps = self.bend(self.norm(self.begin(images)))
        if self.looks and maps.sum() > 1e9:
            return self.answer(maps.amax((2, 3)))
        maps = maps + self.gate(self.narrow(maps))
        return self.answer(maps.mean((2, 3)))


def build(num_classes, in_channels):
    return Mine(num_classes, in_channels)


# Without statistics of its own, BatchNorm hands on a hundredth of what it is given.
class Deep(nn.Module):
    def __init__(self, num_classes, in_channels, share):
        super().__init__()
        self.share = share
        layers = []
        for channels in [in_channels, 8, 8, 8]:
            layers += [nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)]
            layers += [nn.ReLU()]
            nn.init.normal_(layers[-3].weight, std=0.001)
        self.layers = nn.Sequential(*layers)
        self.answer = nn.Linear(8, num_classes)

    def forward(self, images):
        return self.answer(self.share * self.layers(images).mean((2, 3)))


def deep(num_classes, in_channels):
    return Deep(num_classes, in_channels, 1.0)


def faint(num_classes, in_channels):
    return Deep(num_classes, in_channels, 0.0001)


def silent(num_classes, in_channels):
    network = Mine(num_classes, in_channels)
    nn.init.zeros_(network.answer.weight)
    return network


class Darkening(Mine):
    def forward(self, images):
        images -= 0.4
        return super().forward(images)


def darkening(num_classes, in_channels):
    return Darkening(num_classes, in_channels)


def looking(num_classes, in_channels):
    return Mine(num_classes, in_channels, looks=True)
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository with a network in `own/`."""
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(toy.ROOT / name, tmp_path)
    own_folder.make(tmp_path, monkeypatch, mine=OWN)


def lines(printed: str) -> dict[str, tuple[str, str]]:
    """Verdict and text of each thing that was looked at."""
    found = [re.split(r"  +| (?=yes|NO|-)", each, maxsplit=1) for each in printed.splitlines()]
    return {name: tuple(rest.split(maxsplit=1)) for name, rest in found}  # type: ignore[misc]


def test_an_own_network_goes_the_whole_way(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "own.mine:build", "--size", "16", "--classes", "3"])
    found = lines(capsys.readouterr().out)
    assert list(found) == STEPS
    assert {verdict for verdict, _ in found.values()} == {"yes"}, found
    assert code == 0
    assert "stem begin, head answer" in found["builds"][1]
    assert re.match(r"to [5-7]\d % of the MACs", found["prunes"][1])
    assert "of the MACs in int8" in found["int8 file"][1]
    assert "times as fast as its float file" in found["gains"][1]


def test_what_does_not_hold_is_told_and_what_can_be_tried_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where a network goes depends on its numbers: no graph can be drawn of that."""
    assert main(["doctor", "own.mine:looking", "--size", "16"]) == 1
    found = lines(capsys.readouterr().out)
    assert [found[name][0] for name in ("builds", "trains", "prunes")] == ["yes", "yes", "NO"]
    assert "decides by what it is given" in found["prunes"][1]
    assert found["prunes"][1].endswith("leave it whole, and the rest goes on")
    assert found["quantizes"][1].endswith("can be written otherwise there")
    assert found["gains"] == ("-", "not tried: it needs what failed before")


def test_images_are_left_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A teacher and its pupil are given the same ones."""
    assert main(["doctor", "own.mine:darkening", "--size", "16"]) == 1
    verdict, told = lines(capsys.readouterr().out)["builds"]
    assert verdict == "NO"
    assert "own.mine:darkening: changes its images in place" in told


def test_a_network_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "torchvision:regnet_x_400"]) == 2
    assert "did you mean regnet_x_400mf" in capsys.readouterr().err


def test_the_machine_and_its_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    found = lines(capsys.readouterr().out)
    assert list(found) == [
        "python",
        "packages",
        "executorch",
        "litert",
        "cpu",
        "threads",
        "accelerator",
    ]


def test_a_package_of_another_version_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("pyproject.toml")
    path.write_text(path.read_text().replace('"torchao==0.18.0"', '"torchao==0.99.0"'))
    assert main(["doctor"]) == 1
    verdict, told = lines(capsys.readouterr().out)["packages"]
    assert verdict == "NO"
    assert told.startswith("torchao is 0.18.0, not 0.99.0: other versions give other bytes")


@pytest.mark.parametrize(
    ("name", "sees_its_image"), [("deep", True), ("silent", True), ("faint", False)]
)
def test_files_are_compared_on_answers_that_depend_on_the_image(
    name: str, sees_its_image: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """BatchNorm that has seen nothing, and a head of zeros, hide all faults before them."""
    main(["doctor", f"own.mine:{name}", "--size", "16"])
    verdict, told = lines(capsys.readouterr().out)["int8 file"]
    assert verdict == "yes"
    assert ("hardly sees its image" not in told) == sees_its_image


@pytest.mark.parametrize(("int8", "is_slower"), [(0.8, False), (1.25, True)])
def test_it_says_what_to_do_where_int8_is_slower(
    int8: float, is_slower: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interleaved, "block", lambda *_, **__: {"float": [1.0], "int8": [int8]})
    patient = doctor._Patient("own.mine:build", [doctor._noise(8, 3, 2)], None, tmp_path)
    patient.float_file = patient.int8_file = tmp_path / "model.onnx"
    told = doctor._time(patient)
    assert told.figures == {"faster": 1 / int8}
    assert ("quantization.mixed.only_faster: true" in told.text) == is_slower


@pytest.mark.parametrize("option", ["--size=0", "--size=-5", "--classes=1", "--classes=x"])
def test_a_number_that_can_be_none_is_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "resnet18", option])
    assert stopped.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_a_folder_without_settings_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").unlink()
    assert main(["doctor", "mobilenet_v3_small"]) == 2
    told = capsys.readouterr()
    assert told.err == "params.yaml: the file is missing\n"
    assert not told.out
