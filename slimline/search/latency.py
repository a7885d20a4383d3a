"""The time of one image by the table in git, `data/layer_times.json`: no clock decides a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimline.errors import SlimlineError

if TYPE_CHECKING:
    from slimline.networks.classifier import Classifier
    from slimline.pruning.cost import Cost, LayerCost
    from slimline.pruning.record import LayerChange

TABLE = Path("data/layer_times.json")
IMAGES = Path("data/prepared/train")
PRETRAINED = Path("data/raw/pretrained")

_MEASURE = "`dvc repro backbone_swap` and `python -m benchmarks.layer_times` measure it anew"


class LatencyError(SlimlineError):
    """The table is of another network than the one that the search makes faster."""


def check() -> None:
    """Compare the table with the network that every trial prunes, before anything is trained.

    The network is built as its stage will build it, which takes the prepared images; where they
    are not there yet, as in a fresh clone, the first pruned model is what is compared.

    Raises:
        LatencyError: there is no table, or a layer is missing in it or is of another size.
        ParamsError, PretrainedError: the network cannot be built.
    """
    from slimline.measure import machine
    from slimline.pruning import cost, layer_times

    if not TABLE.exists():
        raise LatencyError(f"{TABLE} is missing, by which latency is told; {_MEASURE}")
    machine.say_if_other(
        layer_times.read(TABLE).cpu, str(TABLE), "python -m benchmarks.layer_times"
    )
    if IMAGES.exists():
        network = _swapped()
        _compare(cost.count(network.network, network.example))


def milliseconds(changes: Sequence[LayerChange]) -> float:
    """Return the time of a pruned model for one image, in int8 on one thread, ms.

    Raises:
        LatencyError: a layer is missing in the table, or is of another size.
    """
    from slimline.pruning import layer_times
    from slimline.pruning.cost import Cost

    before = [_layer(e.layer, e.channels_before, e.params_before, e.macs_before) for e in changes]
    after = [_layer(e.layer, e.channels_after, e.params_after, e.macs_after) for e in changes]
    _compare(Cost(params=sum(each.params for each in before), layers=before))
    whole = Cost(params=sum(each.params for each in after), layers=after)
    return layer_times.read(TABLE).microseconds(whole) / 1000


def _layer(name: str, channels: int, params: int, macs: int) -> LayerCost:
    from slimline.pruning.cost import LayerCost

    return LayerCost(
        name=name, inputs=0, channels=channels, params=params, macs=macs, weights=params, zeros=0
    )


def _compare(whole: Cost) -> None:
    from slimline.pruning import layer_times

    layers = layer_times.read(TABLE).layers
    for layer in whole.layers:
        if layer.name not in layers or layers[layer.name][-1][0] != layer.macs:
            raise LatencyError(
                f"{TABLE} was measured for another network than params.yaml asks for: it does not "
                f"have layer {layer.name} of {layer.macs} multiply-accumulates; {_MEASURE}"
            )


def _swapped() -> Classifier:
    """Return the network that is pruned, untrained."""
    from slimline import params
    from slimline.data import split_files
    from slimline.networks import classifier, reparameterisation
    from slimline.training import backbone_swap
    from slimline.training.backbone_swap import BackboneSwapParams
    from slimline.training.baseline_train import BaselineTrainParams

    train = split_files.load(IMAGES)
    settings = params.load("baseline_train", BaselineTrainParams)
    baseline = classifier.build(settings, train, PRETRAINED, unchanged=settings.recipe.epochs == 0)
    swap = params.load("backbone_swap", BackboneSwapParams)
    return reparameterisation.merged(backbone_swap.begin(baseline, train, swap, PRETRAINED))
