"""Puts a quantize and a dequantize node behind what a graph answers, which stays float32.

Some compilers run a layer in int8 only where both its input and its output are quantized, as
Qualcomm's QNN does: without this pair they leave the layer that answers to the CPU.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from slimline.targets.onnxruntime.graph import DEQUANTIZE, QUANTIZE, add_constant


@dataclass(frozen=True)
class Steps:
    """What the bytes of an answer stand for."""

    scale: np.float32
    """Of one step."""
    zero: np.uint8 | np.int8
    """The byte of 0; its type is that of all bytes."""

    def clip(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values as they are, but for those beyond the outermost bytes."""
        limits = np.iinfo(self.zero.dtype)
        low, high = ((each - int(self.zero)) * self.scale for each in (limits.min, limits.max))
        return values.clip(low, high)


def round_answer(model: ir.Model, *, steps: Steps) -> None:
    """Let a graph answer in steps, in place; its output keeps its name and type."""
    (answer,) = model.graph.outputs
    last = answer.producer()
    assert last is not None
    constants = [add_constant(last, np.array(each)) for each in (steps.scale, steps.zero)]
    tape = ir.tape.Tape()
    levels: Any = tape.op(QUANTIZE, [answer, *constants])
    rounded: Any = tape.op(DEQUANTIZE, [levels, *constants])
    rounded.name, rounded.type, rounded.shape = answer.name, answer.type, answer.shape
    answer.name = f"{answer.name}_unrounded"
    model.graph.extend(tape.nodes)
    model.graph.outputs[0] = rounded
