"""The product for another runtime than ONNX Runtime's: the same trained ranges, checked alike."""

import copy
from functools import partial
from pathlib import Path

import torch
from torch import fx

from slimline import files
from slimline.artifacts import description, model_folder
from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.parity import int8_parity
from slimline.quantization import int8_export, logit_steps, qat
from slimline.quantization.settings import Int8ExportParams
from slimline.targets import (
    device_exporters,
    device_runtimes,
    device_schemes,
    quantized_graph,
    runtimes,
)
from slimline.targets.onnxruntime.passes.answer_pair import Steps
from slimline.training import loop


def save(
    folder: Path,
    source: Path,
    validation: Split,
    settings: Int8ExportParams,
    *,
    target: str,
    num_threads: int,
    calibration: Split | None = None,
) -> int8_parity.Parity:
    """Write the folder of a fake-quant model for a target, and return how the two compare.

    Its layers are others than the network's: it is judged by its logits, against what rounding
    explains. Where settings quantize logits, their range is that of `calibration`, or else of
    `validation`.

    Raises:
        ArtifactError: `source` is no folder of a fake-quant model.
        TargetError: the packages of the target are not installed.
        ParityError: the file differs from fake-quant by more than the settings allow; nothing is
            written then.
    """
    runtime = device_runtimes.RUNTIMES[target]
    trained = int8_export.load_prepared(source)
    assert isinstance(trained.network, fx.GraphModule)
    # Where it is scored on a GPU, it stays there; it is looked into on the CPU.
    network = copy.deepcopy(trained.network)
    plain = loop.predict(trained.network, validation, trained.preprocessing).numpy()
    expected, step = plain, 0.0
    model = int8_export.load_prepared(source, device_schemes.SCHEMES[target])
    assert isinstance(model.network, fx.GraphModule)
    prepared = model.network.cpu()
    steps = _answer_steps(trained, prepared, calibration or validation, settings)
    converted = qat.convert(prepared)
    if steps is not None and not quantized_graph.answers_in_bytes(converted):
        quantized_graph.round_answer(converted, float(steps.scale), torch.tensor(steps.zero))
        expected, step = steps.clip(plain), float(steps.scale)
    with files.replacing(folder) as partial_folder:
        path = partial_folder / runtime.FILE
        about = device_exporters.EXPORTERS[target].write(converted, model.example, path)
        answer = partial(runtime.run, runtime.load(path, num_threads=num_threads))
        logits = runtimes.predict(answer, validation.images, model.preprocessing)
        compared = int8_parity.compare(expected, logits, logits, validation.labels)
        rows = int8_parity.to_look_into(expected, logits, logits)
        images = trained.preprocessing.normalise(validation.images[rows])
        stage = f"device_export@{target}"
        who = f"fake-quant and {target}"
        int8_export.check_logits(network, images, expected, logits, step=step, who=who, stage=stage)
        int8_export.check_accuracy(compared, settings, runtime=target, stage=stage)
        content = model_folder.describe(
            model, data=validation, settings=settings, parent=source, target=target
        ) | {
            **about,
            "parity": compared.to_dict(),
            description.VALIDATION_TOP1: compared.top1_int8,
        }
        description.write_labels(partial_folder, model.classes)
        description.write(partial_folder, content)
    return compared


def _answer_steps(
    trained: Classifier, prepared: fx.GraphModule, images: Split, settings: Int8ExportParams
) -> Steps | None:
    """Return the steps of the logits, of the type of a target's bytes; None where they stay."""
    if not settings.quantized_logits:
        return None
    logits = loop.predict(trained.network, images, trained.preprocessing)
    return logit_steps.find(prepared, logits.numpy())
