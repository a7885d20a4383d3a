"""The steps that logits are rounded to where a file answers in bytes: those of their own range."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx
from torchao.quantization.pt2e import FakeQuantizeBase

from slimline.quantization.observers import (
    RangeObserver,
    SymmetricObserver,
    SymmetricSwishObserver,
)
from slimline.targets.onnxruntime.passes.answer_pair import Steps

_SYMMETRIC = (SymmetricObserver, SymmetricSwishObserver)


def find(network: fx.GraphModule, logits: NDArray[np.float32]) -> Steps:
    """Return steps from the smallest logit to the largest, 0 among them.

    The bytes are of the type that a network's activations have in fake-quant, and symmetric where
    theirs are; of a network without any they are uint8.
    """
    observer = _observer(network)
    observer(torch.from_numpy(logits))
    scale, zero = observer.calculate_qparams()
    kind = np.uint8 if observer.dtype == torch.uint8 else np.int8
    return Steps(np.float32(scale.item()), kind(zero.item()))


def _observer(network: fx.GraphModule) -> Any:
    dtype, kind = torch.uint8, RangeObserver
    for module in network.modules():
        if isinstance(module, FakeQuantizeBase) and module.qscheme == torch.per_tensor_affine:
            dtype = module.dtype
            kind = SymmetricObserver if _is_symmetric(module) else RangeObserver
            break
    limits = torch.iinfo(dtype)
    return kind(
        dtype=dtype,
        quant_min=limits.min,
        quant_max=limits.max,
        qscheme=torch.per_tensor_affine,
    )


def _is_symmetric(fake_quant: Any) -> bool:
    return isinstance(fake_quant.activation_post_process, _SYMMETRIC)
