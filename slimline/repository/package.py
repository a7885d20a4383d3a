"""A model with all that goes along with it, in one folder that can be sent away."""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

from slimline import files
from slimline.artifacts import description
from slimline.errors import ArtifactError
from slimline.repository import browser, dvc_files, one_file, torch_files
from slimline.repository.dvc_files import Lock

COMPRESSED = f"{description.ONNX}.gz"
CARD, SUMS, PREDICT, PAGE = "model_card.md", "SHA256SUMS", "predict.py", "preprocessing.md"
DEVICES = "devices"
_EXPORTED = "device_export"
"""Beside the product: a folder for each runtime that `targets` names."""
_PAGE = Path(__file__).parents[2] / "docs" / PAGE


def pack(
    model: Path,
    card: Path,
    target: Path,
    lock: Lock,
    *,
    with_page: bool = False,
    with_torch: bool = False,
) -> list[str]:
    """Write the folder `target` and return the names of its files.

    `model.onnx` and `model.json` are those of the model folder; `model.json` says how an image
    becomes the input. `model.onnx.gz` is the file as it is best sent: zeros that pruning left take
    next to nothing in it. `labels.txt` has a class per line, in the order of the logits.
    `predict.py` answers with numpy, Pillow and onnxruntime alone. `SHA256SUMS` is for
    `sha256sum --check`. The folder `devices` has the same product for each other runtime that it
    was written for, with a `model.json` and `labels.txt` of its own. `with_page` adds the folder
    `browser` (`slimline.repository.browser`), `with_torch` the folder `torch`
    (`slimline.repository.torch_files`).

    Raises:
        ArtifactError: `target` is taken, or a file is not the one that was evaluated and reported.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArtifactError(f"{target}: is there already; name a new or an empty folder")
    if target.is_mount():
        raise ArtifactError(f"{target}: is where a disk is mounted; name a new folder in it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{target}: cannot be made: {error.strerror}") from None
    classes = description.read(model)["classes"]
    sources = [description.onnx_path(model), model / description.DESCRIPTION, card]
    devices = list(_devices(model, lock))
    for source in sources:
        _check(source, lock)
    whole = target.resolve()  # A link stays one; the folder that it leads to is filled.
    with files.replacing(whole) as partial:
        for source in sources:
            shutil.copyfile(source, partial / source.name)
        _compress(partial / description.ONNX, partial / COMPRESSED)
        description.write_labels(partial, classes)
        files.write_text(partial / PREDICT, one_file.predict_source())
        shutil.copyfile(_PAGE, partial / PAGE)
        for device in devices:
            # Without the modes of DVC's cache, whose files nobody may write.
            shutil.copytree(device, partial / DEVICES / device.name, copy_function=shutil.copyfile)
        if with_page:
            browser.add(partial)
        if with_torch:
            torch_files.add(partial, model)
        paths = (path for path in partial.rglob("*") if path.is_file())
        names = sorted(path.relative_to(partial).as_posix() for path in paths)
        sums = [f"{files.hash_file(partial / name)}  {name}\n" for name in names]
        files.write_text(partial / SUMS, "".join(sums))
    return [*names, SUMS]


def _compress(path: Path, target: Path) -> None:
    """Write the same bytes for the same file, whenever that is."""
    target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def _devices(model: Path, lock: Lock) -> Iterator[Path]:
    """Yield the folders for other runtimes of what the product was made from, by any `targets`.

    Raises:
        ArtifactError: one that a stage wrote is not here, or is another.
    """
    parent = description.read(model).get("sha256", {}).get("parent")
    folders = (Path(out.path) for out in lock.outs)
    for folder in (each for each in folders if each.parent == model.parent / _EXPORTED):
        _check(folder, lock)
        if description.read(folder).get("sha256", {}).get("parent") == parent:
            yield folder


def _check(source: Path, lock: Lock) -> None:
    """Refuse what is of another run: the card's figures must be those of the model beside it."""
    recorded = lock.md5(source.as_posix())
    if not source.exists():
        raise ArtifactError(f"{source}: is missing; run `dvc repro`")
    if recorded is None or dvc_files.hash_path(source) != recorded:
        raise ArtifactError(f"{source}: is not what {dvc_files.LOCK} has; run `dvc repro`")
