from types import SimpleNamespace
from typing import Any

import pytest

from slimline.targets.litert import tflite_file


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("models.resnet.ResNet/torch.nn.modules.linear.Linear_fc;", "fc"),
        (
            "torchvision.ops.misc.ConvNormActivation/torch.nn.modules.container.Sequential_layer2/"
            "torchvision.models.resnet._Block_0/torch.nn.modules.conv.Conv2d_conv_dw;1",
            "layer2.0.conv_dw",
        ),
        ("own.<locals>.Net/act.ReLU_relu;;own.<locals>.Net/b.Block_0/conv.Conv2d_1;3", "0.1"),
        ("serving_default_input", ""),
    ],
)
def test_a_tensor_is_named_by_its_module(name: str, layer: str) -> None:
    tensor: Any = SimpleNamespace(name=name.encode())
    assert tflite_file._layer(tensor) == layer
