"""From a quantized network to the .pte that ExecuTorch runs in int8 by XNNPACK."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from slimline.targets import quiet
from slimline.targets.executorch import delegation, installed, rewrites

_INPUT = "input"
"""As in the .onnx; a .pte has no names, its one method takes one tensor."""


def write(converted: fx.GraphModule, example: Tensor, path: Path) -> dict[str, Any]:
    """Write a converted network for one image at a time, all memory planned beforehand.

    `example` is float32 [1 or more, channels, height, width]. Returns what `model.json` says of
    the file, of which `slimline.targets.executorch.runtime.inspect` tells as well.

    Raises:
        TargetError: ExecuTorch is not installed, does not fit this torch, or does not convert the
            network.
    """
    installed.require()
    network = copy.deepcopy(converted)
    rewrites.rewrite(network)
    with quiet.converting("executorch", "ExecuTorch"):
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        exported = torch.export.export(network, (example[:1].contiguous(),), strict=False)
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        content = lowered.to_executorch().buffer
    path.write_bytes(content)
    return {
        "file": path.name,
        "input": {"name": _INPUT, "dtype": "float32", "shape": [1, *example.shape[1:]]},
        "executorch": installed.versions()["executorch"],
        **delegation.describe(lowered.exported_program()),
    }
