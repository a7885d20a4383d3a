"""ResNets (He et al., 2015, arXiv:1512.03385) with one basic block a stage, for small images.

Nobody publishes ImageNet weights of them. Where images are small, training is short or a model must
fit a small chip, few wide layers of plain convolutions learn faster than many narrow ones, and
kernels for int8 gain most on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimline.networks.architecture import Backbone

if TYPE_CHECKING:
    from torch import nn


def _build(num_classes: int, widths: tuple[int, ...]) -> nn.Module:
    """Return the network with random weights: stem, a block per width, linear head.

    Layers are named and initialised as torchvision does it.
    """
    import torch
    from torch import Tensor, nn
    from torchvision.models.resnet import BasicBlock

    class ShallowResNet(nn.Module):
        """A stem, blocks that halve height and width from the second on, and a linear head."""

        def __init__(self) -> None:
            super().__init__()
            before = widths[0]
            self.conv1 = nn.Conv2d(3, before, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(before)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
            self.blocks = [f"layer{number}" for number in range(1, len(widths) + 1)]
            for name, width in zip(self.blocks, widths, strict=True):
                self.add_module(name, _stage(before, width, stride=1 if name == "layer1" else 2))
                before = width
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(before, num_classes)

        def forward(self, images: Tensor) -> Tensor:
            images = self.maxpool(self.relu(self.bn1(self.conv1(images))))
            for name in self.blocks:
                images = self.get_submodule(name)(images)
            logits: Tensor = self.fc(torch.flatten(self.avgpool(images), 1))
            return logits

    def _stage(before: int, width: int, *, stride: int) -> nn.Module:
        shortcut = None
        if stride > 1 or before != width:
            convolution = nn.Conv2d(before, width, 1, stride=stride, bias=False)
            shortcut = nn.Sequential(convolution, nn.BatchNorm2d(width))
        return nn.Sequential(BasicBlock(before, width, stride, shortcut))

    network = ShallowResNet()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def _shallow(*widths: int) -> Backbone:
    return Backbone(
        lambda num_classes: _build(num_classes, widths),
        stem="conv1",
        head="fc.",
        stages=tuple(f"layer{number}" for number in range(1, len(widths) + 1)),
        imagenet=None,
    )


RESNET8_W48 = _shallow(48, 96, 192)
RESNET10 = _shallow(64, 128, 256, 512)
