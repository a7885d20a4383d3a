"""The names of the files in a model folder, and its `model.json`.

Free of torch, and of pydantic: `python -m slimline predict` needs no more than a deployment has.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from slimline import files
from slimline.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from slimline.data.preprocessing import Preprocessing
    from slimline.params import Params
    from slimline.targets.runtimes import Deployable

WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"
ONNX = "model.onnx"
HISTORY = "history.tsv"
LABELS = "labels.txt"

VALIDATION_TOP1 = "validation_top1"
"""Key of `model.json`: percent of the validation images that the model answers right.

What chooses among models goes by it, and never by the test split.
"""

_FILES = {"weights": WEIGHTS, "onnx": ONNX}
"""What `model.json` has the hash of under `sha256`, beside what the model was made from.

Of another target than ONNX Runtime it names the file itself, under `file`.
"""


def read(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's `model.json`.

    Raises:
        ArtifactError: there is none, or it cannot be read.
    """
    path = folder / DESCRIPTION
    if not folder.is_dir():
        missing = "is a file, no model folder" if folder.exists() else "there is no such folder"
        raise ArtifactError(f"{folder}: {missing}")
    try:
        content: Any = files.read_json(path)
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: is no model folder, {DESCRIPTION} is missing") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: describes no model: it is a JSON {type(content).__name__}")
    return content


def frame(folder: Path) -> Preprocessing:
    """Return how an image becomes a model's input, as its `model.json` says.

    Raises:
        ArtifactError: it does not say so, or there is no `model.json`.
    """
    # As in `deployable`.
    from slimline.data.preprocessing import Preprocessing

    path, about = folder / DESCRIPTION, read(folder).get("preprocessing")
    if not isinstance(about, dict):
        raise ArtifactError(f"{path}: describes no classifier: 'preprocessing' is missing or wrong")
    try:
        return Preprocessing.from_dict(about)
    except KeyError as error:
        raise ArtifactError(f"{path}: has no {error.args[0]!r} in 'preprocessing'") from None
    except TypeError as error:
        raise ArtifactError(f"{path}: 'preprocessing' is wrong: {error}") from None


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a folder's `model.json`, with the hashes of the files that lie beside it.

    Who has its hash, as a parent, has the model to the byte: other weights have another.
    """
    own = {key: files.hash_file(folder / name) for key, name in _own(folder, content).items()}
    hashes = {**content.get("sha256", {}), **own}
    files.write_json(folder / DESCRIPTION, {**content, "sha256": hashes})


def write_labels(folder: Path, classes: Sequence[str]) -> None:
    """Write a class per line, in the order of the logits."""
    lines = "".join(f"{' '.join(name.split())}\n" for name in classes)
    files.write_text(folder / LABELS, lines)


def check(path: Path) -> None:
    """Refuse weights or an .onnx that are not those which `model.json` beside them describes.

    Folders of before it had their hashes are taken as they are.

    Raises:
        ArtifactError: the file is of another model, or damaged, or not named there.
    """
    content = read(path.parent)
    described = content.get("sha256")
    key = next((key for key, name in _names(content).items() if name == path.name), None)
    if key is None:
        raise ArtifactError(
            f"{path.parent / DESCRIPTION}: does not name {path.name} as its 'file'; "
            "`dvc checkout` brings both, `dvc repro` makes them anew"
        )
    expected = described.get(key) if isinstance(described, dict) else None
    if expected is not None and files.hash_file(path) != expected:
        raise ArtifactError(
            f"{path}: is not the file that {DESCRIPTION} beside it describes; "
            "`dvc checkout` brings both, `dvc repro` makes them anew"
        )


def differing(folder: Path) -> list[str]:
    """Return what is wrong with the files of a folder, a sentence each."""
    try:
        names = list(_own(folder, read(folder)).values())
    except ArtifactError as error:
        return [str(error)]
    found = []
    for name in names:
        try:
            check(folder / name)
        except ArtifactError as error:
            found.append(str(error))
    return found


def _own(folder: Path, content: Mapping[str, Any]) -> dict[str, str]:
    return {key: name for key, name in _names(content).items() if (folder / name).is_file()}


def _names(content: Mapping[str, Any]) -> dict[str, str]:
    return _FILES | ({"file": str(content["file"])} if "file" in content else {})


def deployable(folder: Path) -> Deployable:
    """Return a folder's deployable model; folders older than targets are for ONNX Runtime.

    Raises:
        ArtifactError: there is none, or its target is unknown here.
    """
    # Who only compares metric files needs nothing that reads images.
    from slimline.targets.registry import ONNX_RUNTIME
    from slimline.targets.runtimes import RUNTIMES, Deployable

    content = read(folder)
    target = str(content.get("target", ONNX_RUNTIME))
    if target not in RUNTIMES:
        known = ", ".join(RUNTIMES)
        raise ArtifactError(f"{folder}: is for target {target!r}; known here are {known}")
    if target == ONNX_RUNTIME:
        return Deployable(onnx_path(folder), target)
    path = folder / RUNTIMES[target].FILE
    if not path.is_file():
        raise ArtifactError(f"{folder}: has no {path.name}; `dvc repro device_export` makes it")
    check(path)
    return Deployable(path, target)


def onnx_path(folder: Path) -> Path:
    """Return the path of a folder's deployable model.

    Raises:
        ArtifactError: there is none, or it is not the one that `model.json` describes.
    """
    path = folder / ONNX
    if path.is_file():
        check(path)
        return path
    if (folder / WEIGHTS).is_file():
        raise ArtifactError(
            f"{folder}: has weights to train on, and no {ONNX} to run; "
            "`dvc repro int8_export` writes one into models/int8_export"
        )
    raise ArtifactError(
        f"{folder}: has no {ONNX}; for a folder of the pipeline, `dvc pull` fetches it or "
        f"`dvc repro {folder.name}` makes it"
    )


def origins(*, data: str, settings: Params | None, parent: Path | None) -> dict[str, str | None]:
    """Return the hashes by which a model names what it was made from."""
    written = settings.model_dump_json() if settings else ""
    return {
        "data": data,
        "parent": files.hash_file(parent / DESCRIPTION) if parent else None,
        "settings": hashlib.sha256(written.encode()).hexdigest(),
    }
