"""Pruning for tests that care about what is left, not about how much goes."""

from collections.abc import Mapping
from typing import Any

import torch
import toy
from torch import Tensor, nn

from slimline.pruning import channel_plan, widths
from slimline.pruning.groups import Plan
from slimline.pruning.layer_times import LayerTimes
from slimline.pruning.methods.magnitude import Magnitude
from slimline.pruning.methods.structured_magnitude import StructuredMagnitude, magnitudes
from slimline.pruning.methods.taylor import Taylor
from slimline.pruning.methods.unstructured_taylor import UnstructuredTaylor
from slimline.pruning.sensitivity_table import SensitivityScan
from slimline.pruning.widths import PruningTables
from slimline.training.settings import Distill, DistilledRecipe

RECOVER = DistilledRecipe(
    epochs=0.2, batch_size=32, optimizer="adamw", learning_rate=0.003, weight_decay=0.0,
    label_smoothing=0.0, validations=1, augment=toy.NO_AUGMENT, step=toy.PLAIN_STEP, balance="none",
    select_by="auto", num_workers=0,
    distill=Distill(weight=0.0, temperature=2.0, last=1.0),
)  # fmt: skip

NO_TABLES = PruningTables(SensitivityScan([]), LayerTimes("none", {}, []))

METHODS = {
    "structured_magnitude": StructuredMagnitude,
    "taylor": Taylor,
    "unstructured_taylor": UnstructuredTaylor,
    "magnitude": Magnitude,
}


def settings(method: str, **changes: Any) -> Any:
    """Return section `prune` for a method; `changes` are its keys."""
    plain = {
        "threshold": 0.2, "unit": "layer_share", "target": {}, "rates": "uniform", "layers": {},
        "steps": 1, "max_drop": 100, "channel_multiple": 4, "teacher": "backbone_swap",
        "recover": RECOVER,
    }  # fmt: skip
    return METHODS[method](method=method, **plain | changes)


def plan(network: nn.Module, example: torch.Tensor, multiple: int = 4) -> channel_plan.ChannelPlan:
    return channel_plan.ChannelPlan(network, example, magnitudes(network), multiple=multiple)


def names_of_whole(found: Plan) -> list[str]:
    return [each.layer for each in found.whole]


def cut(
    network: nn.Module, example: torch.Tensor, share: float, multiple: int = 4
) -> channel_plan.ChannelPlan:
    """Remove the least channels of every layer, in place; return the plan."""
    found = plan(network, example, multiple)
    for group in found.groups:
        widths.remove_share(group, share)
    found.apply()
    return found


def write_splits(network: nn.Module, plan: channel_plan.ChannelPlan) -> None:
    """Give a fresh network the widths that a cut one splits by."""
    for name, numbers in plan.split_widths.items():
        for attribute, value in numbers.items():
            setattr(network.get_submodule(name), attribute, value)


def assert_same_with_the_rest_at_zero(
    network: nn.Module, narrow: nn.Module, stayed: Mapping[str, Tensor], example: Tensor
) -> None:
    """Compare a network, whose channels that went are set to 0, with its narrow form."""
    for layer, rows in stayed.items():
        module = network.get_submodule(layer)
        goes_by_channel = not isinstance(module, nn.Conv2d | nn.Linear)
        weights = [each.flatten() if goes_by_channel else each for each in module.parameters()]
        if not weights:  # a normalisation without an affine part
            continue
        gone = torch.ones(len(weights[0]), dtype=torch.bool)
        gone[rows] = False
        with torch.no_grad():
            for each in weights:
                each[gone] = 0
    images = torch.randn(3, *example.shape[1:])
    assert torch.allclose(narrow(images), network(images), atol=1e-5)
