"""What does int8 cost in each layer? Validation says it twice: one layer at a time, all but one.

What follows from the table is in `slimline.quantization.mixed`.
"""

from dataclasses import replace

import numpy as np

from slimline.core import data, training
from slimline.core.classifier import Classifier
from slimline.core.data import Split
from slimline.quantization import placement, qat
from slimline.quantization.int8_scan import Row
from slimline.quantization.settings import QatFinetuneParams


def scan(
    model: Classifier,
    calibration: Split,
    validation: Split,
    settings: QatFinetuneParams,
    *,
    images: int,
) -> list[Row]:
    """Return a row per convolution and linear layer, in the order in which an image meets them.

    Nothing is trained, and the model is left alone. A network is measured with fake-quant where
    the quantizer would put it if all layers but the one, or the one alone, were to stay float; the
    ranges are those of the calibration split. `images` of the validation split count, the first; 0
    means all.
    """
    rows = np.arange(min(images or len(validation), len(validation)))
    judged = replace(
        validation,
        images=data.take(validation.images, rows),
        labels=validation.labels[: len(rows)],
    )
    network = qat.prepare_as(settings, model)
    qat.calibrate(network, calibration, model, settings.calibrator)
    qat.freeze_ranges(network)
    names = placement.layers(network.graph)

    def top1(*float_layers: str) -> float:
        left = placement.without_fake_quant(network, float_layers)
        return training.top1(left, judged, model.preprocessing)

    in_float, in_int8 = top1(*names), top1()
    found = []
    for position, name in enumerate(names):
        alone, without = top1(*(each for each in names if each != name)), top1(name)
        row = Row(name, alone, in_float - alone, without, without - in_int8)
        print(
            f"layer {position + 1} of {len(names)}: {name}: alone in int8 {row.lost:.2f} points "
            f"lost, alone in float {row.regained:.2f} regained"
        )
        found.append(row)
    return found
