"""Who reads our .onnx files, with which answers, in int8, and faster than float?

    python -m benchmarks.readers --target /somewhere --backbones product shufflenet_v2_x1_0

needs a network for packages (pip, and npm for ONNX Runtime Web in Node). ONNX Runtime and its
converter to .ort are those of this repository; each other reader gets a virtual environment or a
node_modules of its own below `--target`, so that none disturbs another; what is there stays, and
the files of a model as long as neither it nor the code that writes them changes.
`benchmarks/one_reader.py` or `one_web_reader.mjs` runs there. `product` is the model of the
pipeline, from models/prune and models/qat_finetune; a backbone is written as in `benchmarks.int8`,
with random weights and BatchNorm of the images. A line per backbone, form (`int8_export.form`) and
reader:

    loads        whether it reads the int8 file, or the beginning of what it says
    logits       the largest difference from ONNX Runtime's, of this repository's own release, in
                 percent of their spread, on 64 images of blurred noise one by one
    answers      images with the same first answer, percent
    in int8      layers that it computes in int8, of all, where it tells
    times float  how many times faster than its own float, one image on one thread, by the medians
"""

import argparse
import copy
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from benchmarks.executorch_families import agreement, difference, fit_batchnorm, pictures
from benchmarks.int8 import BATCH, NUM_CALIBRATION, Subject, make_subject
from slimline import files
from slimline.artifacts import description
from slimline.networks.registry import REGISTRY
from slimline.quantization import int8_export, qat
from slimline.targets.onnxruntime import exporter, runtime, to_onnx
from slimline.targets.onnxruntime.passes import order

PRODUCT = "product"
NUM_IMAGES = 64
MODELS = Path("models")
FORMS: tuple[order.Form, ...] = ("fastest", "portable")
HERE = Path(__file__).parent
_HASH_DIGITS = 12


@dataclass(frozen=True)
class Reader:
    """Something that may read an .onnx file."""

    install: Callable[[Path], list[str]]
    """Makes an environment in a folder, and returns how a script is run there."""
    how: str = ""
    """What the script is told to do."""


def own(_folder: Path) -> list[str]:
    """Return how one_reader.py is run with the packages of this repository."""
    return [sys.executable, str(HERE / "one_reader.py")]


