"""Networks that ask for numbers of channels stay exact: what they compute with stays as it is."""

import copy

import cuts
import pytest
import sized
import torch
from timm.layers import std_conv
from torch import nn

from slimline.networks import reparameterisation
from slimline.pruning import whole_layers

EXAMPLE = torch.zeros(2, 3, 16, 16)


def halved(network: nn.Module, multiple: int = 4) -> list[list[str]]:
    """Cut half of what may go; return what did, when the rest answers as before."""
    narrow = copy.deepcopy(network)
    plan = cuts.plan(narrow, EXAMPLE, multiple)
    for group in plan.groups:
        group.remove(group.full_width / 2)
    cuts.assert_same_with_the_rest_at_zero(network, narrow, plan.apply(), EXAMPLE)
    return [list(group.layers) for group in plan.groups]


@pytest.mark.parametrize("between", sized.COMPUTED)
def test_channels_whose_number_is_computed_with_stay(between: sized.Between) -> None:
    network = sized.Sized(between).eval()
    assert cuts.names_of_whole(cuts.plan(copy.deepcopy(network), EXAMPLE)) == ["a"]
    assert halved(network) == [["b"]]


@pytest.mark.parametrize("is_of_next", [False, True])
@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_channels_stay_whose_number_a_layer_is_asked_for(is_of_next: bool, weight: float) -> None:
    network = sized.Asking(is_of_next).eval()
    network.head.weight.data *= weight  # as some are before training
    plan = cuts.plan(copy.deepcopy(network), EXAMPLE)
    assert whole_layers.told(plan.whole) == "a (a width that the code computes with)"
    assert halved(network) == [["b"]]


def test_channels_stay_of_which_weights_are_standardised_unless_these_are_made_plain() -> None:
    network = sized.Sized(torch.relu).eval()
    network.b = std_conv.StdConv2d(32, 16, 1, bias=True)
    plan = cuts.plan(copy.deepcopy(network), EXAMPLE)
    assert whole_layers.told(plan.whole) == "a (a width that the code computes with)"
    assert reparameterisation.merge(network) == ["b"]
    assert halved(network) == [["a"], ["b"]]


@pytest.mark.parametrize("between", sized.SHAPED)
def test_sizes_that_say_a_shape_hold_at_any_width(between: sized.Between) -> None:
    assert halved(sized.Sized(between).eval()) == [["a"], ["b"]]


@pytest.mark.parametrize("between", [sized.shuffled, sized.in_fours])
def test_what_is_decided_by_a_remainder_says_the_multiple(between: sized.Between) -> None:
    plan = cuts.plan(sized.Sized(between).eval(), EXAMPLE, multiple=1)
    assert [group.multiple for group in plan.groups] == [4, 1]


def test_what_is_decided_by_a_limit_says_the_least_width() -> None:
    plan = cuts.plan(sized.Sized(sized.few).eval(), EXAMPLE)
    assert [(group.multiple, group.floor) for group in plan.groups] == [(12, 12), (4, 4)]


def test_widths_that_are_compared_stay_unless_they_go_together() -> None:
    assert halved(sized.Compared(is_sum=True).eval()) == [["a", "b"]]
    assert halved(sized.Compared(is_sum=False).eval()) == []
