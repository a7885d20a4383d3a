"""BatchNorm statistics for a network that was just cut: its layers see other sums than before."""

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.training import determinism, loader


@torch.no_grad()
def recompute(model: Classifier, split: Split) -> None:
    """Replace all running statistics, in place, by the plain mean over a split's batches."""
    layers = [each for each in model.network.modules() if isinstance(each, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    model.network.to(determinism.device()).eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches, each counting the same
        layer.train()
    for images, _ in loader.even_batches(split, model.preprocessing, device=determinism.device()):
        model.network(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
    model.network.cpu()
