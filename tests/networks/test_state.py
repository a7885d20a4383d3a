"""Tensors that several layers share, and a file that has one or several of them."""

import copy

import tied
import torch
from torch import nn

from slimline.networks import state


def test_layers_that_a_file_has_apart_are_apart() -> None:
    network = tied.Weights()
    tensors = {key: each.clone() for key, each in network.state_dict().items()}
    tensors["back.weight"] += 1
    again = tied.Weights()
    again.back.weight.requires_grad_(False)
    state.untie(again, tensors)
    state.load(again, tensors)
    assert torch.equal(again.there.weight + 1, again.back.weight)
    assert not again.back.weight.requires_grad


def test_two_of_three_that_a_file_has_alike_stay_one() -> None:
    network = tied.Weights()
    network.third = nn.Conv2d(24, 24, 1, bias=False)
    network.third.weight = network.there.weight
    tensors = {key: each.clone() for key, each in network.state_dict().items()}
    tensors["there.weight"] += 1
    tensors["back.weight"][0, 0] = tensors["third.weight"][0, 0] = torch.nan
    state.untie(network, tensors)
    assert network.back.weight is network.third.weight
    assert network.back.weight is not network.there.weight


def test_layers_that_a_file_has_alike_stay_one() -> None:
    network = tied.Weights()
    tensors = {key: each.clone() for key, each in network.state_dict().items()}
    again = copy.deepcopy(network)
    state.untie(again, tensors)
    assert again.back.weight is again.there.weight
    del tensors["back.weight"]
    state.untie(again, tensors)
    assert again.back.weight is again.there.weight
