"""Work without an int8 form is named, with its share."""

import pytest
import torch
from torch import Tensor, nn

from slimline.quantization import float_work, qat

EXAMPLE = torch.zeros(2, 4, 8, 8)


class Mixed(nn.Module):
    """Four layers that have no int8 form, and two that have one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.up = nn.Conv2d(4, 6, 1), nn.ConvTranspose2d(6, 8, 1)
        self.steps, self.line = nn.LSTM(8, 5, batch_first=True), nn.Conv1d(5, 8, 1)
        self.weight, self.head = nn.Parameter(torch.randn(8, 8)), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        places = self.up(self.stem(images)).flatten(2).transpose(1, 2)
        places = self.line(self.steps(places)[0].transpose(1, 2)).transpose(1, 2) @ self.weight
        return self.head((places @ places.transpose(1, 2) @ places).mean(1))


@pytest.mark.filterwarnings("ignore:The tensor attributes self.steps")
def test_shares_are_those_worked_out_by_hand() -> None:
    torch.manual_seed(0)
    prepared = qat.prepare(Mixed().eval(), EXAMPLE, weight_bits=8)
    prepared(torch.randn(2, 4, 8, 8))
    by_hand = {"up": 6 * 8, "steps": 4 * 5 * (8 + 5), "line": 5 * 8, "forward": 8 * 8}
    total = 64 * (4 * 6 + sum(by_hand.values()) + 2 * 8 * 64) + 8 * 3
    found = float_work.by_layer(prepared, EXAMPLE)
    assert found == {name: round(100 * 64 * macs / total, 1) for name, macs in by_hand.items()}
    assert float_work.told(found).endswith(
        "run in float: steps (17.8 %), forward (4.4 %), up (3.3 %), line (2.7 %)"
    )


def test_nothing_is_named_where_layers_have_int8_forms() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3)).eval()
    prepared = qat.prepare(network, EXAMPLE, weight_bits=8)
    prepared(torch.randn(2, 4, 8, 8))
    assert float_work.by_layer(prepared, EXAMPLE) == {}
