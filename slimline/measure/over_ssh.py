"""Models on another machine, reached by ssh: timed in turns as here, and asked the same images.

Nothing is installed there and nothing stays: models, images and the program that runs them
(`slimline.targets.onnxruntime.remote_runner`) go through ssh's stdin, and what it found comes back
through its stdout. The other machine needs python3 with numpy and onnxruntime.
"""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
import zipfile
from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slimline.errors import SlimlineError
from slimline.measure import latency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from slimline.measure.interleaved import Inputs, Runs
    from slimline.targets.onnxruntime.profile import Kernel

_ROOT = Path(__file__).parents[1]
_SENT = {
    "runner.py": _ROOT / "targets" / "onnxruntime" / "remote_runner.py",
    "onnxruntime_profile.py": _ROOT / "targets" / "onnxruntime" / "profile.py",
    "processor.py": _ROOT / "processor.py",
}
"""By the name that they have there."""
_COMMAND = (
    "python3 -c 'import io, sys, zipfile; "
    "packed = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())); "
    'exec(packed.read("runner.py"))\''
)
"""What the other shell is told, whichever it is: sh, fish and csh change nothing within such
quotes. No path or name of ours is ever written there."""
_NOT_FOUND, _NOT_REACHED = 127, 255
_KIB_OF_A_MIB = 1024


class HostError(SlimlineError):
    """Another machine cannot be reached, or has not what it needs."""


@dataclass(frozen=True)
class Remote:
    """What another machine found."""

    cpu: str
    """Its model, as `data/layer_times.json` names it."""
    machine: str
    """CPU, cores and system, with the release of ONNX Runtime."""
    milliseconds: dict[str, Runs]
    """[blocks, runs] of one image on one thread, by model."""
    answers: dict[str, NDArray[np.float32]]
    """[images, classes], by model."""
    peak_mib: dict[str, float]
    """Largest memory of a process that loads the model and answers one image, MiB."""
    base_mib: dict[str, float]
    """What of it is Python, numpy and ONNX Runtime."""
    kernels: dict[str, list[Kernel]]
    """What ONNX Runtime executed there, if that was asked for, by model: `runs` times a block."""


def host_name(text: str) -> str:
    """Return the NAME of `--host ssh:NAME`, for argparse."""
    kind, colon, name = text.partition(":")
    if kind != "ssh" or not colon or not name:
        raise ArgumentTypeError(f"must be ssh: and the name of a machine (given {text})")
    return name


def measure(
    host: str,
    models: Mapping[str, tuple[Path, Inputs]],
    *,
    blocks: int,
    runs: int,
    memory: bool = True,
    profiled: bool = False,
) -> Remote:
    """Return what a machine finds; of each model its .onnx, and the images as it takes them.

    `host` is whatever `ssh` takes: a name of `~/.ssh/config`, or `user@address`. It must let us in
    without a question. With `profiled` each model is run once more in each block, by ONNX Runtime's
    profiler.

    Raises:
        HostError: it cannot be reached, or has not what it needs.
    """
    if not host or host.startswith("-"):  # ssh would take it for an option
        raise HostError(f"--host ssh:{host}: is no name of a machine")
    program = ["ssh", "-T", "-o", "BatchMode=yes", "--", host, _COMMAND]
    try:
        with tempfile.TemporaryFile() as sent:  # an ssh that gives up would break a pipe, and us
            settings = {"blocks": blocks, "runs": runs, "memory": memory, "profiled": profiled}
            sent.write(_packed(models, settings))
            sent.seek(0)
            done = subprocess.run(program, stdin=sent, capture_output=True, check=False)
    except FileNotFoundError:
        raise HostError("--host: there is no `ssh` here; install an SSH client") from None
    if done.returncode:
        raise HostError(f"--host ssh:{host}: {_reason(done)}")
    try:
        found = json.loads(done.stdout.splitlines()[-1])  # a login shell may greet first
    except (IndexError, ValueError):
        raise HostError(f"--host ssh:{host}: answered nothing that can be read") from None
    return _remote(found, list(models))


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
    if done.returncode == _NOT_REACHED:
        return f"cannot be reached: {lines[-1]}; try `ssh` with that name, and with a key"
    if done.returncode == _NOT_FOUND:
        return f"has no python3: {lines[-1]}"
    return f"could not measure, which takes python3 with numpy and onnxruntime: {lines[-1]}"


def _packed(models: Mapping[str, tuple[Path, Inputs]], settings: Mapping[str, int]) -> bytes:
    given = {"models": len(models), "warm_up": latency.WARM_UP, **settings}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in _SENT.items():
            packed.write(path, name)
        packed.writestr("settings.json", json.dumps(given))
        for number, (path, images) in enumerate(models.values()):
            packed.write(path, f"{number}.onnx")
            own = io.BytesIO()
            np.save(own, images)
            packed.writestr(f"{number}.npy", own.getvalue())
    return content.getvalue()


def _remote(found: Mapping[str, Any], names: list[str]) -> Remote:
    from slimline.targets.onnxruntime.profile import Kernel

    peaks = [np.array(each) / _KIB_OF_A_MIB for each in found["memory"]]
    measured = names[: len(peaks)]
    return Remote(
        found["cpu"],
        f"{found['machine']}, ONNX Runtime {found['onnxruntime']}",
        dict(zip(names, map(np.array, found["milliseconds"]), strict=True)),
        {
            name: np.array(each, np.float32)
            for name, each in zip(names, found["answers"], strict=True)
        },
        {name: float(peak) for name, (_, peak) in zip(measured, peaks, strict=True)},
        {name: float(base) for name, (base, _) in zip(measured, peaks, strict=True)},
        {
            name: [Kernel(*each) for each in kernels]
            for name, kernels in zip(names, found["kernels"], strict=True)
        },
    )
