"""Runs a network as it will be used, and leaves it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each module of it back into its own afterwards.

    A BatchNorm that is frozen evaluates while all else trains: `train()` alone would wake it. It is
    called all the same, as some networks forget there what they computed of their weights.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        network.train(modes[network])
        for module, is_training in modes.items():
            module.training = is_training
