"""Does every backbone run in ExecuTorch, in int8, with the answers of fake-quant?

    python -m benchmarks.executorch_families --backbones resnet18 shufflenet_v2_x1_0

needs what requirements-executorch.lock adds. A line per backbone: layers and how many of them
XNNPACK computes in int8, operators that are left to ExecuTorch's own kernels, by layer; how far
its logits are from fake-quant's at most, in percent of their spread, beside the same of the .onnx
in ONNX Runtime; on how many images the answers are those of fake-quant, of both; sizes of both
files; and times of one image on one thread, of the float .onnx, the int8 .onnx and the .pte, the
median of runs in turns. Weights are random as in `benchmarks.int8`, BatchNorm is of the images,
blurred noise: logits lie near one another, so that answers turn more easily than those of a trained
network.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn import functional

from benchmarks.int8 import BATCH, NUM_CALIBRATION, Subject, make_subject
from slimline import files
from slimline.networks.registry import REGISTRY
from slimline.quantization import qat
from slimline.targets.executorch import exporter, runtime
from slimline.targets.onnxruntime import exporter as onnx_exporter
from slimline.targets.onnxruntime import runtime as onnx_runtime

NUM_IMAGES, BLOCKS, RUNS = 200, 15, 10
HEADER = [
    "| backbone | layers | in int8 | not delegated | logits differ, % (.onnx) | answers agree, % "
    "(.onnx) | KiB (.onnx) | float ms | .onnx ms | .pte ms |",
    "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|",
]


def main() -> None:
    """Print the table."""
    print_table(__doc__, HEADER, cells, size=96)


def print_table(
    about: str, header: Sequence[str], cells_of: Callable[[Subject], list[str]], *, size: int
) -> None:
    """Print a line per backbone that the command line names; `size` is what it may leave out."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument(
        "--backbones", nargs="+", default=list(REGISTRY), help="as `backbone` takes them"
    )
    parser.add_argument("--size", type=int, default=size, help="height and width, pixels")
    given = parser.parse_args()
    print("\n".join(header), flush=True)
    for backbone in given.backbones:
        with tempfile.TemporaryDirectory() as folder:
            subject = make_subject(backbone, given.size, Path(folder))
            print(f"| {backbone} | {' | '.join(cells_of(subject))} |", flush=True)


def cells(subject: Subject) -> list[str]:
    """Return the cells of a backbone's line."""
    folder = subject.path.parent
    trained, own = quantized(subject)
    images = pictures(NUM_IMAGES, subject).numpy()
    with torch.no_grad():
        expected = torch.cat([trained(each) for each in torch.from_numpy(images).split(BATCH)])
    path, onnx_path = folder / runtime.FILE, folder / onnx_runtime.FILE
    about = exporter.write(qat.convert(own), subject.example, path)
    files.write_json(folder / "model.json", about)
    onnx_exporter.write(qat.convert(trained), subject.example, onnx_path)
    answers = [
        lambda image: onnx_runtime.run(of_float, image),
        lambda image: onnx_runtime.run(of_onnx, image),
        lambda image: runtime.run(of_own, image),
    ]
    of_float, of_onnx = (
        onnx_runtime.load(each, num_threads=1) for each in (subject.path, onnx_path)
    )
    of_own = runtime.load(path, num_threads=1)
    own_logits, onnx_logits = (runtime.run(of_own, images), onnx_runtime.run(of_onnx, images))
    times = in_turns(answers, images[:1])
    sizes = [each.stat().st_size / 1024 for each in (path, onnx_path)]
    return [
        *layer_cells(about),
        *answer_cells(expected.numpy(), own_logits, onnx_logits),
        "{:,.0f} ({:,.0f})".format(*sizes),
        *(f"{each:.3f}" for each in times),
    ]


def layer_cells(about: Mapping[str, Any]) -> list[str]:
    """Return how many layers a file has, how many in int8, and what else is left, as cells."""
    left_out = Counter(each["operator"] for each in about["not_delegated"])
    return [
        f"{about['num_layers']}",
        f"{about['num_layers'] - len(about['float_layers'])}",
        ", ".join(f"{count} {name}" for name, count in left_out.items()) or "nothing",
    ]


def answer_cells(
    expected: NDArray[np.float32], found: NDArray[np.float32], beside: NDArray[np.float32]
) -> list[str]:
    """Return how far logits are from what is expected, and how often the answer is the same.

    In brackets the same of others.
    """
    both = found, beside
    return [
        "{:.2f} ({:.2f})".format(*(difference(expected, each) for each in both)),
        "{:.1f} ({:.1f})".format(*(agreement(expected, each) for each in both)),
    ]


def quantized(subject: Subject) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Return fake-quant with ranges of pictures, activations in uint8, and the same in int8."""
    subject = Subject(subject.network, pictures(NUM_CALIBRATION, subject), subject.path)
    fit_batchnorm(subject)
    trained = qat.prepare(subject.network, subject.example, weight_bits=8)
    for batch in subject.images.split(BATCH):
        trained(batch)
    qat.finish(trained)
    own = qat.prepare(subject.network, subject.example, weight_bits=8, activation_type="int8")
    qat.load_trained(own, trained.state_dict(), "uint8")
    qat.freeze_ranges(own)
    return trained, own


def pictures(count: int, subject: Subject) -> Tensor:
    """Return blurred noise, float32 [count, channels, height, width], that differs as photos do."""
    channels, *size = subject.images.shape[1:]
    chance = torch.Generator().manual_seed(count)
    coarse = torch.randn(count, channels, 4, 4, generator=chance)
    fine = torch.randn(count, channels, *size, generator=chance)
    return 1.5 * functional.interpolate(coarse, size=size, mode="bilinear") + 0.3 * fine


def fit_batchnorm(subject: Subject) -> None:
    """Give each BatchNorm the statistics of the images: else deep random networks fall silent."""
    norms = [each for each in subject.network.modules() if isinstance(each, nn.BatchNorm2d)]
    for each in norms:
        each.momentum = 1.0
        each.train()
    with torch.no_grad():
        subject.network(subject.images)
    subject.network.eval()


def difference(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the largest difference of a logit, percent of the spread of all."""
    return float(100 * np.abs(expected - found).max() / np.ptp(expected))


def agreement(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return percent of images with the same first answer."""
    return float(100 * (expected.argmax(1) == found.argmax(1)).mean())


def in_turns(
    answers: Sequence[Callable[[NDArray[np.float32]], object]], image: NDArray[np.float32]
) -> list[float]:
    """Return the median time of each, milliseconds."""
    times: list[list[float]] = [[] for _ in answers]
    for _ in range(BLOCKS):
        for found, answer in zip(times, answers, strict=True):
            answer(image)
            for _ in range(RUNS):
                start = time.perf_counter()
                answer(image)
                found.append(1000 * (time.perf_counter() - start))
    return [statistics.median(each) for each in times]


if __name__ == "__main__":
    main()
