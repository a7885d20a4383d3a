"""What of a quantized network's work has no int8 form here, by the names of its layers.

That is convolutions of sequences and volumes, transposed ones, recurrent layers, and what `forward`
computes with a weight by a function of its own. Products of two computed matrices are told apart
from them (`slimline.targets.onnxruntime.onnx_file.product_share`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx
from torch.utils.flop_counter import FlopCounterMode

from slimline.quantization.operators import WEIGHTED, constants, tensor_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

_aten = torch.ops.aten

_RECURRENT = {_aten.lstm.input, _aten.gru.input, _aten.rnn_tanh.input, _aten.rnn_relu.input}

_LEAST = 0.1
"""Percent of all work; what is less is not named."""

_NAMED = 8
"""Layers in a sentence."""


def by_layer(network: fx.GraphModule, example: Tensor) -> dict[str, float]:
    """Return percent of the multiply-accumulates that have no int8 form, by the layers' names.

    `network` is a prepared graph, fake-quant in it, and `example` float32 [1 or more, channels,
    height, width]. Names are those of the user's modules, "forward" for the network's own function.
    """
    counter = _Counter(network)
    with torch.no_grad():
        counter.run(example[:1])
    total = sum(counter.macs.values())
    fixed = constants(network.graph)
    found: dict[str, float] = defaultdict(float)
    for node, macs in counter.macs.items():
        has_weight = any(each in fixed for each in tensor_inputs(node))
        if node.target not in WEIGHTED and has_weight and node not in fixed:
            found[_module(node)] += 100 * macs / total
    return {name: round(share, 1) for name, share in found.items() if share >= _LEAST}


def told(shares: Mapping[str, float]) -> str:
    """Return what `by_layer` found as a sentence, the largest first."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    named = ", ".join(f"{name} ({share:g} %)" for name, share in ordered[:_NAMED])
    rest = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return (
        f"{sum(shares.values()):.0f} % of the multiply-accumulates have no int8 form and run in "
        f"float: {named}{rest}"
    )


class _Counter(fx.Interpreter):
    """Counts multiply-accumulates of each operator, as torch does."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.macs: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_function":
            return super().run_node(n)
        with FlopCounterMode(display=False) as counter:
            result = super().run_node(n)
        macs = counter.get_total_flops() // 2
        if n.target in _RECURRENT:
            macs = self._of_recurrent(n)
        if macs:
            self.macs[n] = macs
        return result

    def _of_recurrent(self, n: fx.Node) -> int:
        """Return those of all its matrices at each place of a sequence; torch does not count it."""
        given, _, weights, *_ = cast("tuple[Any, ...]", self.map_nodes_to_values(n.args, n))
        places = given.numel() // given.shape[-1]
        return int(places * sum(each.numel() for each in weights if each.dim() > 1))


def _module(node: fx.Node) -> str:
    """Return the name of the module whose `forward` calls an operator."""
    stack: Mapping[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    names = [path for path, _ in stack.values() if path]
    return names[-1] if names else "forward"
