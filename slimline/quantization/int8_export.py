"""The product: an int8 ONNX file in QDQ form, made from fake-quant and checked against it."""

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, fx

from slimline import files
from slimline.artifacts import description, model_folder, model_interface
from slimline.artifacts.model_interface import LOGITS, Interface
from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_pixels import RawPixels
from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.measure import softmax
from slimline.networks import classifier, state
from slimline.networks.classifier import Classifier
from slimline.parity import int8_parity, layer_parity, rounding_noise
from slimline.parity.int8_parity import Logits, Parity
from slimline.quantization import float_operators, float_work, logit_steps, mixed_record, qat
from slimline.quantization.operators import WEIGHTED, tensor_inputs
from slimline.quantization.settings import Int8ExportParams, QatFinetuneParams
from slimline.targets import runtimes
from slimline.targets.exporters import EXPORTERS
from slimline.targets.onnxruntime import interface, onnx_file
from slimline.targets.onnxruntime.passes.answer_pair import Steps
from slimline.targets.registry import ONNX_RUNTIME
from slimline.targets.runtimes import RUNTIMES, Deployable
from slimline.targets.schemes import SCHEMES, SchemeChooser
from slimline.training import loop

_SAME = 1e-5
"""Share of the largest answer: float32 sums of equal bytes may be added in another order."""

_ROUNDING = 1e-4
"""Share of the largest logit that sums of floats may be off in two ways to run a file."""

_HALF = 0.5 + 0.1
"""Steps that rounding may move a logit by, as it may any byte (`slimline.parity.layer_parity`)."""

_RUNTIME = "ONNX Runtime, running the file as it is"


def load_prepared(folder: Path, chooser: SchemeChooser = SCHEMES[ONNX_RUNTIME]) -> Classifier:
    """Return the fake-quant model of a `qat_finetune` folder, rebuilt without pickle.

    It answers alike for any target; what differs is how a target spells the same ranges.

    Raises:
        ArtifactError: the folder is incomplete, or its weights are not those of its description.
    """
    model, tensors = model_folder.load_parts(folder)
    content = description.read(folder)
    settings = QatFinetuneParams.model_validate(content["settings"])
    shapes = {key: list(each.shape) for key, each in tensors.items()}
    classifier.fit_shapes(model.network, shapes, model.example)
    state.untie(model.network, tensors)
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
    calibration: Split | None = None,
) -> Parity:
    """Convert a fake-quant model, write its folder, and return how the two compare.

    Where settings quantize logits, their range is that of `calibration`, or else of `validation`.

    Raises:
        ParityError: they differ by more than the settings allow, or in a layer by more than
            rounding; nothing is written then.
    """
    exporter = EXPORTERS[ONNX_RUNTIME]
    options = settings.model_dump(include={"form", "pad_channels", "opset", "ir_version"})
    trained = loop.predict(model.network, validation, model.preprocessing)
    assert isinstance(model.network, fx.GraphModule)
    # Where it was scored on a GPU, it is looked into on the CPU, as its file.
    network = copy.deepcopy(model.network).cpu()
    converted = qat.convert(model.network)
    with files.replacing(target) as folder:
        path = folder / description.ONNX
        about = exporter.write(converted, model.example, path, **options)
        written, optimised = both_ways(
            path, validation, model.preprocessing, num_threads=num_threads
        )
        logits = trained.numpy(), written, optimised
        check_layers(
            network, path, validation, model.preprocessing, logits, num_threads=num_threads
        )
        step = 0.0
        if settings.quantized_logits:
            calibrated = Deployable(path).predict(
                (calibration or validation).images, model.preprocessing, num_threads=num_threads
            )
            steps = logit_steps.find(network, calibrated)
            interface.round_logits(path, steps)
            rounded = both_ways(path, validation, model.preprocessing, num_threads=num_threads)
            check_rounding(steps, (written, optimised), rounded)
            (written, optimised), step = rounded, float(steps.scale)
        compared = int8_parity.compare(trained.numpy(), written, optimised, validation.labels)
        check_accuracy(compared, settings)
        asked = model_interface.of(
            model.preprocessing, takes=settings.input, answers=settings.answer
        )
        in_float = _in_float(network, model.example, path)
        _tell(in_float)
        if in_float.get("in_float", {}).get("layers"):
            # That was measured with all layers in int8.
            about = {key: each for key, each in about.items() if key != "faster_from_onnxruntime"}
        content = model_folder.describe(
            model, data=validation, settings=settings, parent=parent
        ) | {
            **about,
            **asked.describe(),
            **in_float,
            "parity": compared.to_dict(),
            description.VALIDATION_TOP1: compared.top1_int8,
        }
        metadata = interface.labelled(model.classes, asked.frame, content["sha256"]["settings"])
        interface.rewrite(
            path,
            asked.frame,
            answers=asked.answers,
            metadata=metadata,
            paired=settings.form == "portable",
        )
        check_interface(
            asked, path, validation, written, optimised, step=step, num_threads=num_threads
        )
        description.write(folder, content)
    return compared


