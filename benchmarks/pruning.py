"""Which pruning method? All at the same MACs, from the same models, with the same recovery.

    python -m benchmarks.backbones train --target /somewhere/backbones
    python -m benchmarks.pruning train --models /somewhere/backbones --target /somewhere/pruned
    python -m benchmarks.pruning measure --models /somewhere/backbones --target /somewhere/pruned
    python -m benchmarks.pruning speed

`train` prunes the float models of `benchmarks.backbones` to a share of their MACs and recovers as
section `prune` says; what is there already is left as it is. `measure` prints what became of them:
accuracy on validation (the test split chooses nothing) and latencies, all in turns in one process.
`speed` is about structure alone: random weights, RGB images of 96 px, stems as published, float and
int8. The peer is torch-pruning's magnitude pruner, which needs `pip install torch-pruning==1.6.1`
(the extra `peers` of pyproject.toml); where it fails, the table says how.
"""

import argparse
import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slimline import params, schema
from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.measure import accuracy, latency
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.registry import REGISTRY
from slimline.pruning import batchnorm_statistics, cost, registry, rounds, widths
from slimline.pruning.channel_plan import ChannelPlan
from slimline.pruning.methods.structured_magnitude import magnitudes
from slimline.pruning.settings import PruneSettings
from slimline.quantization import qat
from slimline.targets.onnxruntime import exporter, onnx_file, to_onnx
from slimline.targets.runtimes import Deployable
from slimline.training import determinism, loop

PREPARED = Path("data/prepared")
BACKBONES = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0")
SPEED_SIZE = 96
PEER = "torch-pruning"
_PEER_BISECTIONS = 12


@dataclass(frozen=True)
class Candidate:
    """A way to rank channels."""

    method: str
    unit: str

    @property
    def name(self) -> str:
        """What the table and the folders call it."""
        return f"{self.method}-{self.unit}"

    def settings(self, share: float, epochs: float | None = None) -> PruneSettings:
        """Return section `prune` with this method, down to a share of the MACs in one round."""
        given = registry.load(params.PARAMS_PATH).model_dump()
        if epochs is not None:
            given["recover"]["epochs"] = epochs
        changes = {"target": {"macs": share}, "steps": 1, "max_drop": 100}
        union: Any = schema.AnyMethod
        checked: PruneSettings = params.check(
            given | vars(self) | changes, union, params.PARAMS_PATH, "prune"
        )
        return checked


CANDIDATES = [
    Candidate("structured_magnitude", "layer_share"),
    Candidate("structured_magnitude", "global_share"),
    Candidate("taylor", "layer_share"),
    Candidate("taylor", "global_share"),
]


