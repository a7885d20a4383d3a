"""Do older and newer releases of ONNX Runtime run our files in int8, and faster than float?

    python -m benchmarks.releases --target /somewhere --releases 1.15.1 1.22.1

Files are written as in `benchmarks.int8`, with random weights. Each release is installed into a
virtual environment of its own below `--target`, and runs `benchmarks/one_release.py` there. A line
per release and backbone: the layers, and of each file how many of them run in int8, and how many
times faster than the float model that is, on the same release. There are ours as `params.yaml` asks
for it by default, of `int8_export.form: portable`, of `int8_export.input: uint8`, and one with all
biases in float (docs/decisions/0017-biases-in-int32.md).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from unittest import mock

from benchmarks.int8 import FLOAT, Subject, make_subject, quantize_ours, quantize_padded
from slimline import files
from slimline.data.raw_pixels import RawPixels
from slimline.networks.registry import REGISTRY
from slimline.targets.onnxruntime import interface, to_onnx
from slimline.targets.onnxruntime.passes import int32_biases

SCRIPT = Path(__file__).with_name("one_release.py")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--releases", nargs="+", required=True)
    parser.add_argument("--backbones", nargs="+", choices=REGISTRY, default=list(REGISTRY))
    parser.add_argument("--size", type=int, default=96)
    given = parser.parse_args()
    for backbone in given.backbones:
        folder = given.target / f"{backbone}-{given.size}"
        if not folder.is_dir():
            with files.replacing(folder) as scratch:
                write(backbone, given.size, scratch)
    print(f"| ONNX Runtime | backbone | layers | {' | times | '.join(WRITERS)} | times |")
    print(f"|---|---{'|---:' * (1 + 2 * len(WRITERS))}|")
    for release in given.releases:
        python = install(release, given.target / release)
        for backbone in given.backbones:
            folder = given.target / f"{backbone}-{given.size}"
            print(line(python, release, backbone, folder), flush=True)


def write(backbone: str, size: int, folder: Path) -> None:
    """Write the float file, and all that are compared with it."""
    subject = make_subject(backbone, size, folder)
    for name, quantize in WRITERS.items():
        quantize(subject, folder / f"{name}.onnx")


def _quantize_for_pixels(subject: Subject, path: Path) -> None:
    """Write ours, for raw pixels instead of normalised floats."""
    quantize_padded(subject, path)
    _, channels, height, width = subject.images.shape
    frame = RawPixels(height, width, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    interface.rewrite(path, frame, answers=to_onnx.OUTPUT, metadata={})


def _quantize_but_biases(subject: Subject, path: Path) -> None:
    """Write ours with biases in float."""
    with mock.patch.object(int32_biases, "quantize"):
        quantize_padded(subject, path)


WRITERS: Mapping[str, Callable[[Subject, Path], None]] = {
    "ours": quantize_padded,
    "portable": partial(quantize_ours, form="portable"),
    "uint8": _quantize_for_pixels,
    "float_biases": _quantize_but_biases,
}


def install(release: str, folder: Path) -> Path:
    """Return the interpreter of an environment with a release; what is there stays."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    packages = [f"onnxruntime=={release}", "numpy<2"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def line(python: Path, release: str, backbone: str, folder: Path) -> str:
    """Return a line of the table."""
    paths = [folder / f"{name}.onnx" for name in (FLOAT, *WRITERS)]
    ran = subprocess.run([python, SCRIPT, *paths], check=True, capture_output=True, text=True)
    _, *ours = (json.loads(each) for each in ran.stdout.splitlines())
    cells = [release, backbone, f"{ours[0]['layers']}"]
    for found in ours:
        cells += [f"{found['in_int8']}", f"{found['faster']:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
