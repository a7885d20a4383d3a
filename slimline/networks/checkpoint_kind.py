"""What a file that is called a checkpoint really is, by its first bytes. Free of torch.

Whoever downloads weights gets an HTML page or a pointer instead, or half a file; whoever saves them
saves a whole module. All of it is found before anything is trained.
"""

import json
import struct
import zipfile
from pathlib import Path
from typing import Literal, TypeAlias

from slimline.errors import PretrainedError

Kind: TypeAlias = Literal["torch", "safetensors"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar")
"""What files of weights are called, as best.pth.tar. The format of one is seen from its content."""

SAVE_RIGHT = (
    "in the script that made it, save the tensors alone: torch.save(model.state_dict(), 'mine.pth')"
)

_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch.save began before it wrote zip archives."""

_ZIP = b"PK\x03\x04"

_FETCH_AGAIN = "fetch the file itself"

_OTHERS = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file: git lfs pull fetches it"),
    (b"/annex/objects/", "is a pointer of git-annex, not the file: git annex get fetches it"),
    (b"outs:", "is a pointer of DVC, not the file: dvc pull fetches it"),
    (b"\x89HDF", "is an HDF5 file, as Keras writes: convert it to a state_dict of PyTorch"),
    (b"\x1f\x8b", "is packed by gzip: unpack it"),
    (b"7z\xbc\xaf", "is packed by 7-Zip: unpack it"),
    (b"\x80", f"is a plain pickle, not of torch.save: {SAVE_RIGHT}"),
)  # fmt: skip
"""Beginnings of what is no checkpoint, and what to say of it."""


def kind(path: Path) -> Kind:
    """Return the format of a file of weights.

    Raises:
        PretrainedError: it is none, or not whole.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
        size = path.stat().st_size
    except OSError as error:
        raise PretrainedError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise PretrainedError(f"{path}: is empty: {_FETCH_AGAIN}, or save it anew")
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise PretrainedError(
            f"{path}: is an HTML page, as a download without its login or confirmation gives: "
            f"{_FETCH_AGAIN}"
        )
    if head.startswith(_ZIP):
        return _of_zip(path)
    if head.startswith(_LEGACY_TORCH):
        return "torch"
    for beginning, told in _OTHERS:
        if head.startswith(beginning):
            raise PretrainedError(f"{path}: {told}")
    return _of_safetensors(path, head, size)


def _of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise PretrainedError(
            f"{path}: is cut off: it begins like a file of torch.save, and its end is missing; "
            f"{_FETCH_AGAIN} again"
        ) from None
    if any(name.endswith("/constants.pkl") for name in names) or any(
        "/code/" in name for name in names
    ):
        raise PretrainedError(
            f"{path}: is a TorchScript program, as torch.jit.save writes, not a state_dict; "
            f"{SAVE_RIGHT}"
        )
    if not any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        kept = ", ".join(names[:3])
        raise PretrainedError(
            f"{path}: is a zip archive with {kept}, not a state_dict; unpack it if a checkpoint is "
            f"inside, else {SAVE_RIGHT}"
        )
    return "torch"


def _of_safetensors(path: Path, head: bytes, size: int) -> Kind:
    """Read the header: 8 bytes say how long the JSON behind them is, which says where tensors end.

    See https://github.com/huggingface/safetensors, "Format".
    """
    unknown = PretrainedError(
        f"{path}: is neither a file of torch.save nor of safetensors; save the state_dict of the "
        "model, best as .safetensors"
    )
    if len(head) < 9 or head[8:9] != b"{":
        raise unknown
    (length,) = struct.unpack("<Q", head[:8])
    cut = PretrainedError(
        f"{path}: is cut off: it begins like a file of safetensors, and its end is missing; "
        f"{_FETCH_AGAIN} again"
    )
    if 8 + length > size:
        raise cut
    try:
        with path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(length))
        ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise unknown from None
    if 8 + length + max(ends, default=0) > size:
        raise cut
    return "safetensors"