def main() -> None:
    """Train, measure, or look at structure alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "measure", "speed"])
    parser.add_argument("--models", type=Path, help="where benchmarks.backbones put its models")
    parser.add_argument("--target", type=Path, help="folder for the pruned models")
    parser.add_argument("--share", type=float, default=0.5, help="of the MACs, to keep")
    parser.add_argument("--epochs", type=float, help="of recovery, instead of params.yaml's")
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.backbones, given.share)
        return
    if given.models is None or given.target is None:
        parser.error("train and measure need --models and --target")
    if given.what == "train":
        train(given.models, given.target, given.backbones, given.share, given.epochs)
    else:
        measure(given.models, given.target, given.backbones)


def train(
    models: Path, target: Path, backbones: Sequence[str], share: float, epochs: float | None
) -> None:
    """Write a model folder per backbone and method."""
    for backbone in backbones:
        source = models / backbone / "float"
        for candidate in CANDIDATES:
            folder = target / backbone / candidate.name
            if not folder.is_dir():
                print(f"{backbone}: {candidate.name}", flush=True)
                _prune(source, folder, candidate.settings(share, epochs))
        if not (target / backbone / PEER).is_dir():
            print(f"{backbone}: {PEER}", flush=True)
            settings = CANDIDATES[0].settings(share, epochs)
            _prune_by_peer(source, target / backbone / PEER, share, settings)


def _prune(source: Path, folder: Path, settings: PruneSettings) -> None:
    run = params.load_run()
    determinism.start(run)
    model, split = model_folder.load(source), split_files.load(PREPARED / "train")
    outcome = rounds.prune(
        model,
        split,
        split_files.load(PREPARED / "calibration"),
        split_files.load(PREPARED / "validation"),
        settings,
        teacher=model.network,
        tables=widths.NO_TABLES,
        seed=run.seed,
    )
    extra = outcome.account()
    model_folder.save(
        folder, outcome.model, data=split, settings=settings, parent=source,
        history=outcome.history, extra=extra,
    )  # fmt: skip


def _prune_by_peer(source: Path, folder: Path, share: float, settings: PruneSettings) -> None:
    """Let torch-pruning cut, and recover as ours does; what fails is told and leaves no folder."""
    run = params.load_run()
    determinism.start(run)
    model, split = model_folder.load(source), split_files.load(PREPARED / "train")
    validation = split_files.load(PREPARED / "validation")
    try:
        cut = model.with_network(cut_by_peer(model.network, model.example, model.head, share))
        batchnorm_statistics.recompute(cut, split_files.load(PREPARED / "calibration"))
        top1_cut = loop.top1(cut.network, validation, model.preprocessing)
    except Exception as error:  # whatever the peer fails with is the result
        print(f"{folder.parent.name}: {PEER} fails: {type(error).__name__}: {error}", flush=True)
        return
    fitted = loop.fit(
        cut.network, split, validation, settings.recover, preprocessing=model.preprocessing,
        seed=run.seed + 1, phase="round 1", teacher=model.network,
    )  # fmt: skip
    extra = {"rounds": [{}, {"top1_cut": top1_cut}]}
    model_folder.save(
        folder,
        cut,
        data=split,
        settings=settings,
        parent=source,
        history=fitted.rows,
        extra=extra,
    )


def cut_by_peer(
    network: nn.Module, example: Tensor, head: str, share: float, tries: int = _PEER_BISECTIONS
) -> nn.Module:
    """Return a copy that torch-pruning has cut to a share of its MACs, to 2 % where it can.

    Its pruner is told a ratio of channels, so that the ratio is searched for.
    """
    import torch_pruning

    before = cost.count(network, example).macs

    def at(ratio: float) -> nn.Module:
        own = copy.deepcopy(network)
        pruner = torch_pruning.pruner.MagnitudePruner(
            own,
            example,
            importance=torch_pruning.importance.MagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=[own.get_submodule(head.rstrip("."))],
        )
        pruner.step()
        return own

    low, high = 0.0, 0.9
    best, gap = network, 1.0
    for _ in range(tries):
        ratio = (low + high) / 2
        found = at(ratio)
        left = cost.count(found, example).macs / before
        if abs(left - share) < gap:
            best, gap = found, abs(left - share)
        low, high = (ratio, high) if left > share else (low, ratio)
    assert best is not network, "no ratio comes nearer than none"
    return best


def measure(models: Path, target: Path, backbones: Sequence[str]) -> None:
    """Print a line of Markdown per model."""
    settings = params.load("benchmark", latency.BenchmarkParams)
    validation = split_files.load(PREPARED / "validation")
    print("| backbone | method | MACs, M | after the cut | recovered | float ms | faster |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for backbone in backbones:
        folders = {"swapped": models / backbone / "float"}
        folders |= {path.name: path for path in sorted((target / backbone).iterdir())}
        times = latency.measure(
            {name: Deployable(folder / description.ONNX) for name, folder in folders.items()},
            "swapped",
            _frame(folders["swapped"]).normalise(validation.images[: settings.batch_size]),
            settings,
            num_threads=params.load_run().num_threads,
        )
        for name, folder in folders.items():
            print(_line(backbone, name, folder, times[name], validation), flush=True)


def _line(backbone: str, name: str, folder: Path, time: latency.Latency, validation: Split) -> str:
    path = folder / description.ONNX
    done = description.read(folder).get("rounds")
    logits = Deployable(path).predict(validation.images, _frame(folder), num_threads=2)
    score = accuracy.score(logits, validation.labels, validation.labels)
    cells = [
        backbone,
        name,
        f"{onnx_file.inspect(path).macs_m:.2f}",
        f"{done[-1]['top1_cut']:.2f}" if done else "",
        f"{score.top1:.2f}",
        f"{time.p50_ms:.3f}",
        f"{time.speedup:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _frame(folder: Path) -> Preprocessing:
    return Preprocessing.from_dict(description.read(folder)["preprocessing"])


def speed(backbones: Sequence[str], share: float) -> None:
    """Print a line of Markdown per backbone: how much faster at so many of the MACs."""
    run = params.load_run()
    settings = CANDIDATES[0].settings(share)
    images = np.random.default_rng(0).normal(size=(8, 3, SPEED_SIZE, SPEED_SIZE))
    print(
        f"| backbone, {SPEED_SIZE} px | MACs left | float ms | faster | int8 ms | faster | {PEER} |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for backbone in backbones:
        determinism.start(run)
        whole = classifier.make(Architecture(backbone, 10, 3, 2, 3)).eval()
        example = torch.zeros(2, 3, SPEED_SIZE, SPEED_SIZE)
        head = REGISTRY[backbone].head
        with tempfile.TemporaryDirectory() as name:
            paths = _write(Path(name), whole, example, settings, head, share)
            times = latency.measure(
                {key: Deployable(path) for key, path in paths.items()},
                "float", images.astype(np.float32),
                params.load("benchmark", latency.BenchmarkParams), num_threads=run.num_threads,
            )  # fmt: skip
            macs = {key: onnx_file.inspect(path).macs for key, path in paths.items()}
        p50 = {key: each.p50_ms for key, each in times.items()}
        peer = f"{p50['float'] / p50[PEER]:.2f}" if PEER in p50 else "fails"
        print(
            f"| {backbone} | {macs['float, cut'] / macs['float']:.3f} "
            f"| {p50['float']:.3f} → {p50['float, cut']:.3f} "
            f"| {p50['float'] / p50['float, cut']:.2f} "
            f"| {p50['int8']:.3f} → {p50['int8, cut']:.3f} "
            f"| {p50['int8'] / p50['int8, cut']:.2f} | {peer} |",
            flush=True,
        )


def _write(
    folder: Path,
    whole: nn.Module,
    example: Tensor,
    settings: PruneSettings,
    head: str,
    share: float,
) -> dict[str, Path]:
    """Write a network and what is left of it, in float and int8, and the peer's in float."""
    cut = copy.deepcopy(whole)
    plan = ChannelPlan(cut, example, magnitudes(cut), multiple=settings.channel_multiple)
    progress = widths.Progress(1, 1, cost.count(whole, example))
    widths.choose(plan, settings, progress, widths.NO_TABLES)
    plan.apply()
    networks = {"float": whole, "float, cut": cut}
    try:
        networks[PEER] = cut_by_peer(whole, example, head, share).eval()
    except Exception as error:  # whatever the peer fails with is the result
        print(f"{PEER} fails: {type(error).__name__}: {error}", flush=True)
    paths = {name: folder / f"{name}.onnx" for name in [*networks, "int8", "int8, cut"]}
    for name, network in networks.items():
        to_onnx.write_onnx(network, example, paths[name])
    for name, network in (("int8", whole), ("int8, cut", cut)):
        prepared = qat.prepare(network, example, weight_bits=8)
        prepared(torch.randn(8, *example.shape[1:]))
        exporter.write(qat.convert(prepared), example, paths[name])
    return paths


if __name__ == "__main__":
    main()
