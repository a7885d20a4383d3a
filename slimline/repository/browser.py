"""A page that classifies photos in a browser, as a part of a package; nothing of it asks a network.

The page is ours (`browser_page` beside this file); what runs the model is ONNX Runtime Web,
of one release, got by npm once and checked against the hash that npm had when it was tried.
"""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from slimline import files
from slimline.errors import ArtifactError

FOLDER = "browser"

_PAGE = Path(__file__).with_name("browser_page")
_RELEASE = "onnxruntime-web@1.30.0"
_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_NOTICE = (
    f"ort*: {_RELEASE}, (c) Microsoft Corporation, MIT licence: "
    "https://github.com/microsoft/onnxruntime/blob/main/LICENSE\n"
)
_PATIENCE = 600
"""Seconds for 100 MB."""


def add(package: Path) -> None:
    """Write the folder `browser` of a package that has its `model.onnx` and `model.json`.

    Raises:
        ArtifactError: npm is not here, or does not bring the release that was tried.
    """
    folder = package / FOLDER
    folder.mkdir()
    for path in sorted(_PAGE.iterdir()):
        if path.suffix in {".html", ".mjs"}:
            shutil.copyfile(path, folder / path.name)
    for name in ("model.onnx", "model.json"):
        shutil.copyfile(package / name, folder / name)
    with tempfile.TemporaryDirectory() as scratch:
        _take(_fetch(Path(scratch)), folder)


def _fetch(folder: Path) -> Path:
    """Return the archive of the release that was tried."""
    npm = shutil.which("npm")
    if npm is None:
        raise ArtifactError(f"--browser: npm, which brings {_RELEASE}, is not installed")
    command = [npm, "pack", "--silent", _RELEASE, "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"--browser: npm did not bring {_RELEASE} in {_PATIENCE} s") from None
    found = sorted(folder.glob("*.tgz"))
    if done.returncode or not found:
        told = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ArtifactError(f"--browser: npm does not bring {_RELEASE}: {told}")
    digest = hashlib.sha512(found[0].read_bytes()).digest()
    if base64.b64encode(digest).decode() != _SHA512:
        raise ArtifactError(f"--browser: what npm brings as {_RELEASE} is not what was tried")
    return found[0]


def _take(archive: Path, folder: Path) -> None:
    """Copy what a page needs out of the archive."""
    with tarfile.open(archive) as packed:
        for name in _FILES:
            content = packed.extractfile(f"package/dist/{name}")
            assert content is not None
            (folder / name).write_bytes(content.read())
    files.write_text(folder / "NOTICE", _NOTICE)
