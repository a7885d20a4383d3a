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

    def top1(*float_layers: str) -> float:
        left = float_operators.without_fake_quant(network, float_layers)
        return loop.top1(left, judged, model.preprocessing)

    in_float, in_int8 = top1(*names), top1()
    found = []
    for position, name in enumerate(names):
        alone, without = top1(*(each for each in names if each != name)), top1(name)
        row = LayerSensitivity(name, alone, in_float - alone, without, without - in_int8)
        print(
            f"layer {position + 1} of {len(names)}: {name}: alone in int8 {row.lost:.2f} points "
            f"lost, alone in float {row.regained:.2f} regained"
        )
        found.append(row)
    return found
