"""What does int8 cost in each layer? Validation says it twice: one layer at a time, all but one.

What follows from the table is in `slimline.quantization.mixed_precision`.
"""

from dataclasses import replace

import numpy as np

from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.quantization import float_operators, qat
from slimline.quantization.int8_sensitivity_table import LayerSensitivity
from slimline.quantization.settings import QuantizationParams
from slimline.training import loop
from slimline.training.scores import Score


def scan(
    model: Classifier,
    calibration: Split,
    validation: Split,
    settings: QuantizationParams,
    *,
    images: int,
) -> list[LayerSensitivity]:
    """Return a row per convolution and linear layer, in the order in which an image meets them.

    Nothing is trained, and the model is left alone. A network is measured with fake-quant where
    the quantizer would put it if all layers but the one, or the one alone, were to stay float; the
    ranges are those of the calibration split. `images` of the validation split count, the first; 0
    means all.
    """
    rows = np.arange(min(images or len(validation), len(validation)))
    judged = replace(
        validation,
        images=split_files.take(validation.images, rows),
        labels=validation.labels[: len(rows)],
    )
    network = qat.prepare_as(settings, model)
    qat.calibrate(network, calibration, model, settings.calibrator)
    qat.freeze_ranges(network)
    names = float_operators.layers(network.graph)

    def measure(*float_layers: str) -> Score:
        left = float_operators.without_fake_quant(network, float_layers)
        return loop.measure(left, judged, model.preprocessing)

    in_float, in_int8 = measure(*names), measure()
    found = []
    for position, name in enumerate(names):
        alone, without = measure(*(each for each in names if each != name)), measure(name)
        row = LayerSensitivity(
            name,
            alone.top1,
            in_float.top1 - alone.top1,
            without.top1,
            without.top1 - in_int8.top1,
            in_float.mean_recall - alone.mean_recall,
            without.mean_recall - in_int8.mean_recall,
        )
        print(
            f"layer {position + 1} of {len(names)}: {name}: alone in int8 {row.lost:.2f} points "
            f"lost, alone in float {row.regained:.2f} regained"
        )
        found.append(row)
    return found
