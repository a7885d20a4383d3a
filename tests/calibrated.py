"""A network of any kind, calibrated for int8, and what its file is written with; no pipeline."""

from torch import nn

from slimline.data.split_files import Split
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.quantization import qat
from slimline.quantization.settings import Int8ExportParams
from slimline.targets.schemes import ActivationType

EXPORT = Int8ExportParams(
    input="float32",
    answer="logits",
    quantized_logits=False,
    form="fastest",
    pad_channels=True,
    opset=18,
    ir_version=8,
    max_top1_difference=100,
)
"""A network that has learnt nothing may answer anything."""


def classifier(
    network: nn.Module, split: Split, *, activation_type: ActivationType = "uint8"
) -> Classifier:
    """Return a network of ten classes and grey images with fake-quant, as its int8 file answers."""
    model = Classifier(
        network.eval(), Architecture("any", 10, 1, 2, 3), split.classes, split.preprocessing
    )
    prepared = qat.prepare(
        model.network, model.example, weight_bits=7, activation_type=activation_type
    )
    qat.calibrate(prepared, split, model)
    qat.finish(prepared)
    return model.with_network(prepared)
