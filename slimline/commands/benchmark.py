"""Measure models on another machine, reached by ssh: time, memory, and whether they answer alike.

  python -m slimline benchmark --host ssh:pi
  python -m slimline benchmark --host ssh:me@10.0.0.7 models/baseline_train models/int8_export

`pi` is a name of ~/.ssh/config, or whatever `ssh` takes; it must let you in without a question. The
machine needs python3 with numpy and onnxruntime, nothing else: models, images and the program that
runs them are sent, and nothing stays there. Without folders it takes every .onnx that variants.yaml
declares.

The table has, per model: the median time of one image on one thread; how many times faster it is
than the first, by turns, with the 95 % interval; the memory of a process that loads it and answers,
and what of that is Python with the runtime; and how far its answers are from those that are given
here, in percent of their spread, with the share of images that are answered alike. Images are the
calibration split's; `benchmark.blocks` and `benchmark.runs` say how often each is timed.

Exit code 2 where the machine cannot be reached or has not what it needs.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slimline.measure.over_ssh import Remote

_SPLIT = Path("data/prepared/calibration")
_MODELS = Path("models")
_IMAGES = 32
"""That all machines answer."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--host", metavar="ssh:NAME", type=_host, required=True, help="where they are measured"
    )
    parser.add_argument(
        "models", metavar="FOLDER", type=Path, nargs="*", help="with model.onnx and model.json"
    )


def _host(text: str) -> str:
    from slimline.measure import over_ssh  # imports numpy

    return over_ssh.host_name(text)


def run(arguments: Namespace) -> int:
    """Print the table."""
    from slimline import params
    from slimline.artifacts import description, model_interface
    from slimline.data import split_files
    from slimline.errors import ArtifactError
    from slimline.measure import latency, over_ssh

    settings = params.load("benchmark", latency.BenchmarkParams)
    folders = {str(path): path for path in arguments.models} or _declared()
    if not folders:
        raise ArtifactError("models: there is no model to measure; run `dvc repro`")
    paths = {name: description.onnx_path(folder) for name, folder in folders.items()}
    pixels = split_files.load(_SPLIT).images[:_IMAGES]
    images = {
        name: model_interface.read(folder).frame.normalise(pixels)
        for name, folder in folders.items()
    }
    found = over_ssh.measure(
        arguments.host,
        {name: (path, images[name]) for name, path in paths.items()},
        blocks=settings.blocks,
        runs=settings.runs,
    )
    print(found.machine)
    print()
    _print(found, {name: _answers(path, images[name]) for name, path in paths.items()})
    return 0


def _declared() -> dict[str, Path]:
    from slimline import variants
    from slimline.artifacts import description

    folders = {name: _MODELS / name for name in variants.read()}
    return {
        name: folder for name, folder in folders.items() if (folder / description.ONNX).is_file()
    }


def _answers(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    """Return what a model answers here, one image at a time; [images, classes]."""
    import numpy as np

    from slimline.targets.runtimes import Deployable

    answer = Deployable(path).load(num_threads=1)
    return np.concatenate([answer(image[np.newaxis]) for image in images])


def _print(found: Remote, here: dict[str, NDArray[Any]]) -> None:
    import numpy as np

    from slimline.measure import block_times, significance

    blocks = {name: np.median(each, axis=1) for name, each in found.milliseconds.items()}
    first = next(iter(blocks))
    print(f"| model | p50, ms | faster than {first}, x | peak MiB, runtime alone | answers |")
    print("|---|---:|---:|---:|---:|")
    for name, times in blocks.items():
        low, high = block_times.speedup_bounds(blocks[first], times, significance.SURE_95)
        faster = float(np.median(blocks[first] / times))
        told = "1" if name == first else f"{faster:.2f} ({low:.2f} to {high:.2f})"
        there, own = found.answers[name], here[name]
        apart = 100 * float(np.abs(there - own).max() / (own.max() - own.min()))
        alike = 100 * float(np.mean(there.argmax(1) == own.argmax(1)))
        memory = f"{found.peak_mib[name]:.0f}, {found.base_mib[name]:.0f}"
        print(
            f"| {name} | {np.median(found.milliseconds[name]):.3f} | {told} | {memory} | "
            f"{apart:.2g} % apart, {alike:.0f} % alike |"
        )
