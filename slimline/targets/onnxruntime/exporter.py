"""From a quantized network to the .onnx that ONNX Runtime executes in int8."""

from pathlib import Path
from typing import Any

from torch import Tensor, fx

from slimline.targets.onnxruntime import releases, to_onnx
from slimline.targets.onnxruntime.passes import order

_GAINS = "1.15"
"""The oldest release of ONNX Runtime that was measured (`benchmarks/releases.py`): from it on all
layers run in int8, faster than in float. Older ones read the file, and 1.8 is slower with it."""


def write(
    converted: fx.GraphModule,
    example: Tensor,
    path: Path,
    *,
    form: order.Form = "fastest",
    pad_channels: bool = False,
    opset: int = to_onnx.OPSET,
    ir_version: int = to_onnx.IR_VERSION,
) -> dict[str, Any]:
    """Export a converted network to an .onnx that ONNX Runtime executes in int8.

    `example` is float32 [2 or more, channels, height, width]. What can be chosen is described in
    `slimline.quantization.settings.Int8ExportParams`. Returns what `model.json` says of the file:
    which releases of ONNX Runtime can read it, and from which on it is faster than float on x86.

    Raises:
        ParamsError: the opset is too old for an operator of the network.
    """
    model = to_onnx.to_onnx(converted, example)
    ordered = order.ordered(
        form=form, pad_channels=pad_channels, opset=opset, ir_version=ir_version
    )
    to_onnx.save(order.apply(model, *(each.rewrite for each in ordered)), path)
    about = releases.describe(opset, ir_version)
    newer = max(about["oldest_onnxruntime"], _GAINS, key=_numbers)
    return {**about, "faster_from_onnxruntime": newer}


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))
