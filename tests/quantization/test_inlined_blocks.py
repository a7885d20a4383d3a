"""Layers in `with` blocks of a `forward` are quantized as all others."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.utils.checkpoint import checkpoint

from slimline.errors import NetworkError
from slimline.quantization import exported_graph, float_operators, qat
from slimline.targets.onnxruntime import exporter, onnx_file

EXAMPLE = torch.zeros(2, 4, 8, 8)
IMAGES = torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Blocks(nn.Module):
    """A layer in a block of its own between two others."""

    def __init__(self, block: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.inner, self.norm = nn.Conv2d(4, 6, 3), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6)
        self.last, self.head, self.block = nn.Conv2d(6, 6, 1), nn.Linear(6, 3), block

    def parts(self, maps: Tensor) -> Tensor:
        return self.norm(self.inner(maps)).relu()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.block(self.parts, self.stem(images).relu())
        return self.head(self.last(maps).relu().mean((2, 3)))


def full(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    with torch.autocast(device_type=maps.device.type, enabled=False):
        return layers(maps.float())


def nested(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        doubled = maps + maps
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            found = layers(doubled)
        return found - doubled[:, :, 1:-1, 1:-1]


def fixed(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    with torch.no_grad():
        return layers(maps)


def spared(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    return checkpoint(layers, maps, use_reentrant=False)


def spared_reentrant(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    return checkpoint(layers, maps, use_reentrant=True)


def cast(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    return layers(maps.to(torch.float32).type_as(maps).clone())


def half(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return layers(maps).float()


def chosen(layers: Callable[[Tensor], Tensor], maps: Tensor) -> Tensor:
    return torch.cond(maps.sum() > 0, layers, lambda each: layers(each) + 1, (maps,))


BLOCKS = [full, nested, fixed, spared, spared_reentrant, cast]


def prepared(network: nn.Module) -> GraphModule:
    """Return a network with ranges of some images."""
    found = qat.prepare(network, EXAMPLE, weight_bits=8)
    found(IMAGES)
    return found


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("block", BLOCKS)
def test_every_layer_runs_in_int8(
    block: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = Blocks(block).eval()
    folded = exported_graph.folded(network, EXAMPLE)
    assert float_operators.layers(folded.graph) == ["stem", "inner", "last", "head"]
    assert torch.allclose(folded(IMAGES), network(IMAGES), atol=1e-6)
    found = prepared(network)
    qat.finish(found)
    exporter.write(qat.convert(found), EXAMPLE, tmp_path / "model.onnx")
    file = onnx_file.inspect(tmp_path / "model.onnx")
    assert file.int8_share == pytest.approx(100)


def test_what_has_no_gradients_has_none_in_fake_quant() -> None:
    for block, is_trained in ((fixed, False), (full, True), (spared_reentrant, True)):
        found = prepared(Blocks(block))
        found(IMAGES).sum().backward()
        assert (found.get_parameter("inner.weight").grad is not None) == is_trained
        assert found.get_parameter("last.weight").grad is not None


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (half, r"a part in bfloat16 by itself \(torch.autocast .* take that block out"),
        (chosen, r"calls cond in its forward, .* choose between the results"),
    ],
)
def test_what_cannot_be_put_in_place_is_refused(
    block: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor], text: str
) -> None:
    with pytest.raises(NetworkError, match=text):
        qat.prepare(Blocks(block).eval(), EXAMPLE, weight_bits=8)
