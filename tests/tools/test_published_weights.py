"""Weights of a library, from its own cache: nothing is downloaded."""

from pathlib import Path

import pytest
import torch
import torchvision
import toy

from slimline.data.split_files import Split
from slimline.errors import PretrainedError
from slimline.networks import backbones, classifier, pretrained, published
from slimline.networks.settings import ModelParams
from tools import published_weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which torch looks for weights before it downloads them.

    Random networks hardly look at their images, so that less must differ than with real weights.
    """
    monkeypatch.setattr(published_weights, "TOLERANCE", 1e-5)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def put(name: str, cache: Path, **arguments: bool) -> None:
    """Let torchvision have published a network with these random weights."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, **arguments)
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    torch.save(network.state_dict(), cache / url.rpartition("/")[2])


def test_torchvision(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("mnasnet0_5", cache)
    put("googlenet", cache, init_weights=False)
    names = ["torchvision:mnasnet0_5", "torchvision:googlenet"]
    assert published_weights.main(names) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", by")[0] for line in lines if "of the spread" in line] == [
        "torchvision:mnasnet0_5: same",
        "torchvision:googlenet: same",
    ]


def test_another_normalisation_is_seen(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GoogLeNet brings ImageNet's normalisation to another one before its first layer."""
    put("googlenet", cache, init_weights=False)
    monkeypatch.setattr(published, "_NORMALISING", set())
    backbones.find.cache_clear()
    assert published_weights.main(["torchvision:googlenet"]) == 1
    backbones.find.cache_clear()
    assert "torchvision:googlenet: DIFFERS" in capsys.readouterr().out


def test_timm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import timm

    torch.manual_seed(0)
    tensors = timm.create_model("lcnet_050").state_dict()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: tensors)
    assert published_weights.main(["timm:lcnet_050"]) == 0
    assert "timm:lcnet_050: same, by" in capsys.readouterr().out


def built(split: Split, folder: Path, name: str, **changes: object) -> classifier.Classifier:
    settings = {
        "backbone": name, "pretrained": "imagenet", "stem_stride": "keep", "stem_kernel": "keep",
        "activation": "keep",
    }  # fmt: skip
    return classifier.build(ModelParams(**settings | changes), split, folder)  # type: ignore[arg-type]


def test_what_fits_is_recorded(cache: Path, tmp_path: Path) -> None:
    put("mnasnet0_5", cache)
    split = toy.splits(tmp_path / "raw")["validation"]
    found = built(split, tmp_path, "torchvision:mnasnet0_5")
    origin = dict(found.pretrained or {})
    assert origin.pop("source").startswith("torchvision: mnasnet0_5, IMAGENET1K_V1, https://")
    assert origin == {
        "licence": "BSD-3-Clause",
        "image_size": 224,
        "crop": 224 / 256,
        "num_bytes": 8_956_960,
        "matched": 311,
        "resized": {"layers.0.weight": "[16, 3, 3, 3] -> [16, 1, 3, 3]"},
        "left_out": {},
        "random": ["classifier.1.weight", "classifier.1.bias"],
    }
    assert found.preprocessing.mean == pytest.approx([0.449], abs=0.001)


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("timm:convnextv2_atto", "cc-by-nc-4.0"),
        ("timm:cpubone_nano", "unknown"),
        ("torchvision:vit_h_14", "CC-BY-NC-4.0"),
    ],
)
def test_a_licence_that_does_not_allow_every_use_must_be_accepted(name: str, licence: str) -> None:
    weights = (
        published.timm_weights(name.partition(":")[2])
        if name.startswith("timm")
        else published.torchvision_weights(name.partition(":")[2])
    )
    assert weights is not None
    with pytest.raises(PretrainedError) as refused:
        pretrained._check_licence(name, weights, [])
    assert f"the licence of the weights of {name}" in str(refused.value)
    assert f"write accept_licence: [{licence}] beside pretrained" in str(refused.value)
    pretrained._check_licence(name, weights, [licence.upper()])


def test_weights_that_nobody_publishes_are_refused(tmp_path: Path) -> None:
    split = toy.splits(tmp_path / "raw")["validation"]
    with pytest.raises(PretrainedError, match="timm publishes no weights of timm:effi"):
        built(split, tmp_path, "timm:efficientnet_b0_gn")
