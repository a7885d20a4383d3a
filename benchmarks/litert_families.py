"""Does every backbone run in LiteRT, in int8, with the answers of fake-quant?

    python -m benchmarks.litert_families --backbones resnet18 shufflenet_v2_x1_0

needs what requirements-litert.lock adds. A line per backbone: layers and how many of them are int8,
other operators in float; how far its logits are from fake-quant's at most, in percent of their
spread, and on how many images the answers are those of fake-quant; beside both, in brackets, the
same of fake-quant itself, given the images one by one instead of all at once, when torch adds in
another order; and the size of the file. Weights are random, as in `benchmarks.executorch_families`:
such a network carries one value that rounds otherwise through all layers, so that what differs by
no more than fake-quant from itself is rounding.
"""

import torch
from torch import Tensor, fx

from benchmarks.executorch_families import (
    answer_cells,
    layer_cells,
    pictures,
    print_table,
    quantized,
)
from benchmarks.int8 import Subject
from slimline.quantization import qat
from slimline.targets.litert import exporter, runtime

NUM_IMAGES = 60
HEADER = [
    "| backbone | layers | in int8 | float otherwise | logits differ, % (fake-quant one by one) | "
    "answers agree, % (fake-quant one by one) | KiB |",
    "|---|---:|---:|---|---:|---:|---:|",
]


def main() -> None:
    """Print the table."""
    print_table(__doc__, HEADER, cells, size=64)


def cells(subject: Subject) -> list[str]:
    """Return the cells of a backbone's line."""
    path = subject.path.with_name(runtime.FILE)
    trained, own = quantized(subject)
    images = pictures(NUM_IMAGES, subject)
    expected, one_by_one = (answers(trained, images, size).numpy() for size in (NUM_IMAGES, 1))
    about = exporter.write(qat.convert(own), subject.example, path)
    found = runtime.run(runtime.load(path, num_threads=1), images.numpy())
    return [
        *layer_cells(about),
        *answer_cells(expected, found, one_by_one),
        f"{path.stat().st_size / 1024:,.0f}",
    ]


def answers(network: fx.GraphModule, images: Tensor, size: int) -> Tensor:
    """Return logits of images, given in batches of that size."""
    with torch.no_grad():
        return torch.cat([network(batch) for batch in images.split(size)])


if __name__ == "__main__":
    main()
