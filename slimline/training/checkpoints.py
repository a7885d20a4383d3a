"""Checkpoints: an interrupted training goes on where it was, and ends with the same bytes.

They lie outside of all that DVC and git know, one file each, without pickle: safetensors, with JSON
in its header. A file is named by its own hash, so that a damaged one is noticed; its folder by all
that decides the result, so that no other training takes it for its own. What is saved of a training
is in `slimline.training.run_state`, why so in docs/decisions/0028-checkpoints.md.
"""

import contextlib
import hashlib
import json
import shutil
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from slimline import code_hashes, files
from slimline.params import PARAMS_PATH, Params
from slimline.training import determinism, processes

FOLDER = Path(".slimline", "checkpoints")
"""Relative to the workspace: an experiment in a folder of its own (`--temp`, `--queue`) begins
anew."""

Saved: TypeAlias = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors, and JSON types."""

_KEPT = 2
"""Checkpoints of a training: a machine that dies while it writes spoils the last one at most."""

_HEADER = "state"
_NO_EFFECT = "num_workers"
"""A key of recipes that never changes a result: whoever runs out of memory may lower it."""


class Checkpoints:
    """The checkpoints of one stage, of which one training after the other has a folder."""

    def __init__(self, folder: Path, decided_by: Mapping[str, Any], *, minutes: float) -> None:
        self._folder, self._decided_by = folder, dict(decided_by)
        self._seconds = 60 * minutes
        self._last = time.monotonic()
        self._own: set[Path] = set()
        self._is_told = False

    def of_training(
        self, phase: str, decided_by: Mapping[str, Any]
    ) -> "TrainingCheckpoints | None":
        """Return those of a training; what decides its result decides whose they are."""
        if not self._seconds:
            return None
        key = _hash({"stage": self._decided_by, "training": decided_by})
        folder = self._folder / f"{phase.replace(' ', '-')}-{key[:16]}"
        self._own.add(folder)
        return TrainingCheckpoints(self, folder, phase)

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is as long ago as it may be."""
        return time.monotonic() - self._last >= self._seconds

    def count_anew(self) -> None:
        """Begin to wait for the next one."""
        self._last = time.monotonic()

    def remove_others(self) -> None:
        """Remove what is of a run with other settings, code or data."""
        for folder in self._others():
            shutil.rmtree(folder, ignore_errors=True)

    def say_if_others(self) -> None:
        """Say once that an interrupted run left checkpoints which are not of this one."""
        if self._others() and not self._is_told:
            self._is_told = True
            print(
                f"{self._folder} has checkpoints of an interrupted run with other settings, code, "
                "data or packages, or on another machine: this run begins anew, and removes them "
                "when it writes its first"
            )

    def remove(self) -> None:
        """Remove all, since what they were kept for is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _others(self) -> list[Path]:
        return [path for path in self._folder.glob("*/") if path not in self._own]


class TrainingCheckpoints:
    """Those of one training: at most two, the last one first."""

    def __init__(self, stage: Checkpoints, folder: Path, phase: str) -> None:
        self._stage, self._folder, self._phase = stage, folder, phase

    @property
    def is_due(self) -> bool:
        """Whether it is time to write one; of several processes the first decides."""
        return processes.first_decides(self._stage.is_due)

    def load(self) -> Saved | None:
        """Return what the last one that is whole has saved, if there is one.

        Of several processes the first reads it, since the others may be on other machines.
        """
        content = processes.of_first(self._read() if processes.rank() == 0 else None)
        if content is None:
            self._stage.say_if_others()
            return None
        return _parse(content)

    def _read(self) -> bytes | None:
        for path in self._by_step():
            try:
                content = path.read_bytes()
            except OSError as error:
                why = error.strerror
                print(f"{self._phase}: checkpoint {path} cannot be read: {why}; it is passed over")
                continue
            if hashlib.sha256(content).hexdigest()[:32] == path.stem.partition(".")[2]:
                return content
            print(f"{self._phase}: checkpoint {path} is damaged, and passed over")
        return None

    def save(self, saved: Saved, *, step: int, is_last: bool = False) -> None:
        """Write one, and remove those before it: all but one, of the last step all.

        A disk that is full ends no training: it is said, and training goes on. Of several
        processes the first writes.
        """
        if processes.rank() > 0:
            return
        tensors, content = saved
        partial = self._folder / ".partial"
        own = {
            name: each.detach().to("cpu", copy=True).contiguous() for name, each in tensors.items()
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(own, partial, metadata={_HEADER: json.dumps(content)})
            path = partial.with_name(f"{step:09d}.{files.hash_file(partial)[:32]}.safetensors")
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                partial.unlink()  # what is left of the disk is for the model
            print(f"{self._phase}: no checkpoint could be written: {error}; training goes on")
        else:
            for older in self._by_step()[1 if is_last else _KEPT :]:
                with contextlib.suppress(OSError):
                    older.unlink()
            self._stage.remove_others()
        self._stage.count_anew()

    def _by_step(self) -> list[Path]:
        """Return all that are whole by their name, the last one first."""
        return sorted(self._folder.glob("*.safetensors"), reverse=True)


def of_stage(
    stage: str, settings: Iterable[Params], *, minutes: float, parents: Iterable[Any] = ()
) -> Checkpoints:
    """Return the checkpoints of a stage, to be written every so many minutes; at 0 none is.

    `settings` are all that the stage goes by, `parents` the architectures of the models that it
    reads: a stride or an activation is no tensor. Whatever else its result depends on, its
    trainings add (`of_training`).
    """
    decided_by = {
        "code": code_hashes.of_stage(stage, PARAMS_PATH),
        "settings": [_effective(each.model_dump(mode="json")) for each in settings],
        "parents": list(parents),
        "machine": determinism.identity(),
    }
    return Checkpoints(FOLDER / stage, decided_by, minutes=minutes)


def _parse(content: bytes) -> Saved:
    """Return what is in a file of safetensors: its size of header, header, tensors."""
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    return load(content), json.loads(header["__metadata__"][_HEADER])


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: names, types, shapes and values."""
    found = hashlib.sha256()
    for name, each in tensors.items():
        values = each.detach().cpu().contiguous()
        found.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        found.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _effective(settings: Any) -> Any:
    """Return settings without what never changes a result."""
    if isinstance(settings, dict):
        return {key: _effective(value) for key, value in settings.items() if key != _NO_EFFECT}
    return settings