def both_ways(
    path: Path, images: Split, frame: Preprocessing, *, num_threads: int
) -> tuple[Logits, Logits]:
    """Return what a file answers, run as it is written and as ONNX Runtime optimises it."""
    runtime = RUNTIMES[ONNX_RUNTIME]
    written, optimised = (
        runtimes.predict(
            partial(runtime.run, runtime.load(path, num_threads=num_threads, optimised=optimised)),
            images.images,
            frame,
        )
        for optimised in (False, True)
    )
    return written, optimised


def check_rounding(
    steps: Steps, before: tuple[Logits, Logits], rounded: tuple[Logits, Logits]
) -> None:
    """Refuse a file whose quantized logits are further from what they were than half a step.

    Both are of all validation images, as written and as optimised.

    Raises:
        ParityError: some are.
    """
    for plain, found, how in zip(before, rounded, ("written", "optimised"), strict=True):
        difference = float(np.abs(found - steps.clip(plain)).max() / steps.scale)
        if not difference <= _HALF:  # NaN is not
            raise ParityError(
                f"int8_export: with quantized_logits {_RUNTIME} {how}, gives logits "
                f"{difference:.3g} steps from those without, where rounding explains half a step: "
                "please report it; int8_export.quantized_logits: false goes around it"
            )


def check_interface(
    asked: Interface,
    path: Path,
    validation: Split,
    written: Logits,
    optimised: Logits,
    *,
    step: float = 0.0,
    num_threads: int,
) -> None:
    """Refuse a file that answers otherwise since it takes pixels or gives probabilities.

    `written` and `optimised` are the logits before, run either way, in steps of `step` where they
    are quantized: a float sum that is added in another order may turn one of them by a step.

    Raises:
        ParityError: it does.
    """
    if not isinstance(asked.frame, RawPixels) and asked.answers == LOGITS:
        return
    runtime = RUNTIMES[ONNX_RUNTIME]
    for before, is_optimised in ((written, False), (optimised, True)):
        loaded = runtime.load(path, num_threads=num_threads, optimised=is_optimised)
        found = runtimes.predict(partial(runtime.run, loaded), validation.images, asked.frame)
        if asked.answers == LOGITS:
            expected, allowed = before, step
        else:
            expected = np.exp(softmax.log_shares(before))
            allowed = expected * np.expm1(2 * step)
        difference = float(np.maximum(np.abs(found - expected) - allowed, 0).max())
        if not difference <= _SAME * float(np.abs(expected).max()):  # NaN is not
            raise ParityError(
                f"int8_export: with input {asked.frame!r} and answer {asked.answers} the file "
                f"answers otherwise than without, by {difference:.3g}: it is rewritten wrongly, "
                "please report it; int8_export.input: float32 and answer: logits go around it"
            )


def _in_float(network: fx.GraphModule, example: Tensor, path: Path) -> dict[str, Any]:
    """Return what `model.json` says of the work that is left in float; nothing where none is.

    That is quantized layers which ONNX Runtime runs in float all the same, products of two computed
    matrices, as in attention, and layers that have no int8 form, with percent of the work.
    """
    chosen = [
        (float_operators.layer_name(node), tensor_inputs(node)[1].op != "get_attr")
        for node in network.graph.nodes
        if node.target in WEIGHTED
    ]
    nodes, executed = list(onnx_file.weight_entries(path)), onnx_file.executed_in_int8(path)
    layers = [
        name
        for (name, is_quantized), node in zip(chosen, nodes, strict=False)
        if is_quantized and node not in executed and len(chosen) == len(nodes)
    ]
    products = onnx_file.product_share(path)
    found: dict[str, Any] = {"layers": layers, "products_share": round(products, 1)}
    others = float_work.by_layer(network, example)
    if others:
        found["others"] = others
    return {"in_float": found} if layers or products or others else {}


