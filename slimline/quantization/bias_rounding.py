"""Rounds the biases of a trained network to the steps in which its int8 file has them.

Apart from ties, int8 and fake-quant differ only in how biases are rounded, so those of a trained
network are rounded before it is scored and exported.
"""

import torch
from torch import Tensor, fx
from torchao.quantization.pt2e import FakeQuantizeBase

from slimline.quantization.operators import HARD_SIGMOID, WEIGHTED

_HALF_IN_SIXTHS = 3.0
"""In a file a hard-sigmoid is (x + 3) / 6 of the convolution before it (`passes.hard_swish`)."""


def round_to_steps(network: fx.GraphModule) -> None:
    """Round biases of layers with fake-quant on input and weight to what `quantize` makes of them.

    In place, in the steps of the ranges as they are: for a network whose ranges are frozen.
    """
    with torch.no_grad():
        for node in network.graph.nodes:
            if node.target in WEIGHTED and len(node.args) > 2 and node.args[2] is not None:
                step, scale = (_step(network, each) for each in node.args[:2])
                if step is not None and scale is not None:
                    bias = network.get_parameter(node.args[2].target)
                    steps, shift = step * scale, _shift(node)
                    bias.copy_(torch.round((bias + shift) / steps) * steps - shift)


def _shift(layer: fx.Node) -> float:
    """Return what is added to a bias in the file, before all of it is divided."""
    (*others, user) = layer.users
    return _HALF_IN_SIXTHS if not others and user.target in HARD_SIGMOID else 0


def _step(network: fx.GraphModule, node: fx.Node) -> Tensor | None:
    """Return the step of what a node hands on, or a step per channel; nothing if it is float."""
    maker = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    return maker.scale if isinstance(maker, FakeQuantizeBase) else None