def python_with(folder: Path, *packages: str) -> str:
    """Return the interpreter of an environment with packages; what is there stays."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        command = [python, "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True)
    return str(python)


def pip(*packages: str) -> Callable[[Path], list[str]]:
    """Return an installer of Python packages; one_reader.py runs there."""
    return lambda folder: [python_with(folder, *packages), str(HERE / "one_reader.py")]


def npm(package: str) -> Callable[[Path], list[str]]:
    """Return an installer of a package for Node; one_web_reader.mjs runs there."""

    def install(folder: Path) -> list[str]:
        if not (folder / "node_modules").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            command = [
                "npm",
                "install",
                "--silent",
                "--ignore-scripts",
                "--prefix",
                folder,
                package,
            ]
            subprocess.run(command, check=True)
        script = folder / "one_web_reader.mjs"
        shutil.copyfile(HERE / script.name, script)
        return ["node", str(script)]

    return install


OPENVINO = ("openvino==2026.4.1", "numpy")
READERS = {
    "onnxruntime": Reader(own, "onnxruntime"),
    "ort-fixed": Reader(own, "ort-fixed"),
    "ort-runtime": Reader(own, "ort-runtime"),
    "openvino": Reader(pip(*OPENVINO), "openvino"),
    "tract": Reader(pip("tract==0.23.9", "numpy"), "tract"),
    "opencv": Reader(pip("opencv-python-headless==5.0.0.93", "numpy"), "opencv"),
    "onnxruntime-web": Reader(npm("onnxruntime-web@1.30.0")),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument(
        "--backbones", nargs="+", choices=[PRODUCT, *REGISTRY], default=[PRODUCT, *REGISTRY]
    )
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--size", type=int, default=96)
    given = parser.parse_args()
    print("| backbone | form | reader | loads | logits, % | answers, % | in int8 | times float |")
    print("|---|---|---|---|---:|---:|---:|---:|")
    for backbone in given.backbones:
        made_from = hash_sources(backbone)
        folders = [given.target / f"{backbone}-{given.size}-{made_from}-{form}" for form in FORMS]
        if not all(folder.is_dir() for folder in folders):
            with files.replacing(folders[0]) as first, files.replacing(folders[1]) as second:
                write(backbone, given.size, dict(zip(FORMS, (first, second), strict=True)))
        for form, folder in zip(FORMS, folders, strict=True):
            for name in given.readers if form in given.forms else ():
                found = cells(name, folder, given.target)
                print(f"| {backbone} | {form} | {name} | {' | '.join(found)} |", flush=True)


def hash_sources(backbone: str) -> str:
    """Return the beginning of a hash of what the files of a backbone are made from."""
    sources = sorted(Path(exporter.__file__).parent.rglob("*.py"))
    if backbone == PRODUCT:
        sources.append(MODELS / "qat_finetune" / description.DESCRIPTION)
    hashes = "".join(map(files.hash_file, sources))
    return hashlib.sha256(hashes.encode()).hexdigest()[:_HASH_DIGITS]


def write(backbone: str, size: int, folders: Mapping[order.Form, Path]) -> None:
    """Write both forms with the float file, raw float32 images, and ONNX Runtime's answers."""
    with tempfile.TemporaryDirectory() as scratch:
        subject, converted = quantized(backbone, size, Path(scratch))
        images = pictures(NUM_IMAGES, subject).numpy()
        for form, folder in folders.items():
            shutil.copyfile(subject.path, folder / "float.onnx")
            path = folder / "int8.onnx"
            exporter.write(converted, subject.example, path, form=form, pad_channels=True)
            images.tofile(folder / "images.bin")
            files.write_json(folder / "shape.json", {"shape": list(images.shape)})
            session = runtime.load(path, num_threads=1)
            expected = [runtime.run(session, image[np.newaxis]) for image in images]
            np.concatenate(expected).tofile(folder / "expected.bin")


def quantized(backbone: str, size: int, scratch: Path) -> tuple[Subject, fx.GraphModule]:
    """Return a network with its float file, and what `exporter.write` makes an int8 file of."""
    if backbone == PRODUCT:
        trained = int8_export.load_prepared(MODELS / "qat_finetune")
        assert isinstance(trained.network, fx.GraphModule)
        of_float = MODELS / "prune" / runtime.FILE
        subject, prepared = Subject(trained.network, trained.example, of_float), trained.network
    else:
        subject = make_subject(backbone, size, scratch)
        subject = Subject(subject.network, pictures(NUM_CALIBRATION, subject), subject.path)
        fit_batchnorm(subject)
        to_onnx.write_onnx(copy.deepcopy(subject.network), subject.example, subject.path)
        prepared = qat.prepare(subject.network, subject.example, weight_bits=7)
        for batch in subject.images.split(BATCH):
            prepared(batch)
        qat.finish(prepared)
    return subject, qat.convert(prepared)


def cells(name: str, folder: Path, target: Path) -> list[str]:
    """Return the cells of a line."""
    reader = READERS[name]
    command = reader.install(target / "environments" / name)
    arguments = [str(folder), *([reader.how] if reader.how else [])]
    ran = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        return [_told(ran), "", "", "", ""]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    logits, expected = (_logits(folder / each) for each in ("answers.bin", "expected.bin"))
    return [
        "yes",
        f"{difference(expected, logits):.2f}",
        f"{agreement(expected, logits):.1f}",
        found["in_int8"],
        f"{found['float_ms'] / found['int8_ms']:.2f}",
    ]


def _logits(path: Path) -> NDArray[np.float32]:
    return np.fromfile(path, np.float32).reshape(NUM_IMAGES, -1)


def _told(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what went wrong, as a cell has room for it."""
    lines = [line for line in ran.stderr.splitlines() if line.strip()]
    return "no: " + (lines[-1].strip()[:120].replace("|", "/") if lines else f"{ran.returncode}")


if __name__ == "__main__":
    main()
