"""Who reads our .onnx files, with which answers, in int8, and faster than float?

    python -m benchmarks.readers --target /somewhere --backbones product shufflenet_v2_x1_0

needs a network for packages (pip, and npm for ONNX Runtime Web in Node). ONNX Runtime and its
converter to .ort are those of this repository; each other reader gets a virtual environment or a
node_modules of its own below `--target`, so that none disturbs another; what is there stays, and
the files of a model as long as neither it nor the code that writes them changes.
`benchmarks/one_reader.py` or `one_web_reader.mjs` runs there. `product` is the model of the
pipeline, from models/prune and models/qat_finetune; a backbone is written as in `benchmarks.int8`,
with random weights and BatchNorm of the images. A line per backbone, case and reader. A case is a
form (`int8_export.form`), with `-uint8` or `-uint8_nhwc` for pixels (`int8_export.input`), and
`-symmetric` for `quantization.activation_type: int8_symmetric`, of the product without training.

    python -m benchmarks.readers --target /somewhere --cases portable-uint8 portable-symmetric

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import fx

from benchmarks.executorch_families import agreement, difference, fit_batchnorm, pictures
from benchmarks.int8 import BATCH, NUM_CALIBRATION, Subject, make_subject
from slimline import files
from slimline.artifacts import description, model_folder, model_interface
from slimline.data.preprocessing import Preprocessing
from slimline.networks.registry import REGISTRY
from slimline.quantization import int8_export, qat
from slimline.targets.onnxruntime import exporter, interface, runtime, to_onnx
from slimline.targets.onnxruntime.passes import order
from slimline.targets.schemes import ActivationType

PRODUCT = "product"
NUM_IMAGES = 64
MODELS = Path("models")
MEAN, STD = 0.5, 0.15
"""Of the pixels that stand for blurred noise: few of them are cut off."""
HERE = Path(__file__).parent
_HASH_DIGITS = 12


@dataclass(frozen=True)
class Reader:
    """Something that may read an .onnx file."""

    install: Callable[[Path], list[str]]
    """Makes an environment in a folder, and returns how a script is run there."""
    how: str = ""
    """What the script is told to do."""
    takes_pixels: bool = True
    """Whether the script hands bytes to a file."""


@dataclass(frozen=True)
class Case:
    """How a file is written."""

    form: order.Form
    takes: Literal["float32", "uint8", "uint8_nhwc"] = "float32"
    activation_type: ActivationType = "uint8"

    def frame(self, plain: Preprocessing) -> Preprocessing:
        """Return what makes of images what the file takes."""
        return model_interface.of(plain, takes=self.takes, answers=model_interface.LOGITS).frame


CASES = {
    "fastest": Case("fastest"),
    "portable": Case("portable"),
    "fastest-uint8": Case("fastest", "uint8"),
    "portable-uint8": Case("portable", "uint8"),
    "portable-uint8_nhwc": Case("portable", "uint8_nhwc"),
    "fastest-symmetric": Case("fastest", activation_type="int8_symmetric"),
    "portable-symmetric": Case("portable", activation_type="int8_symmetric"),
}
FORMS = ("fastest", "portable")


def own(_folder: Path) -> list[str]:
    """Return how one_reader.py is run with the packages of this repository."""
    return [sys.executable, str(HERE / "one_reader.py")]


def python_with(folder: Path, *packages: str) -> str:
    """Return the interpreter of an environment with packages; what is there stays."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *packages]
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
                str(folder),
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
    "onnxruntime-web": Reader(npm("onnxruntime-web@1.30.0"), takes_pixels=False),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument(
        "--backbones", nargs="+", choices=[PRODUCT, *REGISTRY], default=[PRODUCT, *REGISTRY]
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=FORMS)
    parser.add_argument("--size", type=int, default=96)
    given = parser.parse_args()
    print("| backbone | case | reader | loads | logits, % | answers, % | in int8 | times float |")
    print("|---|---|---|---|---:|---:|---:|---:|")
    for backbone in given.backbones:
        made_from = hash_sources(backbone)
        for case in given.cases:
            folder = given.target / f"{backbone}-{given.size}-{made_from}-{case}"
            if not folder.is_dir():
                with files.replacing(folder) as made:
                    write(backbone, given.size, CASES[case], made)
            is_of_pixels = CASES[case].takes != "float32"
            for name in given.readers:
                if is_of_pixels and not READERS[name].takes_pixels:
                    continue
                found = cells(name, folder, given.target)
                print(f"| {backbone} | {case} | {name} | {' | '.join(found)} |", flush=True)


