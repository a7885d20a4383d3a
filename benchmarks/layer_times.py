"""How long does each layer take by its width? Writes the table that `prune.target.latency` goes by.

    python -m benchmarks.layer_times
    python -m benchmarks.layer_times --host ssh:pi

measures models/backbone_swap (`dvc repro backbone_swap`) and writes data/layer_times.json, which is
kept in git: run it again on the CPU that the product is for, or let that be asked over ssh (as by
`python -m slimline benchmark`), or after another backbone was chosen.
The network is made narrower everywhere at once, to several widths in multiples of
`prune.channel_multiple`; each is quantized and profiled by ONNX Runtime, image by image on one
thread, all widths in turns. The profiler takes some time of its own for every operator: what it
reports beyond the time of runs without it is taken off all operators alike.
"""

import argparse
import copy
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from torch import nn

from slimline import params, processor
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.errors import SlimlineError
from slimline.measure import over_ssh
from slimline.networks.classifier import Classifier
from slimline.pruning import cost, layer_times, registry, widths
from slimline.pruning.channel_plan import ChannelPlan
from slimline.pruning.cost import Cost
from slimline.pruning.layer_times import LayerTimes
from slimline.pruning.methods.structured_magnitude import magnitudes
from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, onnx_file, profile, runtime
from slimline.targets.onnxruntime.profile import Kernel
from slimline.training import determinism

SOURCE, CALIBRATION = Path("models/backbone_swap"), Path("data/prepared/calibration")
TARGET = Path("data/layer_times.json")
SHARES = (0.9, 0.7, 0.5, 0.35, 0.2, 0.1, 0.0)
"""Of each layer's magnitude that is removed, from narrow to wide."""

_REST = "rest"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="turns of every width")
    parser.add_argument("--images", type=int, default=30, help="images per turn")
    parser.add_argument("--host", metavar="ssh:NAME", type=over_ssh.host_name, help="if not here")
    given = parser.parse_args()
    determinism.start(params.load_run())
    model, split = model_folder.load(SOURCE), split_files.load(CALIBRATION)
    images = model.preprocessing.normalise(split.images[: given.images])
    with tempfile.TemporaryDirectory() as folder:
        narrow = [_narrow(model, share) for share in SHARES]
        costs = [cost.count(network, model.example) for network in narrow]
        paths = [Path(folder) / f"{share}.onnx" for share in SHARES]
        for network, path in zip(narrow, paths, strict=True):
            _write(model.with_network(network), split, path)
        nodes = [_nodes(path, network) for path, network in zip(paths, costs, strict=True)]
        if given.host:
            cpu, found = _over_ssh(given.host, paths, images, given.rounds)
        else:
            cpu, found = processor.cpu().model, _here(paths, images, given.rounds)
    layer_times.write(TARGET, _table(cpu, costs, nodes, found))


def _narrow(model: Classifier, share: float) -> nn.Module:
    """Return a copy without a share of every layer."""
    network = copy.deepcopy(model.network)
    multiple = registry.load(params.PARAMS_PATH).channel_multiple
    plan = ChannelPlan(network, model.example, magnitudes(network), multiple=multiple)
    for group in plan.groups:
        widths.remove_share(group, share)
    plan.apply()
    return network


def _write(model: Classifier, calibration: Split, path: Path) -> None:
    prepared = qat.prepare(model.network, model.example, weight_bits=8)
    qat.calibrate(prepared, calibration, model)
    exporter.write(qat.convert(prepared), model.example, path)


def _nodes(path: Path, network: Cost) -> list[str]:
    """Return the nodes of a network's layers, which the exporter writes in the same order."""
    entries = onnx_file.weight_entries(path)
    sizes = [layer.weights for layer in network.layers]
    # The first layer may be another after `slimline.targets.onnxruntime.passes.grey_stem`.
    assert list(entries.values())[1:] == sizes[1:], "layers and nodes are in another order"
    return list(entries)


def _here(
    paths: Sequence[Path], images: NDArray[np.float32], rounds: int
) -> list[dict[str, float]]:
    measured = [_Measured(path, images) for path in paths]
    for _ in range(rounds):
        for each in measured:
            each.take_turn()
    return [times_of(each.kernels, each.runs) for each in measured]


def _over_ssh(
    host: str, paths: Sequence[Path], images: NDArray[np.float32], rounds: int
) -> tuple[str, list[dict[str, float]]]:
    found = over_ssh.measure(
        host,
        {path.name: (path, images) for path in paths},
        blocks=rounds,
        runs=len(images),
        memory=False,
        profiled=True,
    )
    runs = {name: (1000 * each).ravel().tolist() for name, each in found.milliseconds.items()}
    return found.cpu, [times_of(found.kernels[path.name], runs[path.name]) for path in paths]


class _Measured:
    """A network in its turns: profiled, and run without a profiler."""

    def __init__(self, path: Path, images: NDArray[np.float32]) -> None:
        self._path, self._images = path, images
        self._session = runtime.load(path, num_threads=1)
        self.kernels: list[Kernel] = []
        self.runs: list[float] = []
        """Microseconds, without the profiler."""

    def take_turn(self) -> None:
        """Send every image through, with and without the profiler."""
        self.kernels += profile.kernels(self._path, self._images)
        for image in self._images:
            start = perf_counter()
            runtime.run(self._session, image[np.newaxis])
            self.runs.append(1e6 * (perf_counter() - start))


def times_of(kernels: Sequence[Kernel], runs: Sequence[float]) -> dict[str, float]:
    """Return the time of each node with a weight, and of all else together; microseconds.

    `runs` are those of whole images without the profiler.
    """
    executed: dict[str, list[float]] = defaultdict(list)
    for kernel in kernels:
        node = onnx_file.weighted_node(kernel)
        executed[node or f"{_REST} {kernel.node}"].append(kernel.microseconds)
    reported = {name: _middle(each) for name, each in executed.items()}
    excess = (sum(reported.values()) - float(np.median(runs))) / len(reported)
    own = {name: max(0.0, value - excess) for name, value in reported.items()}
    rest = sum(value for name, value in own.items() if name.startswith(_REST))
    weighted = {name: value for name, value in own.items() if not name.startswith(_REST)}
    return weighted | {_REST: rest}


def _middle(values: Sequence[float]) -> float:
    """Return the mean of the middle half: robust, and finer than the profiler's microseconds."""
    ordered = np.sort(values)
    quarter = len(ordered) // 4
    return float(ordered[quarter : len(ordered) - quarter].mean())


def _table(
    cpu: str,
    costs: Sequence[Cost],
    nodes: Sequence[Sequence[str]],
    found: Sequence[Mapping[str, float]],
) -> LayerTimes:
    """Bring layers, nodes and times together."""
    curves: dict[str, dict[float, float]] = defaultdict(dict)
    for network, names, times_of in zip(costs, nodes, found, strict=True):
        for layer, node in zip(network.layers, names, strict=True):
            curves[layer.name][layer.macs] = times_of[node]
    rest = {network.macs: each[_REST] for network, each in zip(costs, found, strict=True)}
    return LayerTimes(
        cpu,
        {name: sorted(curve.items()) for name, curve in curves.items()},
        sorted(rest.items()),
    )


if __name__ == "__main__":
    try:
        main()
    except SlimlineError as mistake:
        sys.exit(str(mistake))