def _tell(in_float: Mapping[str, Any]) -> None:
    """Say, while it runs, which layers have no int8 form, so that nobody waits for a gain."""
    others = in_float.get("in_float", {}).get("others", {})
    if others:
        print(f"int8_export: {float_work.told(others)}")


def check_layers(
    network: fx.GraphModule,
    path: Path,
    validation: Split,
    frame: Preprocessing,
    logits: tuple[Logits, Logits, Logits],
    *,
    num_threads: int,
    stage: str = "int8_export",
) -> None:
    """Refuse a file of which a layer differs by more than rounding, given the same values.

    `logits` are of all validation images: fake-quant's, and the file's `both_ways`. By them a file
    is judged whose layers cannot be compared (docs/decisions/0016-parity-by-layer.md), and one that
    answers otherwise than while its layers were looked into, since other operators are fused then.

    Raises:
        ParityError: one does; the text names it.
    """
    rows = int8_parity.to_look_into(*logits)
    images = frame.normalise(validation.images[rows])
    trained, *others = logits
    for found, optimised, how in zip(others, (False, True), ("written", "optimised"), strict=True):
        compared = layer_parity.compare(
            network, path, images, optimised=optimised, num_threads=num_threads
        )
        runtime = f"{_RUNTIME} {how}"
        if compared is None:
            print(
                f"{stage}: {runtime}, has other layers than the network, so that logits are "
                "compared alone"
            )
            who = f"fake-quant and {runtime}"
            check_logits(network, images, trained, found, who=who, stage=stage)
            continue
        if compared.parting is not None:
            raise ParityError(
                f"{stage}: fake-quant and {runtime}, part "
                f"at layer {compared.parting}: that layer is exported or executed wrongly. "
                "quantization.mixed.float_layers can keep it in float until that is mended"
            )
        rounding = _ROUNDING * float(np.abs(compared.logits).max())
        if not np.allclose(compared.logits, found[rows], rtol=0, atol=rounding):
            who = f"{runtime}, and the same while its layers are looked into"
            check_logits(network, images, compared.logits, found[rows], who=who, stage=stage)


def check_logits(
    network: fx.GraphModule,
    images: NDArray[np.float32],
    trained: Logits,
    found: Logits,
    *,
    who: str,
    step: float = 0.0,
    stage: str = "int8_export",
) -> None:
    """Refuse a file whose logits differ from others by more than rounding carried on.

    `network` is fake-quant, and `images` normalised; `trained` and `found` are logits of the same
    images, as all of validation, the second rounded to a `step` of their own where there is one.
    `who` is how the text calls what gave them.

    Raises:
        ParityError: they do.
    """
    rms = int8_parity.root_mean_square
    plain, otherwise = rounding_noise.logits(network, images)
    explained, difference = rms(plain, otherwise) + step / 2, rms(trained, found)
    print(
        f"{stage}: {who}: logits differ by {difference:.3g} (root mean square), where rounding "
        f"explains {explained:.3g}"
    )
    if not difference <= explained:  # NaN is more
        raise ParityError(
            f"{stage}: {who}, differ in logits by {difference:.3g} (root mean "
            f"square), where rounding every value otherwise explains {explained:.3g}: the file is "
            "exported or executed wrongly. quantization.mixed.float_layers can keep layers in "
            "float until that is mended"
        )


def check_accuracy(
    compared: Parity,
    settings: Int8ExportParams,
    *,
    runtime: str = "ONNX Runtime",
    stage: str = "int8_export",
) -> None:
    """Refuse a file that is what was trained, and in which rounding costs too much all the same.

    Raises:
        ParityError: it does, beyond chance.
    """
    least = compared.least_top1_difference
    if not least <= settings.max_top1_difference:
        raise ParityError(
            f"{stage}: accuracy on {compared.images} validation images is "
            f"{compared.top1_fake_quant:.2f} % in fake-quant and {compared.top1_int8:.2f} % in "
            f"{runtime}, beyond chance {least:.2f} points apart; int8_export."
            f"max_top1_difference allows {settings.max_top1_difference} points. The file is what "
            "was trained, so that it is rounding which adds up: train longer "
            "(qat_finetune.recipe.epochs), keep layers in float (quantization.mixed), or allow more"
        )
