import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kinds
import pytest
import toy
from safetensors.torch import save_file
from torch import Tensor, fx

from benchmarks import parity
from slimline.data import split_files
from slimline.data.split_files import ImageFiles
from slimline.errors import NetworkError, ParamsError, ParityError, PretrainedError, TargetError
from slimline.networks import backbones, classifier
from slimline.networks.architecture import Architecture
from slimline.targets.executorch import installed as executorch
from slimline.targets.litert import installed as litert
from slimline.targets.onnxruntime import exporter
from stages import check_networks

Check = Callable[..., bool]


@pytest.fixture(scope="module", params=kinds.KINDS)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prepared")
    split_files.save(root / "train", kinds.splits(request.param, root / "raw")["train"])
    return root / "train"


@pytest.fixture
def check(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check with values of `params.yaml` changed; return whether the marker was written."""
    shutil.copy(toy.ROOT / "params.yaml", tmp_path)
    shutil.copytree(toy.ROOT / "data" / "raw" / "pretrained", tmp_path / "pretrained")
    monkeypatch.chdir(tmp_path)

    def run(**changes: object) -> bool:
        values = {key.replace("__", "."): value for key, value in changes.items()}
        small = {"baseline_train.backbone": "shufflenet_v2_x0_5", "num_threads": 1}
        toy.set_params(tmp_path, small | values)
        check_networks.main(prepared, tmp_path / "pretrained", tmp_path / "networks.ok")
        return (tmp_path / "networks.ok").read_text() == "ok\n"

    return run


def test_the_default_is_feasible(check: Check) -> None:
    assert check()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"training__batch_size": 4000},
            "training.batch_size: must be at most {count}, as many images as there are to train on "
            "(given 4000)",
        ),
        ({"backbone_swap__frozen__batch_size": 4000}, "backbone_swap.frozen.batch_size: must be"),
        ({"prune__layers": {"stage9.*": 0}}, "prune.layers: 'stage9.*' is the name of no layer"),
        ({"quantization__mixed__float_layers": ["fd"]}, "'fd' is the name of no layer"),
    ],
)
def test_what_does_not_fit_is_told_before_training(
    changes: dict[str, object], told: str, check: Check, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParamsError) as refused:
        check(**changes)
    assert told.format(count=len(split_files.load(prepared))) in str(refused.value)
    assert not (tmp_path / "networks.ok").exists()


OWN = """
import torch
from torch import nn


class Own(nn.Module):
    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.conv(images).relu().mean((2, 3))
        return self.head(CHANGED)


def build(num_classes: int, in_channels: int) -> nn.Module:
    return Own(num_classes, in_channels)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the repository a network of its own, which changes its features in some way."""

    def write(changed: str) -> None:
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "__init__.py").touch()
        (tmp_path / "own" / "mine.py").write_text(OWN.replace("CHANGED", changed))
        backbones.find.cache_clear()
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("own", "own.mine"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def as_backbone(section: str) -> dict[str, str]:
    return {
        f"{section}__backbone": "own.mine:build",
        f"{section}__stem_stride": "keep",
        f"{section}__stem_kernel": "keep",
    }


def test_an_opset_that_lacks_an_operator_is_told_before_training(
    check: Check, own: Callable[[str], None]
) -> None:
    own("nn.functional.normalize(features)")
    swap = as_backbone("backbone_swap")
    assert check(**swap)
    assert check(**swap, int8_export__opset=15)
    with pytest.raises(
        ParamsError, match=r"int8_export\.opset: opset 14 has no operator .*; must be"
    ):
        check(**swap, int8_export__opset=14)


@pytest.mark.parametrize("section", ["baseline_train", "backbone_swap"])
def test_an_operator_that_onnx_lacks_is_told_before_training(
    section: str, check: Check, own: Callable[[str], None]
) -> None:
    own("torch.special.bessel_j0(features)")
    with pytest.raises(
        NetworkError, match=rf"{section}\.backbone: Own: has no ONNX form: .*bessel_j0"
    ):
        check(**as_backbone(section))


def test_a_target_that_no_width_reaches_is_told_before_training(
    check: Check, own: Callable[[str], None]
) -> None:
    own("features")
    swap = as_backbone("backbone_swap") | {"prune__channel_multiple": 1}
    assert check(**swap, prune__target__macs=0.5)
    with pytest.raises(ParamsError, match=r"prune\.target\.macs: must be at least 0\.1"):
        check(**swap, prune__target__macs=0.05)
    with pytest.raises(ParamsError, match=r"prune\.target\.macs: must be at least 1\.0"):
        check(prune__channel_multiple=8, prune__target__macs=0.5)


@pytest.mark.parametrize("target", ["executorch", "litert"])
def test_an_operator_that_a_target_lacks_is_told_before_training(
    target: str, check: Check, own: Callable[[str], None]
) -> None:
    if not all({"executorch": executorch, "litert": litert}[target].versions().values()):
        pytest.skip(f"the packages of {target} are not installed")
    own("torch.linalg.det(features.reshape(-1, 2, 2, 2)).repeat(1, 4)")
    swap = as_backbone("backbone_swap")
    assert check(**swap)
    with pytest.raises(TargetError, match=rf"device_export@{target}: .*linalg_det"):
        check(**swap, targets=[target])


def test_an_int8_file_that_answers_otherwise_is_told_before_training(
    check: Check, own: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = exporter.write

    def write(converted: fx.GraphModule, example: Tensor, path: Path, **options: Any) -> object:
        about = written(converted, example, path, **options)
        parity.planted(path, parity.weight_scale, path)
        return about

    own("features")
    swap = as_backbone("backbone_swap")
    assert check(**swap)
    # As where ONNX Runtime executes an operator of the network wrongly.
    monkeypatch.setattr(exporter, "write", write)
    with pytest.raises(ParityError, match=r"check_networks: fake-quant and .* part at layer"):
        check(**swap)


def test_what_litert_does_not_run_itself_is_told_before_training(
    check: Check, own: Callable[[str], None]
) -> None:
    """Its converter writes a sort, which its interpreter does not know."""
    if not all(litert.versions().values()):
        pytest.skip("the packages of litert are not installed")
    own("features.sort(1).values")
    with pytest.raises(TargetError, match=r"does not run what its own converter wrote: .*SORT"):
        check(**as_backbone("backbone_swap"), targets=["litert"])


def test_cuts_that_are_smaller_than_photos_are_stored_are_told(
    check: Check, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(training__augment__crop=0.35)
    assert check(training__augment__crop=0.08, data__store="original")
    assert "cuts" not in capsys.readouterr().out
    assert check(training__augment__crop=0.08, data__store="resized")
    told = "training.augment.crop: the smallest random cuts of large JPEGs are enlarged"
    is_of_photos = isinstance(split_files.load(prepared).images, ImageFiles)
    assert capsys.readouterr().out.count(told) == is_of_photos


def test_patterns_that_fit_are_no_mistake(check: Check) -> None:
    assert check(prune__layers={"layer2.*": 0}, quantization__mixed__float_layers=["fc"])


def test_a_checkpoint_for_the_swap_is_read_before_the_baseline_is_trained(
    check: Check, tmp_path: Path
) -> None:
    (tmp_path / "pretrained" / "mine").mkdir()
    other = classifier.make(Architecture("resnet18", 10, 1, 1, 3))
    save_file(other.state_dict(), tmp_path / "pretrained" / "mine" / "mine.safetensors")
    with pytest.raises(PretrainedError, match="was made for another network"):
        check(backbone_swap__pretrained="mine")
