"""A user's checkpoint: a folder of its own under `data/raw/pretrained`. Free of torch.

A folder has the weights, and beside them what a file of tensors cannot say: a JSON file of notes,
and `labels.txt`. A model folder of ours, as a stage made it, may stand there as it is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from slimline import files
from slimline.errors import PretrainedError
from slimline.networks import checkpoint_kind, model_description
from slimline.networks.checkpoint_kind import SUFFIXES
from slimline.params import Params

LABELS = "labels.txt"
DESCRIPTION = "model.json"
"""What makes a folder one of ours, see `slimline.artifacts.description`."""

_OF_OURS = {DESCRIPTION, "weights.safetensors", "model.onnx", "history.tsv"}
_FOR_PEOPLE = ("README", "LICENSE", "LICENCE", "NOTICE")

_Channel = Annotated[float, Field(strict=False)]


class Notes(Params):
    """The JSON file beside the weights; every key may be left out."""

    source: str = "a file of the user"
    """Where they are from, for the model card."""

    licence: str = "not stated"

    mean: Annotated[list[_Channel], Field(min_length=1, max_length=3)] | None = None
    """Per channel, of pixels scaled to 0..1: what is subtracted before an image is looked at."""

    std: Annotated[list[_Channel], Field(min_length=1, max_length=3)] | None = None
    """Per channel, of pixels scaled to 0..1: what an image is divided by then."""

    image_size: Annotated[int, Field(ge=8)] | None = None
    """Height and width that it was trained with, pixels, as `data.image_size`."""

    crop: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of an image around its centre that it was scored with, as `data.crop`."""

    stem_stride: Annotated[int, Field(ge=1, le=2)] | None = None
    """Stride of the first convolution, where it is not that of the published network."""

    labels: list[str] | None = None
    """Names of the classes, in the order of the head."""

    take: str | None = None
    """Which of several sets of weights in the file is meant, as `model_ema`."""

    @model_validator(mode="after")
    def _is_a_normalisation(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("must have mean and std together")
        if self.mean is None or self.std is None:
            return self
        if len(self.mean) != len(self.std) or len(self.mean) == 2:
            raise ValueError(
                "must have as many numbers in mean as in std, 1 for grey or 3 for RGB (given "
                f"{len(self.mean)} and {len(self.std)})"
            )
        if max(self.mean) > 1 or max(self.std) > 1:
            raise ValueError(
                "must have mean and std of pixels scaled to 0..1: divide by 255 (given "
                f"{self.mean} and {self.std})"
            )
        if min(self.mean) < 0 or min(self.std) <= 0 or not all(map(math.isfinite, self.std)):
            raise ValueError(
                "must have a mean of at least 0 and a std above 0, since images are divided by it "
                f"(given {self.mean} and {self.std})"
            )
        return self


@dataclass(frozen=True)
class CheckpointFolder:
    """What lies in a folder."""

    path: Path
    weights: Path
    notes: Notes
    labels: tuple[str, ...]
    """Of the notes or of `labels.txt`, in the order of the head; empty where neither says it."""
    description: Mapping[str, Any] | None = None
    """`model.json`, where it is a model folder of ours."""
    unused: tuple[str, ...] = ()
    """Names of files that nothing is done with."""


def read(root: Path, name: str) -> CheckpointFolder:
    """Return what lies in the folder `name` under `root`, `data/raw/pretrained`.

    Raises:
        PretrainedError: there is no such folder, or something in it cannot be used.
    """
    folder = root / name
    if not folder.is_dir():
        raise PretrainedError(_missing(root, name))
    if (folder / DESCRIPTION).is_file():
        return _of_ours(folder)
    names = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    weights = [each for each in names if Path(each).suffix.lower() in SUFFIXES]
    notes = [each for each in names if each.endswith(".json")]
    if len(weights) != 1:
        found = ", ".join(weights) or ", ".join(names) or "nothing"
        raise PretrainedError(
            f"{folder}: must have one file of weights ({', '.join(SUFFIXES)}), has {found}; each "
            "checkpoint has a folder of its own"
        )
    if len(notes) > 1:
        raise PretrainedError(
            f"{folder}: must have one JSON file at most, has {', '.join(notes)}; keep the one that "
            "says mean and std"
        )
    checkpoint_kind.kind(folder / weights[0])
    said = _notes(folder / notes[0]) if notes else Notes()
    used = {weights[0], *notes, LABELS}
    return CheckpointFolder(
        folder,
        folder / weights[0],
        said,
        _labels(folder / LABELS, said),
        unused=tuple(
            each for each in names if each not in used and not each.startswith(_FOR_PEOPLE)
        ),
    )


def _of_ours(folder: Path) -> CheckpointFolder:
    weights = folder / "weights.safetensors"
    try:
        description: Any = files.read_json(folder / DESCRIPTION)
    except ValueError as error:
        raise PretrainedError(f"{folder / DESCRIPTION}: is no JSON: {error}") from None
    if not weights.is_file():
        raise PretrainedError(
            f"{folder}: is a model folder without {weights.name}, which only deploys; copy that of "
            "baseline_train, backbone_swap or prune"
        )
    if not isinstance(description, dict) or "architecture" not in description:
        raise PretrainedError(f"{folder / DESCRIPTION}: does not describe a model of Slimline")
    mistake = model_description.mistake(description, folder / DESCRIPTION)
    if mistake:
        raise PretrainedError(mistake)
    checkpoint_kind.kind(weights)
    names = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    return CheckpointFolder(
        folder,
        weights,
        Notes(source=f"a model folder of Slimline, {folder.name}"),
        tuple(description["classes"]),
        description,
        tuple(each for each in names if each not in _OF_OURS),
    )


def _missing(root: Path, name: str) -> str:
    known = sorted(
        each.name
        for each in (root.iterdir() if root.is_dir() else [])
        if each.is_dir() and each.name not in {"none", "imagenet"}
    )
    loose = sorted(each.name for each in root.glob("*") if each.suffix.lower() in SUFFIXES)
    has = f"{root} has {', '.join(known) or 'none of yours yet'}"
    moved = (
        f"; {loose[0]} must stand in a folder of its own, {root / Path(loose[0]).stem}"
        if loose
        else ""
    )
    return (
        f"params.yaml: pretrained: {name}: there is no folder {root / name}; {has}{moved}. "
        "If DVC tracks it, `dvc pull` fetches it"
    )


def _notes(path: Path) -> Notes:
    try:
        content = files.read_json(path)
    except ValueError as error:
        raise PretrainedError(f"{path}: is no JSON: {error}") from None
    try:
        return Notes.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(each) for each in first["loc"][:1])
        if first["type"] == "extra_forbidden":
            known = ", ".join(Notes.model_fields)
            raise PretrainedError(f"{path}: {key}: is no key of it; known are {known}") from None
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        given = "" if "(given" in said else f" (given {first['input']!r})"
        raise PretrainedError(f"{path}: {f'{key}: ' if key else ''}{said}{given}") from None


def _labels(path: Path, notes: Notes) -> tuple[str, ...]:
    """Return the names of the classes: those of the notes, or a line each of `labels.txt`."""
    listed = notes.labels
    if path.is_file():
        if listed is not None:
            raise PretrainedError(f"{path}: the JSON file beside it has labels as well; keep one")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise PretrainedError(f"{path}: must be text in UTF-8, a class a line") from None
        listed = [line.strip() for line in text.splitlines() if line.strip()]
    names = tuple(listed or ())
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise PretrainedError(f"{path}: names {twice[0]!r} twice; each class stands there once")
    return names
