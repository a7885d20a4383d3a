"""How fast is training, beside its parts and beside timm's loop on the same machine?

    python -m benchmarks.training_speed --network resnet18 --size 96 --batch 32 --steps 12

prints images per second, and as ratios to a bare loop, of: our loop; our loader alone; a bare loop
on one batch that lies on the device already (forward, loss, backward, SGD); and timm's loop. All
train the same network of timm on the same JPEGs with the same cuts, one after the other, several
times, medians are told. Also which share of our steps is anything but forward, backward and update:
waiting for images, normalising, learning rate, checks, progress: of the time that passed (on a GPU,
of the time between the first and the last of what it was given), and of the CPU's time in the
training process, which other work on the machine does not stretch.

timm's `train.py` is in no wheel: its loop is written here from the same parts of timm
(`ImageDataset`, `create_loader` with its prefetcher, `create_optimizer_v2`, `create_scheduler_v2`,
`LabelSmoothingCrossEntropy`, `AverageMeter`), in the order of its `train_one_epoch`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TypeAlias
from unittest import mock

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import ImageDataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter
from torch import nn

from benchmarks import prepared_photos
from slimline import params
from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.training import determinism, loader, loop
from slimline.training.backbone_swap import BackboneSwapParams
from slimline.training.settings import Recipe
from slimline.training.stepping import Stepper

_CLASSES, _PHOTO, _NOISE = 4, (256, 256), 20
_CUT, _SMOOTHING, _RATE, _MOMENTUM, _DECAY = 0.35, 0.1, 0.01, 0.9, 1e-4


Shares: TypeAlias = tuple[float, float] | None
"""Percent of the device's time and of CPU time in which no step was made; known of our loop."""


@dataclass(frozen=True)
class Bench:
    """What all loops have in common."""

    photos: Path
    split: Split
    recipe: Recipe
    network: str
    steps: int
    device: torch.device

    def build(self) -> nn.Module:
        """Return the network, random weights, on the device."""
        torch.manual_seed(1)
        network: nn.Module = timm.create_model(self.network, num_classes=_CLASSES)
        layout = determinism.MEMORY_FORMAT
        return network.to(self.device, memory_format=layout)  # type: ignore[call-overload]

    def speed(self, seconds: float) -> float:
        """Return images per second of all steps but the first."""
        return (self.steps - 1) * self.recipe.batch_size / seconds


@dataclass
class Clock:
    """When steps of ours began and ended, seconds; on a GPU, when it came to them."""

    device: torch.device
    events_begun: list[torch.cuda.Event] = field(default_factory=list)
    events_ended: list[torch.cuda.Event] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    cpu_begun: list[float] = field(default_factory=list)
    cpu_ended: list[float] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note when each step begins and ends."""
        take = Stepper.take

        def timed(*arguments: object) -> torch.Tensor:
            self.begun.append(time.perf_counter())
            self.cpu_begun.append(time.process_time())
            self._mark(self.events_begun)
            loss = take(*arguments)  # type: ignore[arg-type]
            self._mark(self.events_ended)
            self.cpu_ended.append(time.process_time())
            self.ended.append(time.perf_counter())
            return loss

        with mock.patch.object(Stepper, "take", timed):
            yield

    @property
    def seconds(self) -> float:
        """From the end of the first step to that of the last."""
        return self.ended[-1] - self.ended[0]

    def other_shares(self) -> tuple[float, float]:
        """Return percent of the device's time, and of CPU time, in which no step was made."""
        begun, ended = self.begun, self.ended
        if self.events_ended:
            torch.cuda.synchronize()
            first = self.events_begun[0]
            begun, ended = (
                [first.elapsed_time(each) / 1000 for each in events]
                for events in (self.events_begun, self.events_ended)
            )
        return _other_share(begun, ended), _other_share(self.cpu_begun, self.cpu_ended)

    def _mark(self, events: list[torch.cuda.Event]) -> None:
        if self.device.type == "cuda":
            events.append(torch.cuda.Event(enable_timing=True))
            events[-1].record()


