"""Quantization-aware training in the two verbs of the field: `prepare`, train, `convert`.

BatchNorm is folded into the convolutions before training. It leaves the training exactly what runs
later, avoids the known faults of simulated BatchNorm in exported graphs, and makes `convert` some
twenty seconds faster, which torchao spends on looking for BatchNorm patterns.
"""

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, fx, nn
from torchao.quantization.pt2e import FakeQuantizeBase
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.quantization import (
    bias_rounding,
    calibration,
    equalisation,
    exported_graph,
    folded_modules,
    in_place,
)
from slimline.quantization.calibrators import Calibrator
from slimline.quantization.observers import RangeObserver
from slimline.quantization.quantizer import OrtQuantizer, activation_dtype
from slimline.quantization.settings import QatFinetuneParams, QuantizerParams
from slimline.targets.onnxruntime import to_onnx
from slimline.targets.registry import ONNX_RUNTIME
from slimline.targets.schemes import SCHEMES, ActivationType, SchemeChooser, WeightScales
from slimline.training import loader, loop, processes
from slimline.training.checkpoints import Checkpoints
from slimline.training.loop import Fitted
from slimline.training.scores import Score

_PHASE = "qat"


def finetune(
    model: Classifier,
    train: Split,
    calibration_images: Split,
    validation: Split,
    settings: QatFinetuneParams,
    *,
    seed: int,
    float_layers: Collection[str] = (),
    checkpoints: Checkpoints | None = None,
) -> tuple[Classifier, Fitted]:
    """Return the model with trained fake-quant, not yet converted, and what training did."""
    network = prepare_as(settings, model, float_layers)
    fitted = finetune_prepared(
        network,
        model,
        train,
        calibration_images,
        validation,
        settings,
        seed=seed,
        checkpoints=checkpoints,
    )
    return model.with_network(network), fitted


