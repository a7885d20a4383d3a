"""Is int8 faster than float, and ours faster than the peers'? By backbone and image size.

    python -m benchmarks.int8 write --target /somewhere
    python -m benchmarks.int8 measure --target /somewhere
    python -m benchmarks.int8 profile --target /somewhere --backbones mobilenet_v3_small

`write` makes the files of every backbone and size; what is there already is left as it is, so that
an interrupted run goes on. `measure` prints a line per backbone and size: the median time of the
float model, one image on one thread; how many times faster each int8 file is, as the median of
ratios within blocks, all files of a line in turns in one process; and how many percent more time
the better of ours takes than the fastest of the peers', with its 95 % interval. The weights are
random, with statistics of BatchNorm from random images: time and structure do not depend on them.
Weights have 8 bits, one scale per output channel, in all files.

    ours         as `int8_export` writes it
    padded       the same with `int8_export.pad_channels: true`
    onnxruntime  its own static quantization, after its recommended preparation
    nncf         NNCF's quantization of the float .onnx; `pip install nncf` to see it
    torchao      its quantizer for x86, exported by torch

`profile` prints instead what each file spends its time on, operator by operator, as ONNX Runtime
accounts for it; the account itself takes time, most where there are many small operators.
"""

import argparse
import contextlib
import copy
import io
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import quantization as ort_quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from slimline import files, params
from slimline.measure import block_times, latency, significance
from slimline.measure.latency import BenchmarkParams
from slimline.networks import backbones, classifier
from slimline.networks.architecture import Architecture
from slimline.networks.registry import REGISTRY
from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, onnx_file, profile, to_onnx
from slimline.targets.onnxruntime.passes.order import Form
from slimline.targets.runtimes import Deployable
from slimline.training import determinism

NUM_CALIBRATION, NUM_PROFILED, BATCH = 16, 60, 8
FLOAT, OURS = "float", ("ours", "padded")
FAILED = "failed.json"
"""Beside the files of a backbone: what the cells of the peers say that wrote none."""


@dataclass(frozen=True)
class Subject:
    """What is quantized: a network in evaluation mode, images, and its float file."""

    network: nn.Module
    images: Tensor
    """float32 [count, channels, height, width], normalised."""
    path: Path

    @property
    def example(self) -> Tensor:
        """Two images to trace the network with."""
        return self.images[:2]


def main() -> None:
    """Write files, or print the table or the profiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["write", "measure", "profile"])
    parser.add_argument("--target", type=Path, required=True, help="folder for the files")
    parser.add_argument("--backbones", nargs="+", choices=REGISTRY, default=list(REGISTRY))
    parser.add_argument("--sizes", nargs="+", type=int, default=[96, 224])
    parser.add_argument("--blocks", type=int, default=40, help="turns of each file")
    parser.add_argument("--runs", type=int, default=20, help="images per turn")
    given = parser.parse_args()
    if given.what == "measure":
        sizes = " | ".join(f"{name} KiB" for name in SIZES)
        print(f"| backbone | px | float ms | {' | '.join(WRITERS)} | against peers, % | {sizes} |")
        print(f"|---|{(3 + len(WRITERS) + len(SIZES)) * '---:|'}")
    settings = BenchmarkParams(
        blocks=given.blocks, runs=given.runs, batch_size=1, batches=1, max_noise=100, max_seconds=0
    )
    for size in given.sizes:
        for backbone in given.backbones:
            folder = given.target / f"{backbone}-{size}"
            if given.what == "write" and not folder.is_dir():
                with files.replacing(folder) as scratch:
                    write(backbone, size, scratch)
            elif given.what == "measure":
                print(_line(backbone, size, folder, settings), flush=True)
            elif given.what == "profile":
                _print_profiles(f"{backbone}, {size} px", _paths(folder), size)


def write(backbone: str, size: int, folder: Path) -> None:
    """Write the float file and every int8 file of a backbone.

    Ours must not fail. Whatever a peer fails with is its result.
    """
    subject = make_subject(backbone, size, folder)
    failed = {}
    for name, quantize in WRITERS.items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # NNCF shows its progress there
                quantize(subject, folder / f"{name}.onnx")
        except ModuleNotFoundError as error:
            failed[name] = f"no {error.name}"
        except Exception as error:
            if name in OURS:
                raise
            failed[name] = f"fails: {type(error).__name__}"
    files.write_json(folder / FAILED, failed)


def make_subject(backbone: str, size: int, folder: Path) -> Subject:
    """Return a network with random weights, and write its float file."""
    determinism.start(params.load_run())
    stem = (2, 3) if backbone in REGISTRY else published_stem(backbone)
    network = classifier.make(Architecture(backbone, 10, 3, *stem))
    images = torch.randn(NUM_CALIBRATION, 3, size, size)
    with torch.no_grad():
        for batch in images.split(BATCH):
            network(batch)
    network.eval()
    subject = Subject(network, images, folder / f"{FLOAT}.onnx")
    to_onnx.write_onnx(copy.deepcopy(network), subject.example, subject.path)
    return subject


def published_stem(backbone: str) -> tuple[int, int]:
    """Return stride and kernel of a network's first convolution."""
    entry = backbones.find(backbone)
    stem = entry.outline(10).get_submodule(entry.stem)
    assert isinstance(stem, nn.Conv2d)
    return stem.stride[0], stem.kernel_size[0]


def quantize_ours(
    subject: Subject, path: Path, *, pad_channels: bool = False, form: Form = "fastest"
) -> None:
    """Write ours as `int8_export` does, with the ranges of all images."""
    prepared = qat.prepare(subject.network, subject.example, weight_bits=8)
    for batch in subject.images.split(BATCH):
        prepared(batch)
    converted = qat.convert(prepared)
    exporter.write(converted, subject.example, path, pad_channels=pad_channels, form=form)