def _other_share(begun: list[float], ended: list[float]) -> float:
    steps = sum(end - start for start, end in zip(begun[1:], ended[1:], strict=True))
    return 100 * (1 - steps / (ended[-1] - ended[0]))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", default="resnet18", help="a name of timm")
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the CPU; params.yaml's if left out")
    parser.add_argument("--precision", default="float32", choices=["float32", "tf32", "bfloat16"])
    given = parser.parse_args()
    run = params.load_run()
    determinism.start(run.model_copy(update={"num_threads": given.threads or run.num_threads}))
    device = determinism.device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    print(
        f"{given.network}, {given.size} px, batches of {given.batch}, {given.precision}, {name}, "
        f"{torch.get_num_threads()} threads\n"
    )
    print(
        "| workers | loop | images/s | of the bare loop, % "
        "| not a step, % of time / of CPU time | GPU memory, MiB |"
    )
    print("|---:|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        photos, split = make(Path(folder), given.images, given.size)
        for workers in given.workers:
            recipe = _recipe(given, len(split), workers)
            bench = Bench(photos, split, recipe, given.network, given.steps, device)
            _print(bench, workers, given.rounds)


def _print(bench: Bench, workers: int, rounds: int) -> None:
    loops: dict[str, Callable[[Bench], tuple[float, Shares]]] = {
        "bare, one synthetic batch": bare,
        "ours": ours,
        "our loader alone": loader_alone,
        "timm": of_timm,
    }
    found: dict[str, list[tuple[float, Shares]]] = {name: [] for name in loops}
    memory = dict.fromkeys(loops, "")
    for _ in range(rounds):
        for name, run in loops.items():
            if bench.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            # Our loop takes it back after each step.
            determinism.allow_tf32(bench.recipe.step.precision == "tf32")
            found[name].append(run(bench))
            if bench.device.type == "cuda":
                memory[name] = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}"
    speeds = {name: statistics.median(speed for speed, _ in each) for name, each in found.items()}
    reference = speeds["bare, one synthetic batch"]
    for name, speed in speeds.items():
        shares = [share for _, share in found[name] if share is not None]
        share = " / ".join(f"{statistics.median(each):.1f}" for each in zip(*shares, strict=True))
        print(
            f"| {workers} | {name} | {speed:.1f} | {100 * speed / reference:.1f} | {share} | "
            f"{memory[name]} |",
            flush=True,
        )


def ours(bench: Bench) -> tuple[float, Shares]:
    """Train by THE loop, and validate on two images behind the last step."""
    two = Split(
        split_files.take(bench.split.images, np.arange(2)),
        bench.split.labels[:2],
        bench.split.classes,
        bench.split.preprocessing,
    )
    clock = Clock(bench.device)
    network = bench.build()
    with clock.watching(), redirect_stdout(StringIO()):
        loop.fit(
            network,
            bench.split,
            two,
            bench.recipe,
            preprocessing=bench.split.preprocessing,
            seed=1,
            phase="speed",
        )
    return bench.speed(clock.seconds), clock.other_shares()


def loader_alone(bench: Bench) -> tuple[float, Shares]:
    """Take the batches, and do nothing with them."""
    batches = iter(
        loader.training_batches(
            bench.split, bench.split.preprocessing, bench.recipe, seed=1, device=bench.device
        )
    )
    next(batches)
    begun = _now(bench.device)
    for _ in batches:
        pass
    return bench.speed(_now(bench.device) - begun), None


