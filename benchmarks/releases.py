"""Do older and newer releases of ONNX Runtime run our files in int8, and faster than float?

    python -m benchmarks.releases --target /somewhere --releases 1.15.1 1.22.1

Files are written as in `benchmarks.int8`, with random weights. Each release is installed into a
virtual environment of its own below `--target`, and runs `benchmarks/one_release.py` there. A line
per release and backbone: the layers, how many of them run in int8, and how many times faster than
the float model that is, on the same release; then the same with all biases in float
(docs/decisions/0017-biases-in-int32.md).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

from benchmarks.int8 import FLOAT, make_subject, quantize_padded
from slimline import files
from slimline.networks.registry import REGISTRY
from slimline.targets.onnxruntime.passes import int32_biases

FILES = (FLOAT, "ours", "float_biases")
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
    print("| ONNX Runtime | backbone | layers | in int8 | times | float biases: in int8 | times |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for release in given.releases:
        python = install(release, given.target / release)
        for backbone in given.backbones:
            folder = given.target / f"{backbone}-{given.size}"
            print(line(python, release, backbone, folder), flush=True)


def write(backbone: str, size: int, folder: Path) -> None:
    """Write the float file, ours, and ours with biases in float."""
    _, ours, float_biases = (folder / f"{name}.onnx" for name in FILES)
    subject = make_subject(backbone, size, folder)
    quantize_padded(subject, ours)
    with mock.patch.object(int32_biases, "quantize"):
        quantize_padded(subject, float_biases)


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
    paths = [folder / f"{name}.onnx" for name in FILES]
    ran = subprocess.run([python, SCRIPT, *paths], check=True, capture_output=True, text=True)
    _, ours, float_biases = (json.loads(each) for each in ran.stdout.splitlines())
    cells = [release, backbone, f"{ours['layers']}"]
    for found in (ours, float_biases):
        cells += [f"{found['in_int8']}", f"{found['faster']:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