def finetune_prepared(
    network: fx.GraphModule,
    model: Classifier,
    train: Split,
    calibration_images: Split,
    validation: Split,
    settings: QatFinetuneParams,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Train a prepared network of a classifier in place, and return what that did.

    The curve begins at step 0, which is quantization without training; if nothing that training
    does is better on validation, that is what the network is left with.
    """
    calibrate(network, calibration_images, model, settings.calibrator)
    fitted = loop.fit(
        network,
        train,
        validation,
        as_trained(settings).recipe,
        preprocessing=model.preprocessing,
        seed=seed,
        phase=_PHASE,
        teacher=model.network,
        after_step=_range_freezer(network, settings.observe),
        score=_score,
        checkpoints=checkpoints,
        kept_zeros=dict(network.named_parameters()),
    )
    finish(network)
    return fitted


def as_trained(settings: QatFinetuneParams) -> QatFinetuneParams:
    """Return the settings that training goes by, whatever precision other stages have.

    What is rounded to int8 is trained in full float32, and compilers don't know fake-quant.
    """
    recipe = settings.recipe
    step = recipe.step.model_copy(update={"precision": "float32", "compile": False})
    return settings.model_copy(update={"recipe": recipe.model_copy(update={"step": step})})


def prepare_as(
    settings: QuantizerParams,
    model: Classifier,
    float_layers: Collection[str] = (),
    chooser: SchemeChooser = SCHEMES[ONNX_RUNTIME],
) -> fx.GraphModule:
    """Return a classifier's network, prepared as the settings say, as near as a target allows.

    Some layers may be left in float.
    """
    return prepare(
        model.network,
        model.example,
        **vars(chooser.choose(settings.scheme)),
        float_layers=float_layers,
        equalise=settings.equalise,
    )


def load_trained(
    prepared: fx.GraphModule, tensors: Mapping[str, Tensor], trained_as: ActivationType
) -> None:
    """Load what fake-quant learnt with activations of a type into a network prepared for any.

    The ranges stay as they are: what a byte stands for is the same, counted from another zero.
    """
    prepared.load_state_dict(dict(tensors), strict=True)
    lowest = torch.iinfo(activation_dtype(trained_as)).min

    def shift(each: FakeQuantizeBase) -> None:
        if each.qscheme == torch.per_tensor_affine:
            each.zero_point += torch.iinfo(each.dtype).min - lowest

    _for_each_fake_quant(prepared, shift)


def prepare(
    network: nn.Module,
    example: Tensor,
    *,
    weight_bits: int,
    activation_type: ActivationType = "uint8",
    weights: WeightScales = "per_channel",
    float_layers: Collection[str] = (),
    equalise: bool = False,
) -> fx.GraphModule:
    """Return the network as an exported graph with BatchNorm folded and fake-quant in place.

    `example` is float32 [2 or more, channels, height, width]; the graph takes any batch from 1 up.

    Raises:
        NetworkError: `forward` cannot be followed, or changes a part of a rounded value in place.
    """
    quantizer = OrtQuantizer(
        weight_bits=weight_bits,
        activation_type=activation_type,
        weights=weights,
        float_layers=float_layers,
    )
    if equalise:
        network = folded_modules.fold(network)
        equalisation.equalise(network)
    folded = exported_graph.folded(network, example)
    with to_onnx.quiet_exporter():
        prepared: fx.GraphModule = prepare_qat_pt2e(folded, quantizer)
    in_place.refuse_lost(prepared)
    return prepared


def convert(network: fx.GraphModule) -> fx.GraphModule:
    """Return a prepared network with quantize and dequantize operators instead of fake-quant."""
    with to_onnx.quiet_exporter():
        converted: fx.GraphModule = convert_pt2e(network)
    for module in converted.modules():
        module.training = False
    return converted


def calibrate(
    network: fx.GraphModule,
    images: Split,
    model: Classifier,
    calibrator: Calibrator = "minmax",
) -> None:
    """Set the first ranges of activations from images that no later score is measured on.

    Says so where many of them show nothing, which no range tells of later.
    """
    flat: list[int] = []

    def run() -> None:
        flat.clear()
        with torch.no_grad():
            for batch, _ in loader.fixed_batches(images, model.preprocessing):
                flat.append(calibration.count_flat(batch))
                network(batch)

    _for_each_fake_quant(network, lambda each: each.disable_fake_quant())
    run()
    of_ranges = calibration.set_ranges(network, calibrator, run)
    _for_each_fake_quant(network, lambda each: each.enable_fake_quant())
    for told in (calibration.warning(sum(flat), len(images)), *of_ranges):
        if told:
            print(told)


def finish(network: fx.GraphModule) -> None:
    """Make a trained network answer as its int8 file will: ranges frozen, biases in their steps."""
    freeze_ranges(network)
    bias_rounding.round_to_steps(network)


def freeze_ranges(network: nn.Module) -> None:
    """Let no further image change a range."""
    _for_each_fake_quant(network, lambda each: each.disable_observer())


def _score(network: nn.Module, images: Split, preprocessing: Preprocessing) -> Score:
    """Measure a network as if its training ended here, and leave it as it was.

    No image that is scored may widen a range.
    """
    assert isinstance(network, fx.GraphModule)
    fake_quants = [each for each in network.modules() if isinstance(each, FakeQuantizeBase)]
    observing = [each for each in fake_quants if each.observer_enabled.item()]
    unrounded = [each.detach().clone() for each in network.parameters()]
    finish(network)
    score = loop.measure(network, images, preprocessing)
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), unrounded, strict=True):
            parameter.copy_(values)
    for each in observing:
        each.enable_observer()
    return score


def _range_freezer(network: fx.GraphModule, observe: float) -> Callable[[int, int], None]:
    """Return a hook that freezes all ranges at the given share of the run, of one step at least.

    Of several processes each has seen its share of a batch: the range of all is that of the batch.
    """

    def freeze(step: int, steps: int) -> None:
        last = max(1, round(observe * steps))
        if processes.count() > 1 and step <= last:
            _widen_to_all(network)
        _start_step(network)
        if step == last:
            freeze_ranges(network)

    _start_step(network)
    return freeze


def _start_step(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, RangeObserver):
            module.start_step()


def _widen_to_all(network: nn.Module) -> None:
    """Make every range the one that all processes together have seen."""
    fake_quants = [each for each in network.modules() if isinstance(each, FakeQuantizeBase)]
    observers = [each.activation_post_process for each in fake_quants]
    processes.widen((each.min_val for each in observers), (each.max_val for each in observers))
    for each in fake_quants:
        scale, zero_point = each.calculate_qparams()
        each.scale.copy_(scale)
        each.zero_point.copy_(zero_point)


def _for_each_fake_quant(network: nn.Module, action: Callable[[FakeQuantizeBase], object]) -> None:
    for module in network.modules():
        if isinstance(module, FakeQuantizeBase):
            action(module)
