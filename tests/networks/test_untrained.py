import torch
from torch import nn

from slimline.networks import untrained


def test_what_is_all_but_0_gets_noise_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    head, scale, own = nn.Linear(8, 3), nn.Parameter(torch.full((8,), 1e-5)), nn.Linear(8, 8)
    nn.init.zeros_(head.weight)
    network = nn.ModuleList([own, head])
    network.register_parameter("scale", scale)
    before, bias = own.weight.clone(), own.bias.clone()
    untrained.wake(network)
    assert torch.equal(own.weight, before)
    assert torch.equal(own.bias, bias)
    for woken in (head.weight, scale):
        assert 0.05 < float(woken.detach().std()) < 0.2
        assert woken.requires_grad
    first = head.weight.clone()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(scale)
    untrained.wake(network)
    assert torch.equal(head.weight, first), "the same noise each time"
