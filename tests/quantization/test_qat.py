import entries
import pytest
import torch
from torch import fx, nn

from slimline.backbones import Architecture
from slimline.core import classifier
from slimline.quantization import qat


@pytest.mark.parametrize("name", entries.ALL)
def test_folding_batchnorm_changes_no_answer(name: str) -> None:
    torch.manual_seed(0)
    network = classifier.make(Architecture(name, 10, 1, 1, 3))
    for _ in range(3):
        network(torch.randn(8, 1, 28, 28))
    network.eval()
    images = torch.randn(4, 1, 28, 28)
    folded = qat.fold_batchnorm(network)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in folded.modules())
    assert torch.allclose(folded(images), network(images), atol=1e-4)


def test_the_original_is_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert isinstance(qat.fold_batchnorm(network), fx.GraphModule)
    assert isinstance(network[1], nn.BatchNorm2d)
