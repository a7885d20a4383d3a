"""Does every backbone run in LiteRT for Microcontrollers, with the answers of LiteRT?

    python -m benchmarks.litert_micro --backbones resnet8_w48 shufflenet_v2_x0_5 --size 64

needs what requirements-litert.lock adds, and `tflite-micro`, whose wheels are of single days. The
.tflite is written as with `int8_export.quantized_logits: true`, since there are no kernels there
that take floats beside int8 weights. A line per backbone: layers and how many of them are int8; the
size of the file; the least memory for values that it runs in, a power of two, KiB; how far its
logits are from those of LiteRT at most, in percent of their spread, beside the same of LiteRT from
fake-quant; and on how many images both answer alike. Weights are random, as in
`benchmarks.executorch_families`.
"""

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.executorch_families import (
    agreement,
    difference,
    pictures,
    print_table,
    quantized,
)
from benchmarks.int8 import NUM_CALIBRATION, Subject
from slimline.quantization import logit_steps, qat
from slimline.targets import quantized_graph
from slimline.targets.litert import exporter, runtime

NUM_IMAGES = 30
SIZES_KIB = [2**power for power in range(4, 17)]
HEADER = [
    "| backbone | layers | in int8 | KiB | memory, KiB | logits differ from LiteRT, % (LiteRT from "
    "fake-quant) | answers agree, % (LiteRT and fake-quant) |",
    "|---|---:|---:|---:|---:|---:|---:|",
]


def main() -> None:
    """Print the table."""
    print_table(__doc__, HEADER, cells, size=64)


def cells(subject: Subject) -> list[str]:
    """Return the cells of a backbone's line."""
    path = subject.path.with_name(runtime.FILE)
    trained, own = quantized(subject)
    images, of_ranges = (pictures(count, subject) for count in (NUM_IMAGES, NUM_CALIBRATION))
    with torch.no_grad():
        expected, of_calibration = (trained(each).numpy() for each in (images, of_ranges))
    steps = logit_steps.find(own, of_calibration)
    converted = qat.convert(own)
    quantized_graph.round_answer(converted, float(steps.scale), torch.tensor(steps.zero))
    about = exporter.write(converted, subject.example, path)
    loaded = runtime.load(path, num_threads=1)
    by_litert = runtime.run(loaded, images.numpy())
    size = smallest(path)
    if size is None:
        return [*counts(about, path), "-", "refused", "-"]
    found = answers(opened(path, size), images.numpy(), loaded)
    return [
        *counts(about, path),
        f"{size:,}",
        f"{difference(by_litert, found):.2f} ({difference(expected, by_litert):.2f})",
        f"{agreement(by_litert, found):.1f} ({agreement(expected, by_litert):.1f})",
    ]


def counts(about: dict[str, Any], path: Path) -> list[str]:
    """Return how many layers a file has, how many in int8, and its size, as cells."""
    layers = about["num_layers"]
    return [
        f"{layers}",
        f"{layers - len(about['float_layers'])}",
        f"{path.stat().st_size / 1024:,.0f}",
    ]


def smallest(path: Path) -> int | None:
    """Return the least KiB in which a file runs, of powers of two; None where it does in none.

    So it is where an operator is not known there. Each size is tried in a process of its own: too
    little memory kills some of them.
    """
    for size in SIZES_KIB:
        process = multiprocessing.get_context("fork").Process(target=opened, args=(path, size))
        process.start()
        process.join()
        if process.exitcode == 0:
            return size
    return None


def opened(path: Path, size: int) -> Any:
    """Return the interpreter of a file, with so many KiB for values."""
    from tflite_micro import runtime as micro

    return micro.Interpreter.from_file(str(path), arena_size=1024 * size)


def answers(micro: Any, images: NDArray[np.float32], loaded: Any) -> NDArray[np.float32]:
    """Return logits for float32 [count, channels, height, width]; `loaded` is LiteRT's form."""
    (image,), (answer,) = loaded.get_input_details(), loaded.get_output_details()
    logits = []
    for each in runtime.to_bytes(np.moveaxis(images, 1, -1), image)[:, np.newaxis]:
        micro.set_input(each, 0)
        micro.invoke()
        logits.append(runtime.to_values(micro.get_output(0).copy(), answer))
    return np.concatenate(logits)


if __name__ == "__main__":
    main()
