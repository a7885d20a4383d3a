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

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor, fx

from benchmarks.executorch_families import agreement, difference, pictures, quantized
from benchmarks.int8 import NUM_CALIBRATION, Subject, make_subject
from slimline.networks.registry import REGISTRY
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", choices=REGISTRY, default=list(REGISTRY))
    parser.add_argument("--size", type=int, default=64, help="height and width, pixels")
    given = parser.parse_args()
    print("\n".join(HEADER), flush=True)
    for backbone in given.backbones:
        with tempfile.TemporaryDirectory() as folder:
            subject = make_subject(backbone, given.size, Path(folder))
            print(f"| {backbone} | {' | '.join(cells(subject))} |", flush=True)


def cells(subject: Subject) -> list[str]:
    """Return the cells of a backbone's line."""
    path = subject.path.with_name(runtime.FILE)
    subject = Subject(subject.network, pictures(NUM_CALIBRATION, subject), subject.path)
    trained, own = quantized(subject)
    images = pictures(NUM_IMAGES, subject)
    expected, one_by_one = (answers(trained, images, size).numpy() for size in (NUM_IMAGES, 1))
    about = exporter.write(qat.convert(own), subject.example, path)
    found = runtime.run(runtime.load(path, num_threads=1), images.numpy())
    others = Counter(each["operator"] for each in about["not_delegated"])
    both = found, one_by_one
    return [
        f"{about['num_layers']}",
        f"{about['num_layers'] - len(about['float_layers'])}",
        ", ".join(f"{count} {name}" for name, count in others.items()) or "nothing",
        "{:.2f} ({:.2f})".format(*(difference(expected, each) for each in both)),
        "{:.1f} ({:.1f})".format(*(agreement(expected, each) for each in both)),
        f"{path.stat().st_size / 1024:,.0f}",
    ]


def answers(network: fx.GraphModule, images: Tensor, size: int) -> Tensor:
    """Return logits of images, given in batches of that size."""
    with torch.no_grad():
        return torch.cat([network(batch) for batch in images.split(size)])


if __name__ == "__main__":
    main()
