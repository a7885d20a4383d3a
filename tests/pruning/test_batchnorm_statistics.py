from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from torch import nn

from slimline import errors, schema
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.pruning import batchnorm_statistics

FRAME = Preprocessing(28, 28, 1, mean=(0.5,), std=(0.5,))


def split(count: int) -> Split:
    """Images of which the last ones are the brightest."""
    images = np.random.default_rng(0).integers(0, 56, (count, 28, 28, 1))
    images += np.linspace(0, 200, count).astype(int).reshape(-1, 1, 1, 1)
    return Split(images.astype(np.uint8), np.zeros(count, np.int64), ["a", "b"], FRAME)


@pytest.mark.parametrize("count", [250, 251, 252, 1000, 1003])
def test_each_image_counts_the_same(count: int) -> None:
    images = split(count)
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(2, 1, 28, 28))
    architecture = Architecture("any", 2, 1, 1, 3)
    batchnorm_statistics.recompute(Classifier(network, architecture, ["a", "b"], FRAME), images)
    pixels = torch.from_numpy(FRAME.normalise(images.images)).double()
    norm = network[0]
    assert abs(norm.running_mean.item() - pixels.mean().item()) < 0.01 * pixels.std()


def test_a_thousand_images_are_four_whole_batches() -> None:
    """What they give is the very mean over these, as it always was."""
    images = split(1000)
    network = nn.Sequential(nn.BatchNorm2d(1))
    model = Classifier(network, Architecture("any", 2, 1, 1, 3), ["a", "b"], FRAME)
    batchnorm_statistics.recompute(model, images)
    expected = nn.BatchNorm2d(1, momentum=None)
    for part in torch.from_numpy(FRAME.normalise(images.images)).split(250):
        expected(part)
    assert torch.equal(network[0].running_mean, expected.running_mean)
    assert torch.equal(network[0].running_var, expected.running_var)


def test_no_batch_is_of_one_image() -> None:
    """Last layers of small images have one pixel, and one value has no variance."""
    torch.manual_seed(0)
    architecture = Architecture("shufflenet_v2_x0_5", 2, 1, 2, 3)
    network = classifier.make(architecture).eval()
    batchnorm_statistics.recompute(Classifier(network, architecture, ["a", "b"], FRAME), split(251))
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_a_single_image_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((toy.ROOT / "params.yaml").read_text())
    toy.set_params(tmp_path, {"data.calibration_images": 1})
    with pytest.raises(errors.ParamsError, match=r"calibration_images: .* 2 or more \(given 1\)"):
        schema.check(tmp_path / "params.yaml")
    toy.set_params(tmp_path, {"data.calibration_images": 2})
    schema.check(tmp_path / "params.yaml")
    unpruned = {"prune.threshold": 0.0, "prune.target.macs": 1.0, "prune.recover.epochs": 0}
    off = {"data.calibration_images": 1, "sensitivity.shares": [], "prune.rates": "uniform"}
    toy.set_params(tmp_path, unpruned | off)
    schema.check(tmp_path / "params.yaml")


def test_statistics_behind_linear_layers_are_recomputed_too() -> None:
    images = split(300)
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(28 * 28))
    model = Classifier(network, Architecture("any", 2, 1, 1, 3), ["a", "b"], FRAME)
    batchnorm_statistics.recompute(model, images)
    pixels = torch.from_numpy(FRAME.normalise(images.images)).flatten(1)
    torch.testing.assert_close(network[1].running_mean, pixels.mean(0))
