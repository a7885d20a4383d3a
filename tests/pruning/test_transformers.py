"""Pruning of whole transformers: exact whatever people write, or the heads stay."""

import copy

import cuts
import pytest
import torch
import transformers
from torch import nn

from slimline.networks import classifier, reparameterisation
from slimline.pruning import cost, split_widths

EXAMPLE = torch.zeros(2, 3, 16, 16)


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    network = kind().eval()
    reparameterisation.merge(network)
    return network


@pytest.mark.parametrize("kind", [*transformers.NARROWED, *transformers.WHOLE])
def test_every_round_is_exact_and_a_fresh_network_takes_the_last(kind: type[nn.Module]) -> None:
    network, numbers = made(kind), {}
    for _ in range(2):
        plan, wide = cuts.plan(network, EXAMPLE, multiple=1), copy.deepcopy(network)
        for group in plan.groups:
            group.remove(group.full_width / 2)
        predicted = plan.predict()
        stayed = plan.apply()
        counted = cost.count(network, EXAMPLE)
        assert (counted.params, counted.macs) == (predicted.params, predicted.macs)
        cuts.assert_same_with_the_rest_at_zero(wide, network, stayed, EXAMPLE)
        numbers = split_widths.joined(numbers, plan.split_widths)
    fresh, tensors = made(kind), network.state_dict()
    for name, attributes in numbers.items():
        for attribute, value in attributes.items():
            setattr(fresh.get_submodule(name), attribute, value)
    classifier.fit_shapes(fresh, {name: each.shape for name, each in tensors.items()}, EXAMPLE)
    fresh.load_state_dict(tensors)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(fresh(images), network(images))


@pytest.mark.parametrize("kind", transformers.NARROWED)
def test_heads_and_hidden_widths_go(kind: type[nn.Module]) -> None:
    plan = cuts.plan(made(kind), EXAMPLE, multiple=1)
    assert transformers.NARROWED[kind] <= {name for each in plan.groups for name in each.layers}


@pytest.mark.parametrize("kind", transformers.WHOLE)
def test_heads_that_somebody_needs_stay_and_are_named(kind: type[nn.Module]) -> None:
    plan = cuts.plan(made(kind), EXAMPLE, multiple=1)
    assert transformers.WHOLE[kind] in cuts.names_of_whole(plan)


def test_what_was_frozen_stays_frozen() -> None:
    torch.manual_seed(0)
    network = transformers.Attributes()
    network.encoder.layers[0].requires_grad_(False)
    reparameterisation.merge(network)
    frozen = {name for name, each in network.named_parameters() if not each.requires_grad}
    assert {name.split(".")[2] for name in frozen} == {"0"}
    assert len(frozen) == 12
