"""Which widths does ONNX Runtime like? A pointwise convolution in float and int8, per width.

    python -m benchmarks.widths

prints microseconds per convolution, single image, one thread, and how many times int8 is faster.
Each figure is the median over rounds of the difference between a chain of 24 convolutions and one
of 8, float and int8 in turns, so that neither input nor overhead of a run is in it. The default of
`prune.channel_multiple` rests on it (docs/decisions/0006-widths.md).
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime
import torch
from torch import nn

from slimline.quantization import qat
from slimline.targets.onnxruntime import runtime, to_onnx

WIDTHS = (40, 48, 56, 58, 64, 104, 112, 116, 120, 128, 224, 232, 240)
SIZE = 4
"""Height and width in pixels."""
_SHORT, _LONG = 8, 24
_RUNS = 20


def main() -> None:
    """Print one line per width."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    print("width  float us  int8 us  times faster")
    for width in WIDTHS:
        with tempfile.TemporaryDirectory() as folder:
            chains = [
                runtime.load(path, num_threads=1)
                for length in (_SHORT, _LONG)
                for path in _write(_chain(width, length), Path(folder), width)
            ]
        times = np.array([[_seconds(each, width) for each in chains] for _ in range(rounds)])
        short, long = times[:, :2], times[:, 2:]
        costs = 1e6 * np.median(long - short, axis=0) / (_LONG - _SHORT)
        print(f"{width:5}  {costs[0]:8.2f}  {costs[1]:7.2f}  {costs[0] / costs[1]:12.2f}")


def _chain(width: int, length: int) -> nn.Module:
    torch.manual_seed(0)
    layers = [(nn.Conv2d(width, width, 1), nn.ReLU()) for _ in range(length)]
    return nn.Sequential(*(layer for pair in layers for layer in pair)).eval()


def _write(chain: nn.Module, folder: Path, width: int) -> Sequence[Path]:
    """Return the chain's float and int8 file."""
    example = torch.zeros(2, width, SIZE, SIZE)
    paths = [folder / "float.onnx", folder / "int8.onnx"]
    to_onnx.write_onnx(chain, example, paths[0])
    prepared = qat.prepare(chain, example, weight_bits=7)
    prepared(torch.randn(8, width, SIZE, SIZE))
    to_onnx.write_onnx(qat.convert(prepared), example, paths[1])
    return paths


def _seconds(chain: onnxruntime.InferenceSession, width: int) -> float:
    """Return the median time of one image."""
    image = {to_onnx.INPUT: np.zeros((1, width, SIZE, SIZE), np.float32)}
    times = []
    for _ in range(_RUNS):
        start = perf_counter()
        chain.run(None, image)
        times.append(perf_counter() - start)
    return float(np.median(times))


if __name__ == "__main__":
    main()
