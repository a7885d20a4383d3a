"""What the product was made from, in torch's own form, as a part of a package."""

from pathlib import Path

from slimline import files
from slimline.artifacts import description
from slimline.errors import ArtifactError

FOLDER = "torch"

_FOREBEARS = ("qat_finetune", "prune")
"""What the product was made from, the nearest first."""


def add(package: Path, model: Path) -> None:
    """Write the folder `torch` of a package of a model: a .pt2 for each forebear, which lie beside.

    Raises:
        ArtifactError: a model beside it is not what it was made from.
    """
    from slimline.quantization import torch_file  # torch takes seconds, and few ask for it

    folder, child = package / FOLDER, model
    folder.mkdir()
    for name in _FOREBEARS:
        parent = model.parent / name
        path = parent / description.DESCRIPTION
        expected = description.read(child).get("sha256", {}).get("parent")
        if not path.is_file() or files.hash_file(path) != expected:
            raise ArtifactError(
                f"{parent}: is not what {child} was made from; `dvc checkout` brings it"
            )
        torch_file.write(parent, folder / f"{name}.pt2")
        child = parent
