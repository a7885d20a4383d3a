import copy

import attending
import cuts
import pytest
import torch
from torch import nn

from slimline.networks import classifier
from slimline.pruning import attention_heads, cost

EXAMPLE = torch.zeros(2, 3, 16, 16)


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


@pytest.mark.parametrize("kind", attending.KINDS)
def test_heads_are_found_by_trial_and_nothing_is_changed(kind: type[nn.Module]) -> None:
    network = made(kind)
    before = copy.deepcopy(network.state_dict())
    (found,) = attention_heads.find(network.train(), EXAMPLE).items()
    assert found[0] == "attn"
    assert found[1].count == (6 if kind is attending.WithBias else 4)
    assert network.training
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


@pytest.mark.parametrize("kind", attending.WHOLE)
def test_heads_that_hang_on_one_another_or_on_the_input_stay(kind: type[nn.Module]) -> None:
    network = made(kind)
    assert attention_heads.find(network, EXAMPLE) == {}
    plan = cuts.plan(network, EXAMPLE, multiple=1)
    assert {"attn.qkv", "attn.proj"} <= set(cuts.names_of_whole(plan))
    assert [group.layers for group in plan.groups] == [["up"]]


def test_the_least_heads_go_whole_whatever_the_multiple() -> None:
    network = made(attending.WithBias)
    with torch.no_grad():
        for layer, width in ((network.attn.q, 4), (network.attn.k, 4), (network.attn.v, 8)):
            layer.weight[width : 2 * width] *= 0.01
    bias = torch.arange(6.0).view(6, 1, 1).expand(6, 16, 16)
    network.attn.bias = nn.Parameter(bias.clone())
    plan = cuts.plan(network, EXAMPLE, multiple=8)
    heads = next(group for group in plan.groups if "attn.q" in group.layers)
    assert heads.layers == ["attn.q", "attn.k", "attn.v"]
    assert (heads.full_width, heads.multiple) == (6, 1)
    heads.width = 5
    predicted = plan.predict()
    plan.apply()
    assert network.attn.heads == 5
    assert network.attn.bias[:, 0, 0].tolist() == [0, 2, 3, 4, 5]
    assert [len(each.weight) for each in (network.attn.q, network.attn.v)] == [20, 40]
    after = cost.count(network, EXAMPLE)
    assert (after.params, after.macs) == (predicted.params, predicted.macs)


@pytest.mark.parametrize("kind", attending.KINDS)
def test_round_after_round_and_again_from_a_fresh_network(kind: type[nn.Module]) -> None:
    network, numbers = made(kind), {}
    counts = [attention_heads.find(network, EXAMPLE)["attn"].count]
    for _ in range(2):
        plan = cuts.cut(network, EXAMPLE, 0.4, multiple=1)
        numbers |= plan.split_widths
        counts.append(attention_heads.find(network, EXAMPLE)["attn"].count)
    assert counts[0] > counts[1] > counts[2]
    fresh = made(kind)
    for name, attributes in numbers.items():
        for attribute, value in attributes.items():
            setattr(fresh.get_submodule(name), attribute, value)
    tensors = network.state_dict()
    classifier.fit_shapes(fresh, {key: each.shape for key, each in tensors.items()}, EXAMPLE)
    fresh.load_state_dict(tensors)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(fresh(images), network(images))
