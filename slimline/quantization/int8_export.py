"""The product: an int8 ONNX file in QDQ form, made from fake-quant and checked against it."""

import copy
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import fx

from slimline import files
from slimline.artifacts import description, model_folder
from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.parity import int8_parity, layer_parity
from slimline.quantization import mixed_record, qat
from slimline.quantization.settings import Int8ExportParams, QatFinetuneParams
from slimline.targets import runtimes
from slimline.targets.exporters import EXPORTERS
from slimline.targets.registry import ONNX_RUNTIME
from slimline.targets.runtimes import RUNTIMES
from slimline.targets.schemes import SCHEMES, SchemeChooser
from slimline.training import loop

_NUM_LOOKED_INTO = 50
"""Images on which two forms are compared layer by layer."""


def load_prepared(folder: Path, chooser: SchemeChooser = SCHEMES[ONNX_RUNTIME]) -> Classifier:
    """Return the fake-quant model of a `qat_finetune` folder, rebuilt without pickle.

    It answers alike for any target; what differs is how a target spells the same ranges.

    Raises:
        ArtifactError: the folder is incomplete, or its weights are not those of its description.
    """
    model, tensors = model_folder.load_parts(folder)
    content = description.read(folder)
    settings = QatFinetuneParams.model_validate(content["settings"])
    classifier.fit_shapes(model.network, {key: list(each.shape) for key, each in tensors.items()})
    prepared = qat.prepare_as(
        settings, model, mixed_record.float_layers(mixed_record.read(content)), chooser
    )
    qat.load_trained(prepared, tensors, settings.activation_type)
    qat.freeze_ranges(prepared)
    return model.with_network(prepared)


def save(
    target: Path,
    model: Classifier,
    validation: Split,
    settings: Int8ExportParams,
    *,
    parent: Path,
    num_threads: int,
) -> int8_parity.Parity:
    """Convert a fake-quant model, write its folder, and return how the two compare.

    Raises:
        ParityError: they differ by more than the settings allow, or in a layer by more than
            rounding; nothing is written then.
    """
    runtime, exporter = RUNTIMES[ONNX_RUNTIME], EXPORTERS[ONNX_RUNTIME]
    options = settings.model_dump(include={"pad_channels", "opset", "ir_version"})
    trained = loop.predict(model.network, validation, model.preprocessing)
    assert isinstance(model.network, fx.GraphModule)
    # Where it was scored on a GPU, it is looked into on the CPU, as its file.
    network = copy.deepcopy(model.network).cpu()
    converted = qat.convert(model.network)
    with files.replacing(target) as folder:
        path = folder / description.ONNX
        about = exporter.write(converted, model.example, path, **options)
        written, optimised = (
            runtimes.predict(
                partial(
                    runtime.run,
                    runtime.load(path, num_threads=num_threads, optimised=optimised),
                ),
                validation.images,
                model.preprocessing,
            )
            for optimised in (False, True)
        )
        compared = int8_parity.compare(trained.numpy(), written, optimised, validation.labels)
        broken = compared.broken(settings)
        few = model.preprocessing.normalise(validation.images[:_NUM_LOOKED_INTO])
        if broken is not None:
            where = layer_parity.explain(
                network, path, few, optimised=broken.optimised, num_threads=num_threads
            )
            raise ParityError(f"{broken.text}; {where}")
        _check_layers(network, path, few, num_threads=num_threads)
        content = model_folder.describe(
            model, data=validation, settings=settings, parent=parent
        ) | {
            **about,
            "parity": compared.to_dict(),
            description.VALIDATION_TOP1: compared.top1_int8,
        }
        description.write(folder, content)
    return compared


def _check_layers(
    network: fx.GraphModule, path: Path, images: NDArray[np.float32], *, num_threads: int
) -> None:
    """Refuse a file of which a layer differs by more than rounding, given the same values.

    A layer that is a little wrong moves few answers and no logit far, and is wrong all the same
    (docs/decisions/0016-parity-by-layer.md).

    Raises:
        ParityError: one does; the text names it.
    """
    if not layer_parity.is_comparable(network, path):
        print(
            "int8_export: logits and answers were compared, layers were not: the file has others "
            "than the network"
        )
        return
    for optimised, how in ((False, "written"), (True, "optimised")):
        parting = layer_parity.first_parting(
            network, path, images, optimised=optimised, num_threads=num_threads
        )
        if parting is not None:
            raise ParityError(
                f"int8_export: fake-quant and ONNX Runtime, running the file as it is {how}, keep "
                f"all bounds, but part at layer {parting.name}, which differs by up to "
                f"{parting.steps:.0f} of {layer_parity.INT8_LEVELS} steps where rounding explains "
                "one: that layer is exported wrongly. quantization.mixed.float_layers can keep it "
                "in float until that is mended"
            )
