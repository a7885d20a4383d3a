"""Whether settings, networks and data fit each other, looked at before anything is trained.

Both networks are built as their stages will build them, checkpoints read, a batch sent through; so
nothing of this is found out an hour later.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slimline import params
from slimline.errors import NetworkError, ParamsError, ParityError
from slimline.params import PARAMS_PATH

if TYPE_CHECKING:
    from torch import fx

    from slimline.data.split_files import Split
    from slimline.networks.classifier import Classifier
    from slimline.pruning.settings import PruneSettings
    from slimline.quantization.mixed_record import LayerChoice
    from slimline.quantization.settings import (
        Int8ExportParams,
        Int8PtqParams,
        QatFinetuneParams,
        QuantizerParams,
    )
    from slimline.targets.schemes import SchemeChooser
    from slimline.training.backbone_swap import BackboneSwapParams
    from slimline.training.baseline_train import BaselineTrainParams
    from slimline.training.settings import Recipe

_FEW = 8
"""Images that show which layers can be pruned, and that give first ranges."""


@dataclass(frozen=True)
class Settings:
    """Sections of the stages that make models."""

    baseline: BaselineTrainParams
    swap: BackboneSwapParams
    prune: PruneSettings
    qat: QatFinetuneParams
    ptq: Int8PtqParams
    export: Int8ExportParams
    targets: Sequence[str] = ()
    """Other runtimes that the product is written for."""

    @property
    def quantizers(self) -> dict[str, QuantizerParams]:
        """All that quantize, by their section."""
        return {"qat_finetune": self.qat, "int8_ptq": self.ptq}

    @property
    def recipes(self) -> dict[str, Recipe]:
        """All that are trained, by their place in `params.yaml`."""
        found = {
            "baseline_train.recipe": self.baseline.recipe,
            "backbone_swap.frozen": self.swap.frozen,
            "backbone_swap.unfrozen": self.swap.unfrozen,
            "prune.recover": self.prune.recover,
            "qat_finetune.recipe": self.qat.recipe,
        }
        return {place: recipe for place, recipe in found.items() if recipe.epochs > 0}


def check(settings: Settings, train: Split, weights_folder: Path) -> None:
    """Build both networks and compare the settings with them and with the training images.

    Raises:
        ParamsError: a batch is larger than the set, images are too small for a network, a pattern
            fits no layer, or the opset is too old for an operator.
        NetworkError: a network that the registry does not have cannot be written as .onnx, or is
            another when it is read back.
        PretrainedError: weights cannot be had, or do not fit.
        TargetError: a target cannot take a network that the registry does not have.
        ParityError: what is written of it for a target answers otherwise.
    """
    from slimline.networks import classifier
    from slimline.training import backbone_swap

    _check_batches(settings.recipes, len(train))
    _report_small_cuts(settings.recipes, train)
    baseline = classifier.build(
        settings.baseline, train, weights_folder, unchanged=settings.baseline.recipe.epochs == 0
    )
    _check_images(baseline, "baseline_train")
    few = _few(train)
    _check_float_file(baseline, few, "baseline_train")
    swapped = backbone_swap.begin(baseline, train, settings.swap, weights_folder)
    _check_images(swapped, "backbone_swap")
    _check_float_file(swapped, few, "backbone_swap")
    _check_layers(swapped, few, settings)


def _check_batches(recipes: Mapping[str, Recipe], count: int) -> None:
    written = params.read(PARAMS_PATH)
    mistakes = {
        params.where(f"{place}.batch_size", written): recipe.batch_size
        for place, recipe in recipes.items()
        if recipe.batch_size > count
    }
    if mistakes:
        raise ParamsError(
            [
                f"{PARAMS_PATH}: {key}: must be at most {count}, as many images as there are to "
                f"train on (given {given})"
                for key, given in mistakes.items()
            ]
        )


def _report_small_cuts(recipes: Mapping[str, Recipe], train: Split) -> None:
    """Tell of random cuts for which large photos are stored too small (decision 24)."""
    from slimline.data.split_files import ImageFiles
    from slimline.training import augmentation

    written, frame = params.read(PARAMS_PATH), train.preprocessing
    if not isinstance(train.images, ImageFiles) or written["data"]["store"] != "resized":
        return
    size = max(frame.height, frame.width)
    cuts = {
        params.where(f"{place}.augment.crop", written): recipe.augment.crop
        for place, recipe in recipes.items()
        if augmentation.least_size(recipe.augment, size) > frame.least
    }
    for key, crop in cuts.items():
        print(
            f"{key}: the smallest random cuts of large JPEGs are enlarged (given {crop:g}); where "
            f"the set has any, they are stored with {frame.least} pixels a side or little more: "
            "data.store: original keeps all pixels, which every epoch then decodes"
        )


def _check_images(model: Classifier, section: str) -> None:
    """Send two black images through."""
    import torch

    from slimline.networks import users_code

    try:
        with torch.no_grad():
            model.network.eval()(model.example)
    except Exception as error:
        frame, reason = model.preprocessing, users_code.told(error)
        raise ParamsError(
            [
                f"{PARAMS_PATH}: data.image_size: images of {frame.height} pixels do not go "
                f"through {model.architecture.backbone} of {section} ({reason}); take larger "
                f"ones, or {section}.stem_stride 1"
            ]
        ) from None


def _few(train: Split) -> Split:
    rows = slice(0, _FEW)
    return replace(train, images=train.images[rows], labels=train.labels[rows])


def _check_layers(model: Classifier, few: Split, settings: Settings) -> None:
    from slimline.networks import reparameterisation
    from slimline.pruning import cost, widths
    from slimline.quantization import mixed_precision

    is_known = _is_known(model)
    model = reparameterisation.merged(model)  # as it is pruned and quantized
    has_target = settings.prune.target.given is not None
    if settings.prune.layers or has_target or not (is_known or settings.prune.is_idle):
        plan = settings.prune.survey(model, few)
        names = [name for group in plan.groups for name in group.layers]
        params.check_patterns(
            settings.prune.layers, names, key="prune.layers", kind="layer that can be pruned"
        )
        before = cost.count(model.network, model.example)
        widths.refuse_unreachable(plan, settings.prune, before)
    are_named = any(each.mixed.float_layers for each in settings.quantizers.values())
    if are_named or not is_known:
        # That a network which nobody has tried can be followed at all is found out here as well.
        names = list(mixed_precision.layers(model))
        for section, quantizer in settings.quantizers.items():
            key = f"quantization.mixed.float_layers, for {section}"
            params.check_patterns(quantizer.mixed.float_layers, names, key=key, kind="layer")
    _check_files(model, few, settings)


def _check_files(model: Classifier, few: Split, settings: Settings) -> None:
    """Write an untrained network in all forms that it will be written in.

    Which operators a form lacks does not depend on weights, nor does what a device's converter
    makes of them. Networks of the registry have all, but for an older opset.
    """
    from slimline.networks import untrained
    from slimline.pruning import batchnorm_statistics
    from slimline.quantization import mixed_precision, qat, read_back
    from slimline.targets import device_schemes
    from slimline.targets.onnxruntime import exporter, runtime, to_onnx
    from slimline.targets.registry import ONNX_RUNTIME
    from slimline.targets.schemes import SCHEMES

    export, is_known = settings.export, _is_known(model)
    if is_known and export.opset >= to_onnx.OPSET:
        return
    model = model.with_network(copy.deepcopy(model.network))
    # Else signals die out in deep networks, and ranges of nothing may be refused.
    untrained.wake(model.network)
    batchnorm_statistics.recompute(model, few)
    choices = mixed_precision.named(model, settings.qat.mixed)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / runtime.FILE
        prepared = _fake_quant(model, few, settings.qat, choices, SCHEMES[ONNX_RUNTIME])
        options = export.model_dump(include={"form", "pad_channels", "opset", "ir_version"})
        exporter.write(qat.convert(copy.deepcopy(prepared)), model.example, path, **options)
        if is_known:
            return
        _check_answers(prepared, model, few, path)
        trained, folder = model.with_network(prepared), Path(scratch, "qat")
        read_back.through(folder, trained, settings.qat, choices, data=few)
        for target in settings.targets:
            scheme = device_schemes.SCHEMES[target]
            prepared = _fake_quant(model, few, settings.qat, choices, scheme)
            _check_device_file(prepared, model, few, target, Path(scratch))


def _check_answers(network: fx.GraphModule, model: Classifier, few: Split, path: Path) -> None:
    """Let the int8 .onnx of a fake-quant network answer.

    Raises:
        ParityError: it answers otherwise.
    """
    from slimline.quantization import int8_export
    from slimline.training import loop

    frame, num_threads = model.preprocessing, params.load_run().num_threads
    answers = int8_export.both_ways(path, few, frame, num_threads=num_threads)
    logits = (loop.predict(network, few, frame).numpy(), *answers)
    int8_export.check_layers(
        network, path, few, frame, logits, num_threads=num_threads, stage="check_networks"
    )


def _check_device_file(
    network: fx.GraphModule, model: Classifier, few: Split, target: str, scratch: Path
) -> None:
    """Write the file of a fake-quant network for a device, and let it answer.

    Raises:
        TargetError: the target cannot take the network.
        ParityError: what its converter wrote answers otherwise.
    """
    import torch

    from slimline.quantization import int8_export, qat
    from slimline.targets import device_exporters, device_runtimes, runtimes

    runtime, stage = device_runtimes.RUNTIMES[target], "check_networks"
    path, images = scratch / runtime.FILE, model.preprocessing.normalise(few.images[:])
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    converted = qat.convert(copy.deepcopy(network))
    device_exporters.EXPORTERS[target].write(converted, model.example, path)
    answer = partial(runtime.run, runtime.load(path, num_threads=1))
    found = runtimes.predict(answer, few.images, model.preprocessing)
    who = f"fake-quant and {target}"
    int8_export.check_logits(network, images, expected, found, who=who, stage=stage)


def _fake_quant(
    model: Classifier,
    few: Split,
    settings: QatFinetuneParams,
    choices: Sequence[LayerChoice],
    scheme: SchemeChooser,
) -> fx.GraphModule:
    """Return a network in fake-quant as a target wants it, with ranges of a few images."""
    from slimline.quantization import mixed_record, qat

    floats = mixed_record.float_layers(choices)
    prepared = qat.prepare_as(settings, model, floats, scheme)
    qat.calibrate(prepared, few, model)
    qat.finish(prepared)
    return prepared


def _check_float_file(model: Classifier, few: Split, section: str) -> None:
    """Write the .onnx of an untrained network that nobody has tried, and compare the two."""
    from slimline.parity import float_parity
    from slimline.pruning import batchnorm_statistics
    from slimline.targets.onnxruntime import runtime, to_onnx

    if _is_known(model):
        return
    model = model.with_network(copy.deepcopy(model.network))
    batchnorm_statistics.recompute(model, few)  # else nothing may be left to compare
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / runtime.FILE
        try:
            to_onnx.write_onnx(model.network.eval(), model.example, path)
            float_parity.check(model, few, path, num_threads=params.load_run().num_threads)
        except (NetworkError, ParityError) as error:
            raise type(error)(f"{PARAMS_PATH}: {section}.backbone: {error}") from None


def _is_known(model: Classifier) -> bool:
    from slimline.networks.registry import REGISTRY

    return model.architecture.backbone in REGISTRY
