"""Networks that no table has, on their whole way from weights to an int8 file."""

from pathlib import Path

import cuts
import pytest
import test_entries
import torch
import toy

from slimline.artifacts import model_folder
from slimline.networks import classifier
from slimline.networks.settings import ModelParams
from slimline.parity import float_parity
from slimline.quantization import int8_export, qat
from slimline.targets.onnxruntime import onnx_file
from slimline.training import loop

STEMS = {"torchvision:densenet121": 1}
"""Strides for images of 28 px; others keep theirs."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "torchvision:regnet_x_400mf",  # grouped convolutions
        "torchvision:mnasnet0_5",  # weights that carry a version
        "torchvision:squeezenet1_1",  # a convolution as head
        "torchvision:densenet121",  # BatchNorm in front
    ],
)
def test_from_weights_to_int8(name: str, tmp_path: Path) -> None:
    split = toy.splits(tmp_path, validation_images=60)["validation"]
    settings = ModelParams(
        backbone=name, pretrained="none", stem_stride=STEMS.get(name, "keep"),  # type: ignore[arg-type]
        stem_kernel="keep", activation="keep",
    )  # fmt: skip
    torch.manual_seed(0)
    model = classifier.build(settings, split, tmp_path)
    recipe = test_entries.RECIPE.model_copy(update={"epochs": 0.5})
    loop.fit(
        model.network, split, split, recipe,
        preprocessing=split.preprocessing, seed=1, phase="test",
    )  # fmt: skip
    cuts.cut(model.network, model.example, 0.3, multiple=8)
    model_folder.save(tmp_path / "prune", model, data=split, settings=settings)
    reloaded = model_folder.load(tmp_path / "prune")
    float_parity.check(reloaded, split, tmp_path / "prune" / "model.onnx", num_threads=1)
    trained, _ = qat.finetune(reloaded, split, split, split, test_entries.QAT, seed=1)
    model_folder.save(
        tmp_path / "qat", trained, data=split, settings=test_entries.QAT, with_onnx=False,
        extra=test_entries.NOTHING_FLOAT,
    )  # fmt: skip
    prepared = int8_export.load_prepared(tmp_path / "qat")
    parity = int8_export.save(
        tmp_path / "int8", prepared, split, test_entries.ANY_PARITY,
        parent=tmp_path / "qat", num_threads=1,
    )  # fmt: skip
    assert onnx_file.inspect(tmp_path / "int8" / "model.onnx").int8_share > 95
    assert parity.agreement_written > 98
    assert parity.largest_difference < 0.05 * parity.spread
