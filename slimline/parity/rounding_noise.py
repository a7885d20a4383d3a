"""How far rounding alone can move a network's logits: for files whose layers cannot be compared."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from slimline.parity import places

_SEED = 0


def logits(
    network: fx.GraphModule, images: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits of a fake-quant network, and those if every value is rounded otherwise.

    Each is moved by up to half a step, drawn evenly, before it is rounded: what two ways to round
    can differ by, and several times what two kernels do, which differ where a value is nearly a
    tie. `images` are normalised, float32 [count, channels, height, width].
    """
    batch = torch.from_numpy(images)
    with torch.no_grad():
        return network(batch).numpy(), _Dithered(network).run(batch).numpy()


class _Dithered(fx.Interpreter):
    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self._generator = torch.Generator().manual_seed(_SEED)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module: Any = self.module.get_submodule(target)
        if places.rounds_activations(module):
            noise = torch.rand(args[0].shape, generator=self._generator) - 0.5
            args = (args[0] + module.scale * noise, *args[1:])
        return super().call_module(target, args, kwargs)
