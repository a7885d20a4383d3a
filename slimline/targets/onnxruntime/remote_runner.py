"""Times .onnx files on the machine that it is sent to, where numpy and onnxruntime suffice.

`slimline.measure.over_ssh` sends a zip through stdin, `packed` here: this text, the modules
`profile` and `processor`, `settings.json`, and of each model its file and its images. A process of
its own times all in turns, another one for each model says how much memory that takes, if it is
asked. What they find is printed in a line of JSON. It runs on Python 3.8 and later, and leaves
nothing there.
"""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
"""Tells the peak since the program began; ru_maxrss counts the parent's memory as well."""


def main() -> None:
    """Unpack, run, print."""
    with tempfile.TemporaryDirectory() as folder:
        packed.extractall(folder)  # type: ignore[name-defined]  # noqa: F821
        told = _run(folder, "times")
        settings = json.loads(Path(folder, "settings.json").read_text())
        asked = range(settings["models"] if settings["memory"] else 0)
        memory = [_run(folder, "memory", str(number)) for number in asked]
    print(json.dumps({**told, "memory": memory}))


def _run(folder: str, *arguments: str) -> Any:
    command = [sys.executable, str(Path(folder, "runner.py")), folder, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode < 0:
        sys.exit(f"killed by signal {-done.returncode}, as where memory runs out")
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def times(folder: Path) -> dict[str, Any]:
    """Return ms of each run, [models, blocks, runs], the answers to all images, and the kernels."""
    settings = json.loads((folder / "settings.json").read_text())
    models = list(range(settings["models"]))
    images = [np.load(folder / f"{number}.npy") for number in models]
    milliseconds: list[list[list[float]]] = [[] for _ in models]
    kernels: list[list[Any]] = [[] for _ in models]
    answers = [_answers(load(folder, number), images[number]) for number in models]
    for _ in range(settings["blocks"]):
        for number in random.sample(models, len(models)):
            turn = _turn(load(folder, number), images[number], settings)
            milliseconds[number].append(turn)
            if settings["profiled"]:
                kernels[number] += profiled(folder, number, _shown(images[number], settings))
    cpu = _cpu()
    return {
        "cpu": cpu,
        "machine": f"{cpu}, {os.cpu_count()} cores, {platform.platform()}",
        "milliseconds": milliseconds,
        "kernels": kernels,
        "answers": answers,
        "onnxruntime": onnxruntime.__version__,
    }


def _answers(answer: Any, images: Any) -> list[list[float]]:
    return [answer(image)[0].tolist() for image in images]


def _shown(images: Any, settings: dict[str, int]) -> Any:
    return images[np.arange(settings["runs"]) % len(images)]


def profiled(folder: Path, number: int, images: Any) -> list[Any]:
    """Return node, operator and microseconds of everything that is executed for some images."""
    from onnxruntime_profile import kernels  # type: ignore[import-not-found]

    found = kernels(folder / f"{number}.onnx", images)
    return [[each.node, each.operator, each.microseconds] for each in found]


def _turn(answer: Any, images: Any, settings: dict[str, int]) -> list[float]:
    taken = []
    for run in range(settings["warm_up"] + settings["runs"]):
        image = images[run % len(images)]
        start = time.perf_counter()
        answer(image)
        taken.append(1000 * (time.perf_counter() - start))
    return taken[settings["warm_up"] :]


def memory(folder: Path, number: int) -> list[int]:
    """Return the peak before a model is loaded, and after it answered an image, KiB."""
    image = np.load(folder / f"{number}.npy")[0]
    before = _peak()
    load(folder, number)(image)
    return [before, _peak()]


def _peak() -> int:
    if _STATUS.is_file():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def load(folder: Path, number: int) -> Any:
    """Return a function of one image, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(folder / f"{number}.onnx"), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image[np.newaxis]})[0]


def _cpu() -> str:
    from processor import cpu  # type: ignore[import-not-found]

    return str(cpu().model)


if __name__ == "__main__" and len(sys.argv) > 1:
    import numpy as np
    import onnxruntime

    _folder = Path(sys.argv[1])
    if sys.argv[2] == "times":
        print(json.dumps(times(_folder)))
    else:
        print(json.dumps(memory(_folder, int(sys.argv[3]))))
elif __name__ == "__main__":
    main()
