"""What keeps a layer as wide as it is, in words that lead to the line of code."""

import math
from collections.abc import Callable

import cuts
import pytest
import torch
from torch import Tensor, nn

from slimline.pruning import whole_layers

EXAMPLE = torch.zeros(2, 3, 8, 8)


class Gate(nn.Module):
    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        return self.change(x)


class Network(nn.Module):
    """Changes maps of 16 channels in a module of its own."""

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.a, self.gate = nn.Conv2d(3, 16, 3, padding=1), gate
        self.b, self.head = nn.Conv2d(16, 24, 1), nn.Linear(24, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.b(self.gate(self.a(images).relu())).relu()
        answer: Tensor = self.head(x.mean((2, 3)))
        return answer


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        if x.std() > 0:  # decides by values: a graph has none of it
            x = x + 0
        values = x.flatten(2).transpose(1, 2)
        answer: Tensor = self.inner(values, values, values)[0]
        return answer.transpose(1, 2).unflatten(2, x.shape[2:])


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        (Gate(lambda x: x.sort(1).values), "a (sort at gate)"),
        (Gate(lambda x: x / math.sqrt(16)), ""),
        (Gate(lambda x: x * x.size(1)), "a (* at gate)"),
        (Gate(lambda x: x.reshape(-1, 16, 8, 8)), "a (reshape at gate)"),
        (nn.GroupNorm(1, 16), "a (GroupNorm at gate)"),
        (nn.ConvTranspose2d(16, 16, 1), "a, gate (ConvTranspose2d at gate)"),
        (
            Attention(),
            "a (Attention at gate)",
        ),
    ],
)
def test_it_is_called_as_the_users_code_calls_it(gate: nn.Module, told: str) -> None:
    assert whole_layers.told(cuts.plan(Network(gate), EXAMPLE).whole) == told
