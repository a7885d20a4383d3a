"""Does bias correction pay in quantization without training? Ours, with and without it.

    python -m benchmarks.bias_correction /somewhere/mobilenet_v2/float /somewhere/resnet18/float

takes float model folders, as `python -m benchmarks.backbones train` leaves them, and prints the
table of docs/experiments.md: accuracy on validation in float, quantized, and corrected, with the
images won and lost by the correction and McNemar's test. It needs data/prepared.

The correction is the empirical one of Nagel et al. 2019 (Data-Free Quantization Through Weight
Equalization and Bias Correction, appendix D): layer by layer in order, the bias takes up what
quantization, with all earlier layers quantized and corrected, shifts the mean of each output
channel by on the calibration images.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from slimline import params
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.measure import paired_answers
from slimline.networks.classifier import Classifier
from slimline.quantization import float_operators, qat
from slimline.quantization.settings import QatFinetuneParams
from slimline.training import determinism, loop

PREPARED = Path("data/prepared")
_COLUMNS = ["model", "weights", "float", "quantized", "corrected", "won", "lost", "chance"]


def main() -> None:
    """Print a line of Markdown per model and kind of weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="folders of float models")
    parser.add_argument("--images", type=int, help="of validation, the first; all by default")
    given = parser.parse_args()
    determinism.start(params.load_run())
    calibration, validation = (
        split_files.load(PREPARED / name) for name in ("calibration", "validation")
    )
    validation = _first(validation, given.images or len(validation))
    print(f"| {' | '.join(_COLUMNS)} |\n|---|---|{6 * '---:|'}")
    settings = params.load("qat_finetune", QatFinetuneParams)
    for folder in given.models:
        model = model_folder.load(folder)
        in_float = _answers(model.network, model, validation)
        for weights, bits in (("per_channel", 7), ("per_tensor", 8)):
            changed = settings.model_copy(update={"weights": weights, "weight_bits": bits})
            answers = [in_float, *_compare(model, calibration, validation, changed)]
            top1 = [100 * float((each == validation.labels).mean()) for each in answers]
            found = paired_answers.compare(answers[1], answers[2], validation.labels)
            figures = [*(f"{each:.2f}" for each in top1), str(found.won), str(found.lost)]
            cells = [folder.parent.name, f"{weights}, {bits} bits", *figures]
            print(f"| {' | '.join(cells)} | {found.p_value:.2f} |")


def _compare(
    model: Classifier, calibration: Split, validation: Split, settings: QatFinetuneParams
) -> list[NDArray[np.int64]]:
    """Return the answers of the quantized network, and of the same with its biases corrected."""
    network = qat.prepare_as(settings, model)
    qat.calibrate(network, calibration, model, settings.calibrator)
    qat.freeze_ranges(network)
    images = torch.from_numpy(model.preprocessing.normalise(calibration.images[:]))
    before = _answers(network, model, validation)
    correct(network, images)
    return [before, _answers(network, model, validation)]


def _answers(network: nn.Module, model: Classifier, split: Split) -> NDArray[np.int64]:
    answers: NDArray[np.int64] = loop.predict(network, split, model.preprocessing).argmax(1).numpy()
    return answers


def _first(split: Split, count: int) -> Split:
    rows = np.arange(count)
    return replace(split, images=split_files.take(split.images, rows), labels=split.labels[rows])


@torch.no_grad()
def correct(network: fx.GraphModule, images: Tensor) -> None:
    """Correct every bias of a calibrated fake-quant network, in place and in order.

    All images go through at once, so that one pass corrects each layer with those before corrected.
    """
    in_float = float_operators.without_fake_quant(network, float_operators.layers(network.graph))
    before = _Means(in_float)
    before.run(images)
    _Correcting(network, before.means).run(images)


class _Means(fx.Interpreter):
    """Remembers the mean of each output channel of every layer, by its name."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.means: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.target in float_operators.WEIGHTED:
            self.means[float_operators.layer_name(n)] = _mean(result)
        return result


class _Correcting(fx.Interpreter):
    """Corrects the bias of every layer when it is met."""

    def __init__(self, network: fx.GraphModule, wanted: dict[str, Tensor]) -> None:
        super().__init__(network)
        self._wanted = wanted

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.target not in float_operators.WEIGHTED:
            return result
        shift = self._wanted[float_operators.layer_name(n)] - _mean(result)
        bias = n.args[2]
        assert isinstance(bias, fx.Node)
        self.env[bias].add_(shift)
        return result + shift.view(-1, *[1] * (result.dim() - 2))


def _mean(values: Tensor) -> Tensor:
    return values.mean([0, *range(2, values.dim())])


if __name__ == "__main__":
    main()
