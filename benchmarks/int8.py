"""Is int8 faster than float, and ours faster than the peers'? By backbone and image size.

    python -m benchmarks.int8 --backbones resnet18 mobilenet_v2 --sizes 96 224
    python -m benchmarks.int8 --backbones mobilenet_v3_large --sizes 224 --profile

prints a line per backbone and size: the median time of the float model, one image on one thread,
and how many times faster each int8 file is, as the median of ratios within blocks; all files of a
line take turns in one process, in ONNX Runtime. The weights are random, with statistics of
BatchNorm from random images: time and structure do not depend on them. Weights have 8 bits, one
scale per output channel, in all files.

    ours         as `int8_export` writes it
    padded       the same with `int8_export.pad_channels: true`
    onnxruntime  its own static quantization, after its recommended preparation
    nncf         NNCF's quantization of the float .onnx; `pip install nncf` to see it
    torchao      its quantizer for x86, exported by torch

`--profile` prints instead what each file spends its time on, operator by operator, as ONNX Runtime
accounts for it; the account itself takes time, most where there are many small operators.
"""

import argparse
import contextlib
import copy
import io
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import quantization as ort_quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from slimline.backbones import REGISTRY, Architecture
from slimline.core import classifier, export, params, runtime
from slimline.measure import latency, onnx_file, profile
from slimline.measure.latency import BenchmarkParams, Latency
from slimline.quantization import int8, qat

NUM_CALIBRATION, NUM_PROFILED, BATCH = 16, 60, 8
FLOAT, OURS = "float", ("ours", "padded")


@dataclass(frozen=True)
class Subject:
    """What is quantized: a network in evaluation mode, images, and its float file."""

    network: nn.Module
    images: Tensor
    """float32 [count, 3, size, size]."""
    path: Path

    @property
    def example(self) -> Tensor:
        """Two images to trace the network with."""
        return self.images[:2]


def main() -> None:
    """Print the table, or the profiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", choices=REGISTRY, default=list(REGISTRY))
    parser.add_argument("--sizes", nargs="+", type=int, default=[96, 224])
    parser.add_argument("--blocks", type=int, default=40, help="turns of each file")
    parser.add_argument("--runs", type=int, default=20, help="images per turn")
    parser.add_argument("--profile", action="store_true", help="print time by operator instead")
    given = parser.parse_args()
    settings = BenchmarkParams(
        blocks=given.blocks, runs=given.runs, batch_size=1, batches=1, max_noise=2.5, max_seconds=0
    )
    if not given.profile:
        sizes = " | ".join(f"{name} KiB" for name in SIZES)
        print(f"| backbone | px | float ms | {' | '.join(WRITERS)} | {sizes} |")
        print(f"|---|{(2 + len(WRITERS) + len(SIZES)) * '---:|'}")
    for size in given.sizes:
        for backbone in given.backbones:
            with tempfile.TemporaryDirectory() as folder:
                subject = _subject(backbone, size, Path(folder) / f"{FLOAT}.onnx")
                paths, failed = _write(subject, Path(folder))
                if given.profile:
                    _print_profiles(f"{backbone}, {size} px", paths, subject)
                    continue
                images = subject.images.numpy()
                times = latency.measure(paths, FLOAT, images, settings, num_threads=1)
                print(_line(backbone, size, paths, times, failed), flush=True)


def _subject(backbone: str, size: int, path: Path) -> Subject:
    runtime.start(params.load_run().model_copy(update={"num_threads": 1}))
    network = classifier.make(Architecture(backbone, 10, 3, 2, 3))
    images = torch.randn(NUM_CALIBRATION, 3, size, size)
    with torch.no_grad():
        for batch in images.split(BATCH):
            network(batch)
    network.eval()
    export.write_onnx(copy.deepcopy(network), images[:2], path)
    return Subject(network, images, path)


def _ours(subject: Subject, path: Path, *, pad_channels: bool = False) -> None:
    prepared = qat.prepare(subject.network, subject.example, weight_bits=8)
    for batch in subject.images.split(BATCH):
        prepared(batch)
    converted = qat.convert(prepared)
    int8.write(converted, subject.example, path, pad_channels=pad_channels)


def _padded(subject: Subject, path: Path) -> None:
    _ours(subject, path, pad_channels=True)


def _onnxruntime(subject: Subject, path: Path) -> None:
    class Reader(ort_quantization.CalibrationDataReader):  # type: ignore[misc]
        """Feeds the images to ONNX Runtime's calibrator, one by one."""

        images = iter(subject.images.numpy())

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.images, None)
            return None if image is None else {export.INPUT: image[np.newaxis]}

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
    export.save(onnx.load(raw), path)


def _nncf(subject: Subject, path: Path) -> None:
    import nncf

    images = nncf.Dataset(
        list(subject.images.numpy()), lambda image: {export.INPUT: image[np.newaxis]}
    )
    quantized = nncf.quantize(onnx.load(subject.path), images, subset_size=NUM_CALIBRATION)
    export.save(quantized, path)


def _torchao(subject: Subject, path: Path) -> None:
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    quantizer = X86InductorQuantizer()
    quantizer.set_global(get_default_x86_inductor_quantization_config())
    with export.quiet_exporter():
        exported = torch.export.export(subject.network, (subject.example,), strict=True).module()
        prepared = prepare_pt2e(exported, quantizer)
        for batch in subject.images.split(len(subject.example)):
            prepared(batch)
    export.write_onnx(qat.convert(prepared), subject.example, path)


WRITERS: dict[str, Callable[[Subject, Path], None]] = {
    "ours": _ours,
    "padded": _padded,
    "onnxruntime": _onnxruntime,
    "nncf": _nncf,
    "torchao": _torchao,
}
SIZES = (*OURS, "onnxruntime")
"""Files whose size is printed."""


def _write(subject: Subject, folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Write every int8 file; return the paths, float's first, and what a missing one's cell says.

    Ours must not fail. Whatever a peer fails with is its result.
    """
    paths, failed = {FLOAT: subject.path}, {}
    for name, write in WRITERS.items():
        path = folder / f"{name}.onnx"
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # NNCF shows its progress there
                write(subject, path)
            paths[name] = path
        except ModuleNotFoundError as error:
            failed[name] = f"no {error.name}"
        except Exception as error:
            if name in OURS:
                raise
            failed[name] = f"fails: {type(error).__name__}"
    return paths, failed


def _line(
    backbone: str,
    size: int,
    paths: Mapping[str, Path],
    times: Mapping[str, Latency],
    failed: Mapping[str, str],
) -> str:
    cells = [backbone, str(size), f"{times[FLOAT].p50_ms:.3f}"]
    cells += [failed.get(name) or f"{times[name].speedup:.2f}" for name in WRITERS]
    cells += [
        f"{onnx_file.inspect(paths[name]).size_kib:,.0f}" if name in paths else "" for name in SIZES
    ]
    return f"| {' | '.join(cells)} |"


def _print_profiles(title: str, paths: Mapping[str, Path], subject: Subject) -> None:
    """Print per file a line for each operator: how many there are, and their time for one image."""
    images = subject.images[torch.arange(NUM_PROFILED) % len(subject.images)].numpy()
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
