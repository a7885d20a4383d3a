import numpy as np
import torch

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.pruning import batchnorm_statistics

FRAME = Preprocessing(28, 28, 1, mean=(0.5,), std=(0.5,))


def test_a_last_batch_of_one_image_is_left_out() -> None:
    """Its last layers have one pixel, and one value has no variance."""
    torch.manual_seed(0)
    architecture = Architecture("shufflenet_v2_x0_5", 2, 1, 2, 3)
    images = np.random.default_rng(0).integers(0, 256, (251, 28, 28, 1), np.uint8)
    found = []
    for count in (250, 251):
        split = Split(images[:count], np.zeros(count, np.int64), ["a", "b"], FRAME)
        torch.manual_seed(1)
        network = classifier.make(architecture).eval()
        batchnorm_statistics.recompute(Classifier(network, architecture, ["a", "b"], FRAME), split)
        found.append(network.state_dict())
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())
