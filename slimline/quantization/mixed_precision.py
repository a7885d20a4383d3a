"""Which layers stay float: named by the user, too costly in accuracy, or not faster in int8."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slimline import params
from slimline.errors import ParamsError
from slimline.networks.classifier import Classifier
from slimline.quantization import exported_graph, float_operators
from slimline.quantization.int8_sensitivity_table import LayerSensitivity
from slimline.quantization.int8_times import Int8Times, Time
from slimline.quantization.mixed_record import LayerChoice
from slimline.quantization.operators import WEIGHTED, shape, tensor_inputs
from slimline.quantization.settings import MixedParams
from slimline.training.settings import Selection


@dataclass(frozen=True)
class MixedTables:
    """What was found out about the network beforehand."""

    scan: Sequence[LayerSensitivity]
    """What each layer costs; of none, if no scan was asked for."""
    times: Int8Times
    """How long each layer takes."""
    by: Selection = "top1"
    """What accuracy means: what the recipe, or section `training`, selects by."""


NO_TABLES = MixedTables([], Int8Times("", (), {}))
"""Nothing was measured."""


def choose(
    model: Classifier, settings: MixedParams, tables: MixedTables, *, section: str
) -> list[LayerChoice]:
    """Return what each layer of a float model shall run in; nothing if nothing is known or asked.

    `section` of params.yaml is the one that the settings are from. Of several reasons to stay float
    the first is told: named, accuracy, time.

    Raises:
        ParamsError: a pattern fits no layer, a layer was not scanned, or the times are those of
            another network.
    """
    if settings.is_idle and not tables.scan:
        return []
    weights = layers(model)
    key = f"quantization.mixed.float_layers, for {section}"
    params.check_patterns(settings.float_layers, weights, key=key, kind="layer")
    rows = {row.layer: row for row in tables.scan}
    missing = next((name for name in weights if name not in rows), None)
    if missing is not None and settings.goes_by_scan:
        raise ParamsError(
            [
                f"params.yaml: quantization.mixed.max_drop, for {section}: layer {missing} was not "
                "scanned; set int8_sensitivity.scan to true and run `dvc repro int8_sensitivity`"
            ]
        )
    if settings.only_faster:
        tables.times.check(model.example.shape[1:], weights, section)
    times = tables.times.layers if settings.only_faster else {}
    changes = {name: row.change_by(tables.by) for name, row in rows.items()}
    return [_choose(name, settings, changes.get(name), times.get(name)) for name in weights]


def named(model: Classifier, settings: MixedParams) -> list[LayerChoice]:
    """Return what each layer shall run in as far as settings name it: nothing was measured."""
    return [_choose(name, settings, None, None) for name in layers(model)]


def layers(model: Classifier) -> dict[str, int]:
    """Return the entries of each layer's weight by its name, in the order in which images meet it.

    That is the order in which the exporter writes them.
    """
    graph = exported_graph.of(model.network, model.example).graph
    return {
        float_operators.layer_name(node): math.prod(shape(tensor_inputs(node)[1]))
        for node in graph.nodes
        if node.target in WEIGHTED
    }


def _choose(
    name: str, settings: MixedParams, change: tuple[float, float] | None, time: Time | None
) -> LayerChoice:
    lost, regained = change or (None, None)
    is_costly = lost is not None and not lost <= settings.max_drop  # NaN is
    is_slow = time is not None and not time.is_gain
    reasons = {"named": settings.names(name), "accuracy": is_costly, "time": is_slow}
    return LayerChoice(
        name,
        lost=lost,
        regained=regained,
        float_us=time.float_us if time else None,
        int8_us=time.int8_us if time else None,
        reason=next((reason for reason, holds in reasons.items() if holds), ""),
    )
