"""The product: an int8 ONNX file in QDQ form, made from fake-quant and checked against it."""

import copy
from pathlib import Path

from torch import Tensor, fx

from slimline.core import (
    artifacts,
    classifier,
    description,
    export,
    portability,
    serialize,
    training,
)
from slimline.core.classifier import Classifier
from slimline.core.data import Split
from slimline.core.errors import ParityError
from slimline.measure import int8_layers, parting, session
from slimline.quantization import (
    biases,
    defaults,
    gates,
    grey_stem,
    islands,
    moves,
    opsets,
    padding,
    parity,
    pooling,
    qat,
    trailing,
)
from slimline.quantization.settings import Int8ExportParams, QatFinetuneParams

_NUM_LOOKED_INTO = 32
"""Images with which the layer is found at which two forms part."""


def load_prepared(folder: Path) -> Classifier:
    """Return the fake-quant model of a `qat_finetune` folder, rebuilt without pickle.

    Raises:
        ArtifactError: the folder is incomplete, or its weights are not those of its description.
    """
    model, tensors = artifacts.load_parts(folder)
    content = description.read(folder)
    settings = QatFinetuneParams.model_validate(content["settings"])
    classifier.fit_shapes(model.network, {key: list(each.shape) for key, each in tensors.items()})
    prepared = qat.prepare_as(settings, model, int8_layers.float_layers(int8_layers.read(content)))
    prepared.load_state_dict(tensors, strict=True)
    qat.freeze_ranges(prepared)
    return model.with_network(prepared)


def write(
    converted: fx.GraphModule,
    example: Tensor,
    path: Path,
    *,
    pad_channels: bool = False,
    opset: int = export.OPSET,
    ir_version: int = export.IR_VERSION,
) -> None:
    """Export a converted network to an .onnx that ONNX Runtime executes in int8.

    `example` is float32 [2 or more, channels, height, width]. What can be chosen is described in
    `slimline.quantization.settings.Int8ExportParams`.

    Raises:
        ParamsError: the opset is too old for an operator of the network.
    """
    exported = export.to_onnx(converted, example)
    gates.to_integers(exported)
    biases.make_room(exported)
    pooling.pool_means(exported)
    moves.move_bytes(exported)
    if pad_channels:
        padding.pad(exported)
    grey_stem.widen(exported)
    islands.keep_float(exported)
    biases.quantize(exported)
    trailing.leave_out(exported)
    opsets.set_versions(exported, opset=opset, ir_version=ir_version)
    defaults.leave_out(exported)
    export.save(exported, path)


def save(
    target: Path,
    model: Classifier,
    validation: Split,
    settings: Int8ExportParams,
    *,
    parent: Path,
    num_threads: int,
) -> parity.Parity:
    """Convert a fake-quant model, write its folder, and return how the two compare.

    Raises:
        ParityError: they differ by more than the settings allow; nothing is written then.
    """
    trained = training.predict(model.network, validation, model.preprocessing)
    assert isinstance(model.network, fx.GraphModule)
    network = copy.deepcopy(model.network)
    converted = qat.convert(model.network)
    with serialize.replacing(target) as folder:
        path = folder / description.ONNX
        write(
            converted,
            model.example,
            path,
            pad_channels=settings.pad_channels,
            opset=settings.opset,
            ir_version=settings.ir_version,
        )
        written, optimised = (
            session.predict(
                session.load(path, num_threads=num_threads, optimised=optimised),
                validation.images,
                model.preprocessing,
            )
            for optimised in (False, True)
        )
        compared = parity.compare(trained.numpy(), written, optimised, validation.labels)
        broken = compared.broken(settings)
        if broken is not None:
            where = parting.explain(
                network,
                path,
                model.preprocessing.normalise(validation.images[:_NUM_LOOKED_INTO]),
                optimised=broken.optimised,
                num_threads=num_threads,
            )
            raise ParityError(f"{broken.text}; {where}")
        content = artifacts.describe(model, data=validation, settings=settings, parent=parent) | {
            **portability.describe(settings.opset, settings.ir_version),
            "parity": compared.to_dict(),
        }
        serialize.write_json(folder / description.DESCRIPTION, content)
    return compared
