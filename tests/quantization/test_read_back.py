"""What was trained is what the next stage reads, values that no file has among it."""

from pathlib import Path

import numpy as np
import own_folder
import pytest
import test_entries
import tied
import torch
from torch import nn

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import NetworkError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.pruning import batchnorm_statistics
from slimline.quantization import exported_graph, qat, read_back
from slimline.quantization.operators import CONVOLUTION

OWN = """
import tied
import torch
from torch import nn


class Drawn(tied._Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("noise", torch.rand(1, 24, 1, 1), persistent=False)

    def between(self, maps):
        return maps * self.noise


def drawn(num_classes, in_channels):
    return Drawn()


def make(name):
    return lambda num_classes, in_channels: getattr(tied, name)()


Windows, Offsets, Aliases, Repeated, Weights = (make(each.__name__) for each in tied.KINDS)
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_folder.make(tmp_path, monkeypatch, shared=OWN)


def noise() -> Split:
    frame = Preprocessing(16, 16, 3, (0.5,) * 3, (0.25,) * 3)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (16, 16, 16, 3)).astype(np.uint8)
    return Split(images, np.arange(16) % tied.CLASSES, [*"abcde"], frame)


def made(function: str, split: Split) -> Classifier:
    torch.manual_seed(0)
    architecture = Architecture(f"own.shared:{function}", tied.CLASSES, 3, 2, 3)
    network = classifier.make(architecture)
    model = Classifier(network, architecture, split.classes, split.preprocessing)
    batchnorm_statistics.recompute(model, split)
    model.network.eval()
    return model


def with_fake_quant(model: Classifier, split: Split) -> Classifier:
    network = qat.prepare_as(test_entries.QAT, model)
    qat.calibrate(network, split, model)
    qat.finish(network)
    return model.with_network(network)


@pytest.mark.parametrize("kind", tied.KINDS)
def test_what_stands_in_several_places_is_read_back(kind: type[nn.Module], tmp_path: Path) -> None:
    split = noise()
    trained = with_fake_quant(made(kind.__name__, split), split)
    torch.manual_seed(7)
    again = read_back.through(tmp_path / "qat", trained, test_entries.QAT, data=split)
    images = torch.from_numpy(split.preprocessing.normalise(split.images))
    with torch.no_grad():
        expected, found = trained.network(images), again.network(images)
    # Weights in another order of bytes round otherwise here and there.
    assert float((found - expected).abs().max()) < 0.01 * float(expected.std())


@pytest.mark.parametrize("kind", tied.KINDS)
def test_it_is_trained_under_one_name(kind: type[nn.Module]) -> None:
    network = kind().eval()
    graph = exported_graph.folded(network, torch.zeros(2, 3, 16, 16))
    names = {name for name, _ in network.named_parameters() if "norm" not in name}
    kept = {name for name, _ in graph.named_parameters(remove_duplicate=False)}
    assert {name for name in names if name.endswith("weight")} & kept
    assert not any(name.startswith("table_") for name, _ in graph.named_buffers())
    assert not any(name.startswith(("features.", "blocks.1.", "other.0")) for name in kept)


def test_a_layer_of_two_names_takes_its_batchnorm() -> None:
    graph = exported_graph.folded(tied.Aliases().eval(), torch.zeros(2, 3, 16, 16))
    assert sum(each.target is CONVOLUTION for each in graph.graph.nodes) == 2


def test_a_value_that_no_file_has_is_named(tmp_path: Path) -> None:
    split = noise()
    trained = with_fake_quant(made("drawn", split), split)
    torch.manual_seed(7)
    with pytest.raises(NetworkError, match=r"own\.shared:drawn: computes with other .*\(noise\)"):
        read_back.through(tmp_path / "qat", trained, test_entries.QAT, data=split)