def hash_sources(backbone: str) -> str:
    """Return the beginning of a hash of what the files of a backbone are made from."""
    sources = sorted(Path(exporter.__file__).parent.rglob("*.py"))
    if backbone == PRODUCT:
        sources.append(MODELS / "qat_finetune" / description.DESCRIPTION)
    hashes = "".join(map(files.hash_file, sources))
    return hashlib.sha256(hashes.encode()).hexdigest()[:_HASH_DIGITS]


def write(backbone: str, size: int, case: Case, folder: Path) -> None:
    """Write a file with the float file, the images of both, and ONNX Runtime's answers."""
    with tempfile.TemporaryDirectory() as scratch:
        subject, converted = quantized(
            backbone, size, Path(scratch), activation_type=case.activation_type
        )
        shutil.copyfile(subject.path, folder / "float.onnx")
    path = folder / "int8.onnx"
    exporter.write(converted, subject.example, path, form=case.form, pad_channels=True)
    images = pictures(NUM_IMAGES, subject).numpy()
    taken: NDArray[Any] = images
    shapes = {"shape": list(images.shape)}
    if case.takes != "float32":
        plain = frame_of(images)
        frame, photos = case.frame(plain), to_pixels(images, plain)
        images, taken = plain.normalise(photos), frame.normalise(photos)
        interface.rewrite(
            path, frame, answers=to_onnx.OUTPUT, metadata={}, paired=case.form == "portable"
        )
        taken.tofile(folder / "pixels.bin")
        shapes["pixels"] = list(taken.shape)
    images.tofile(folder / "images.bin")
    files.write_json(folder / "shape.json", shapes)
    session = runtime.load(path, num_threads=1)
    expected = [runtime.run(session, image[np.newaxis]) for image in taken]
    np.concatenate(expected).tofile(folder / "expected.bin")


def to_pixels(images: NDArray[np.float32], frame: Preprocessing) -> NDArray[np.uint8]:
    """Return uint8 [count, height, width, channels] that a frame makes such images of, nearly."""
    scaled = images.transpose(0, 2, 3, 1) * frame.std + frame.mean
    pixels: NDArray[np.uint8] = (255 * scaled).round().clip(0, 255).astype(np.uint8)
    return pixels


def frame_of(images: NDArray[np.float32]) -> Preprocessing:
    """Return what normalises pixels to such images, [count, channels, height, width]."""
    _, channels, height, width = images.shape
    return Preprocessing(height, width, channels, (MEAN,) * channels, (STD,) * channels)


def quantized(
    backbone: str, size: int, scratch: Path, *, activation_type: ActivationType = "uint8"
) -> tuple[Subject, fx.GraphModule]:
    """Return a network with its float file, and what `exporter.write` makes an int8 file of."""
    if backbone == PRODUCT and activation_type == "uint8":
        trained = int8_export.load_prepared(MODELS / "qat_finetune")
        assert isinstance(trained.network, fx.GraphModule)
        of_float = MODELS / "prune" / runtime.FILE
        subject = Subject(trained.network, trained.example, of_float)
        return subject, qat.convert(trained.network)
    if backbone == PRODUCT:
        pruned = model_folder.load(MODELS / "prune")
        subject = Subject(pruned.network, pruned.example, MODELS / "prune" / runtime.FILE)
        subject = Subject(subject.network, pictures(NUM_CALIBRATION, subject), subject.path)
    else:
        subject = make_subject(backbone, size, scratch)
        subject = Subject(subject.network, pictures(NUM_CALIBRATION, subject), subject.path)
        fit_batchnorm(subject)
        to_onnx.write_onnx(copy.deepcopy(subject.network), subject.example, subject.path)
    prepared = qat.prepare(
        subject.network, subject.example, weight_bits=7, activation_type=activation_type
    )
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