def quantize_padded(subject: Subject, path: Path) -> None:
    """Write the same with `int8_export.pad_channels`."""
    quantize_ours(subject, path, pad_channels=True)


def quantize_onnxruntime(subject: Subject, path: Path) -> None:
    """Write what ONNX Runtime's `quantize_static` makes of the float file."""

    class Reader(ort_quantization.CalibrationDataReader):  # type: ignore[misc]
        """Feeds the images to ONNX Runtime's calibrator, one by one."""

        images = iter(subject.images.numpy())

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.images, None)
            return None if image is None else {to_onnx.INPUT: image[np.newaxis]}

    prepared, raw = path.with_suffix(".prepared"), path.with_suffix(".raw")
    quant_pre_process(subject.path, prepared)
    ort_quantization.quantize_static(
        prepared,
        raw,
        Reader(),
        per_channel=True,
        activation_type=ort_quantization.QuantType.QUInt8,
        weight_type=ort_quantization.QuantType.QInt8,
    )
    to_onnx.save(onnx.load(raw), path)


def quantize_nncf(subject: Subject, path: Path) -> None:
    """Write what NNCF's ONNX backend makes of the float file."""
    import nncf

    images = nncf.Dataset(
        list(subject.images.numpy()), lambda image: {to_onnx.INPUT: image[np.newaxis]}
    )
    quantized = nncf.quantize(onnx.load(subject.path), images, subset_size=len(subject.images))
    to_onnx.save(quantized, path)


def quantize_torchao(subject: Subject, path: Path) -> None:
    """Write what torchao's quantizer for x86 makes of the network, exported by torch."""
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    quantizer = X86InductorQuantizer()
    quantizer.set_global(get_default_x86_inductor_quantization_config())
    with to_onnx.quiet_exporter():
        exported = torch.export.export(subject.network, (subject.example,), strict=True).module()
        prepared = prepare_pt2e(exported, quantizer)
        for batch in subject.images.split(len(subject.example)):
            prepared(batch)
    to_onnx.write_onnx(qat.convert(prepared), subject.example, path)


WRITERS: dict[str, Callable[[Subject, Path], None]] = {
    "ours": quantize_ours,
    "padded": quantize_padded,
    "onnxruntime": quantize_onnxruntime,
    "nncf": quantize_nncf,
    "torchao": quantize_torchao,
}
SIZES = (*OURS, "onnxruntime")
"""Files whose size is printed."""


def _paths(folder: Path) -> dict[str, Path]:
    """Return the files that are there, float's first."""
    named = {name: folder / f"{name}.onnx" for name in (FLOAT, *WRITERS)}
    return {name: path for name, path in named.items() if path.is_file()}


def _line(backbone: str, size: int, folder: Path, settings: BenchmarkParams) -> str:
    paths = _paths(folder)
    failed = json.loads((folder / FAILED).read_text(encoding="utf-8"))
    models = {name: partial(Deployable(path).load, num_threads=1) for name, path in paths.items()}
    single = latency.single_image_times(models, FLOAT, _images(NUM_CALIBRATION, size), settings)
    times = {name: np.median(each, axis=1) for name, each in single.items()}
    cells = [backbone, str(size), f"{np.median(single[FLOAT]):.3f}"]
    cells += [
        f"{np.median(times[FLOAT] / times[name]):.2f}" if name in paths else failed[name]
        for name in WRITERS
    ]
    cells.append(_against_peers(times))
    cells += [
        f"{onnx_file.inspect(paths[name]).size_kib:,.0f}" if name in paths else "" for name in SIZES
    ]
    return f"| {' | '.join(cells)} |"


def _against_peers(times: Mapping[str, NDArray[np.float64]]) -> str:
    """Return percent more time of the better of ours than of the fastest peer, with bounds."""
    own = min(OURS, key=lambda name: float(np.median(times[name])))
    peers = [name for name in times if name not in {FLOAT, *OURS}]
    if not peers:
        return ""
    peer = min(peers, key=lambda name: float(np.median(times[name])))
    value, low, high = block_times.slowdown_in_turns(times[peer], times[own], significance.SURE_95)
    return f"{value:+.0f} ({low:+.0f} to {high:+.0f})"


def _images(count: int, size: int) -> NDArray[np.float32]:
    images = np.random.default_rng(0).standard_normal([count, 3, size, size])
    return images.astype(np.float32)


def _print_profiles(title: str, paths: Mapping[str, Path], size: int) -> None:
    """Print per file a line for each operator: how many there are, and their time for one image."""
    images = _images(NUM_PROFILED, size)
    print(f"\n{title}\n\n| file | operator | nodes | us | share, % |\n|---|---|---:|---:|---:|")
    for name, path in paths.items():
        found = _middle_times(profile.kernels(path, images))
        total = sum(sum(times) for times in found.values())
        print(f"| {name} | all | {sum(map(len, found.values()))} | {total:.0f} | 100 |")
        for operator, times in sorted(found.items(), key=lambda each: -sum(each[1])):
            share = 100 * sum(times) / total
            print(f"| {name} | {operator} | {len(times)} | {sum(times):.0f} | {share:.0f} |")


def _middle_times(kernels: Sequence[profile.Kernel]) -> dict[str, list[float]]:
    """Return, by operator, the median time of each of its nodes over all images, microseconds."""
    by_node: dict[tuple[str, str], list[float]] = defaultdict(list)
    for kernel in kernels:
        by_node[kernel.operator, kernel.node].append(kernel.microseconds)
    found: dict[str, list[float]] = defaultdict(list)
    for (operator, _), times in by_node.items():
        found[operator].append(float(np.median(times)))
    return found


if __name__ == "__main__":
    main()
