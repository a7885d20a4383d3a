"""Where does dynamic quantization pay? By the share of a network's weights in linear layers.

    python -m benchmarks.dynamic
    python -m benchmarks.dynamic --networks torchvision:vgg11 --size 64

prints a line per network: how many of its weights linear layers hold, the only ones that dynamic
quantization makes int8; the sizes of the files; the median time of one image on one thread; and how
many times faster than float each int8 file is, as the median of ratios within blocks with its 95 %
interval, all three files in turns in one process. `static` is ONNX Runtime's own static
quantization, which needs calibration images. The weights are random, with the published stem: times
and sizes do not depend on them.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import int8
from slimline import params
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.measure import block_times, latency, significance
from slimline.measure.latency import BenchmarkParams
from slimline.networks import classifier
from slimline.networks.settings import ModelParams
from slimline.quantization import onnxruntime_quantizers
from slimline.targets.onnxruntime import to_onnx
from slimline.targets.runtimes import Deployable
from slimline.training import determinism

NETWORKS = (
    "resnet18",
    "mobilenet_v3_small",
    "timm:mixer_s32_224",
    "torchvision:vgg11",
)
FLOAT, DYNAMIC, STATIC = "float", "dynamic", "static"
COLUMNS = (
    "network", "px", "weights in linear layers", "float KiB", "dynamic", "static", "float ms",
    "dynamic faster", "static faster",
)  # fmt: skip
NUM_IMAGES = 8


def main() -> None:
    """Print a line of Markdown per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--size", type=int, default=224, help="of the images, pixels")
    parser.add_argument("--blocks", type=int, default=40, help="turns of each file")
    parser.add_argument("--runs", type=int, default=5, help="images per turn")
    given = parser.parse_args()
    settings = BenchmarkParams(
        blocks=given.blocks, runs=given.runs, batch_size=1, batches=1, max_noise=100, max_seconds=0
    )
    print(f"| {' | '.join(COLUMNS)} |\n|---|{(len(COLUMNS) - 1) * '---:|'}")
    for network in given.networks:
        print(_line(network, given.size, settings), flush=True)


def _line(network: str, size: int, settings: BenchmarkParams) -> str:
    with tempfile.TemporaryDirectory() as name:
        subject = make_subject(network, size, Path(name))
        paths = {kind: Path(name, f"{kind}.onnx") for kind in (FLOAT, DYNAMIC, STATIC)}
        to_onnx.save(onnxruntime_quantizers.quantize_dynamic(paths[FLOAT]), paths[DYNAMIC])
        int8.quantize_onnxruntime(subject, paths[STATIC])
        models = {
            kind: partial(Deployable(path).load, num_threads=1) for kind, path in paths.items()
        }
        single = latency.single_image_times(models, FLOAT, subject.images.numpy(), settings)
        share = onnxruntime_quantizers.linear_share(paths[FLOAT])
        sizes = [f"{path.stat().st_size / 1024:,.0f}" for path in paths.values()]
    times = {kind: np.median(each, axis=1) for kind, each in single.items()}
    faster = [
        f"{np.median(times[FLOAT] / times[kind]):.2f} ({low:.2f} to {high:.2f})"
        for kind in (DYNAMIC, STATIC)
        for low, high in [
            block_times.speedup_bounds(times[FLOAT], times[kind], significance.SURE_95)
        ]
    ]
    cells = [
        network,
        str(size),
        f"{share:.1f} %",
        *sizes,
        f"{np.median(times[FLOAT]):.2f}",
        *faster,
    ]
    return f"| {' | '.join(cells)} |"


def make_subject(network: str, size: int, folder: Path) -> int8.Subject:
    """Return a network with random weights and its published stem, and write its float file."""
    determinism.start(params.load_run())
    frame = Preprocessing(size, size, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    pixels = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, size, size, 3), np.uint8)
    labels = np.arange(NUM_IMAGES) % 2
    split = Split(pixels, labels, ["a", "b"], frame)
    settings = ModelParams(
        backbone=network, pretrained="none", stem_stride="keep", stem_kernel="keep",
        activation="keep",
    )  # fmt: skip
    model = classifier.build(settings, split, Path("data/raw/pretrained"))
    images = torch.from_numpy(frame.normalise(pixels))
    subject = int8.Subject(model.network.eval(), images, folder / f"{FLOAT}.onnx")
    to_onnx.write_onnx(subject.network, subject.example, subject.path)
    return subject


if __name__ == "__main__":
    main()
