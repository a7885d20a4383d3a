"""Is BatchNorm better folded before QAT, or kept and frozen? By accuracy and seconds.

    python -m benchmarks.backbones train --target models/backbones
    python -m benchmarks.batchnorm --models models/backbones --only resnet18 mobilenet_v2

fine-tunes the float model of each candidate with fake-quant by section `qat_finetune`, in both
ways and from the same start, and prints a line for each: test accuracy of fake-quant, the points
that freezing gains against folding with their 95 % interval from paired answers, and seconds.

    folded  one weight and one bias, trained as such: what `qat_finetune` does
    frozen  weight, gamma and beta are trained, running statistics are not; fake-quant sees their
            product, which is what would be deployed

Both compute the same family of functions; they differ in what a step of the optimizer does.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn import functional
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

from slimline import params
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.measure import paired_answers
from slimline.networks.classifier import Classifier
from slimline.quantization import folded_modules, qat
from slimline.quantization.quantizer import OrtQuantizer
from slimline.quantization.settings import QatFinetuneParams
from slimline.targets.onnxruntime import to_onnx
from slimline.training import determinism, loop

PREPARED = Path("data/prepared")
SPLITS = ("train", "calibration", "validation", "test")


class FrozenBatchNorm(nn.Module):
    """A convolution whose weight carries a BatchNorm that is trained, but for its statistics."""

    def __init__(self, conv: nn.Conv2d, batchnorm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert batchnorm.running_mean is not None
        assert batchnorm.running_var is not None
        self.weight, self.gamma, self.beta = conv.weight, batchnorm.weight, batchnorm.bias
        zero = torch.zeros_like(batchnorm.running_mean)
        shift = batchnorm.running_mean - (zero if conv.bias is None else conv.bias.detach())
        self.shift: Tensor
        self.deviation: Tensor
        self.register_buffer("shift", shift)
        self.register_buffer("deviation", (batchnorm.running_var + batchnorm.eps).sqrt())
        self._form: Any = (conv.stride, conv.padding, conv.dilation, conv.groups)

    def forward(self, images: Tensor) -> Tensor:
        """Return what both would, in evaluation mode."""
        scale = self.gamma / self.deviation
        weight, bias = self.weight * scale.view(-1, 1, 1, 1), self.beta - self.shift * scale
        return functional.conv2d(images, weight, bias, *self._form)


class WeightSparingQuantizer(OrtQuantizer):
    """Ours, which takes no product of weights for one of activations."""

    def _annotate_node(self, node: fx.Node) -> None:
        shape = getattr(node.meta.get("val"), "shape", ())
        if shape and isinstance(shape[0], torch.SymInt):
            super()._annotate_node(node)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of the candidates")
    parser.add_argument("--only", nargs="+", help="names of candidates")
    parser.add_argument("--epochs", type=float, help="instead of those of params.yaml")
    given = parser.parse_args()
    settings = params.load("qat_finetune", QatFinetuneParams)
    if given.epochs is not None:
        recipe = settings.recipe.model_copy(update={"epochs": given.epochs})
        settings = settings.model_copy(update={"recipe": recipe})
    parts = {name: split_files.load(PREPARED / name) for name in SPLITS}
    print("| candidate | folded, % | frozen, % | frozen gains | 95 % | folded s | frozen s |")
    print(f"|---|{6 * '---:|'}")
    for folder in sorted(given.models.iterdir()):
        if not given.only or folder.name in given.only:
            print(_line(folder, parts, settings), flush=True)


def _line(folder: Path, parts: Mapping[str, split_files.Split], settings: QatFinetuneParams) -> str:
    run = params.load_run()
    answers: list[NDArray[np.int64]] = []
    seconds: list[float] = []
    for prepare in (qat.prepare_as, _prepare_frozen):
        determinism.start(run)
        model = model_folder.load(folder / "float")
        network = prepare(settings, model)
        began = time.perf_counter()
        qat.finetune_prepared(
            network,
            model,
            parts["train"],
            parts["calibration"],
            parts["validation"],
            settings,
            seed=run.seed,
        )
        seconds.append(time.perf_counter() - began)
        answers.append(_answers(network, model, parts["test"]))
    folded, frozen = answers
    found = paired_answers.compare(folded, frozen, parts["test"].labels)
    low, high = found.gain_bounds()
    cells = [
        folder.name,
        f"{found.top1_before:.2f}",
        f"{found.top1_after:.2f}",
        f"{found.gain:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        *(f"{each:.0f}" for each in seconds),
    ]
    return f"| {' | '.join(cells)} |"


def _prepare_frozen(settings: QatFinetuneParams, model: Classifier) -> fx.GraphModule:
    quantizer = WeightSparingQuantizer(
        weight_bits=settings.weight_bits,
        activation_type=settings.activation_type,
        weights=settings.weights,
    )
    kept = folded_modules.fold(model.network, FrozenBatchNorm)
    batch = torch.export.Dim("batch", min=1)
    with to_onnx.quiet_exporter():
        exported: Any = torch.export.export(
            kept, (model.example,), dynamic_shapes=({0: batch},), strict=False
        ).module()
        prepared: fx.GraphModule = prepare_qat_pt2e(exported, quantizer)
    return prepared


def _answers(
    network: fx.GraphModule, model: Classifier, images: split_files.Split
) -> NDArray[np.int64]:
    answers: NDArray[np.int64] = (
        loop.predict(network, images, model.preprocessing).numpy().argmax(1)
    )
    return answers


if __name__ == "__main__":
    main()