def bare(bench: Bench) -> tuple[float, Shares]:
    """Make steps of one batch that lies on the device."""
    network = bench.build().train()
    optimizer = torch.optim.SGD(
        network.parameters(), _RATE, momentum=_MOMENTUM, weight_decay=_DECAY, nesterov=True
    )
    frame, count = bench.split.preprocessing, bench.recipe.batch_size
    shape = (count, frame.channels, frame.height, frame.width)
    images = torch.randn(shape, device=bench.device).to(memory_format=determinism.MEMORY_FORMAT)
    labels = torch.arange(count, device=bench.device) % _CLASSES
    is_mixed = bench.recipe.step.precision == "bfloat16"
    for step in range(bench.steps):
        if step == 1:
            begun = _now(bench.device)
        optimizer.zero_grad()
        with torch.autocast(bench.device.type, torch.bfloat16, enabled=is_mixed):
            loss = nn.functional.cross_entropy(network(images), labels, label_smoothing=_SMOOTHING)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return bench.speed(_now(bench.device) - begun), None


def of_timm(bench: Bench) -> tuple[float, Shares]:
    """Make the steps that timm's `train_one_epoch` makes, with timm's parts."""
    network = bench.build().train()
    frame, recipe = bench.split.preprocessing, bench.recipe
    batches = create_loader(
        ImageDataset(str(bench.photos)),
        input_size=(frame.channels, frame.height, frame.width),
        batch_size=recipe.batch_size,
        is_training=True,
        use_prefetcher=True,
        scale=(_CUT, 1.0),
        hflip=0.5,
        color_jitter=0,
        interpolation="bilinear",
        mean=frame.mean,
        std=frame.std,
        num_workers=recipe.num_workers,
        pin_memory=bench.device.type == "cuda",
        device=bench.device,
        persistent_workers=recipe.num_workers > 0,
    )
    optimizer = create_optimizer_v2(
        network, opt="sgd", lr=_RATE, weight_decay=_DECAY, momentum=_MOMENTUM
    )
    schedule, _ = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=1, step_on_epochs=False, updates_per_epoch=bench.steps
    )
    criterion, losses = LabelSmoothingCrossEntropy(_SMOOTHING), AverageMeter()
    is_mixed = recipe.step.precision == "bfloat16"
    step = 0
    while step < bench.steps:
        for images, labels in batches:
            if step == 1:
                begun = _now(bench.device)
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(bench.device.type, torch.bfloat16, enabled=is_mixed):
                loss = criterion(network(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.update(loss.item(), images.size(0))
            step += 1
            schedule.step_update(num_updates=step, metric=losses.avg)
            if step == bench.steps:
                break
    return bench.speed(_now(bench.device) - begun), None


def make(folder: Path, count: int, size: int) -> tuple[Path, Split]:
    """Write JPEGs in class folders; return that folder, and the training split, prepared."""
    generator = np.random.default_rng(0)
    photos = folder / "raw" / "photos"
    for number in range(count):
        path = photos / f"class {number % _CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        tiny = Image.fromarray(generator.integers(0, 256, (8, 8, 3), np.uint8))
        smooth = np.asarray(tiny.resize(_PHOTO, Image.Resampling.BICUBIC))
        noisy = smooth + generator.normal(0, _NOISE, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    prepared_photos.prepare(folder, size=size, held_out=_CLASSES)
    return photos, split_files.load(folder / "prepared" / "train")


def _recipe(given: argparse.Namespace, images: int, workers: int) -> Recipe:
    default = params.load("backbone_swap", BackboneSwapParams).unfrozen
    plain = {key: getattr(default, key) for key in Recipe.model_fields}
    return Recipe(
        **plain
        | {
            "epochs": given.steps * given.batch / images,
            "batch_size": given.batch,
            "optimizer": "sgd",
            "learning_rate": _RATE,
            "weight_decay": _DECAY,
            "label_smoothing": _SMOOTHING,
            "augment": default.augment.model_copy(update={"crop": _CUT, "flip": True}),
            "step": default.step.model_copy(update={"precision": given.precision}),
            "num_workers": workers,
            "validations": 1,
        }
    )


def _now(device: torch.device) -> float:
    """Return the time, seconds, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
