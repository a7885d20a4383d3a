"""A checkpoint's classes against the data's, and its head put into their order."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from slimline.networks.pretrained import listed


def match(labels: Sequence[str], classes: Sequence[str], *, source: str) -> list[int] | None:
    """Return for each class of the data its row in the checkpoint's head.

    None where the two have other classes: then the head is of no use. A checkpoint without names
    is taken to have the data's order, which is said.
    """
    if not labels:
        print(
            f"{source}: does not say what its classes are called; they are taken to be the data's, "
            f"in order: {listed(classes)}; a labels.txt beside it would say"
        )
        return list(range(len(classes)))
    if set(labels) != set(classes) or len(labels) != len(classes):
        return None
    return [labels.index(name) for name in classes]


def difference(labels: Sequence[str], classes: Sequence[str]) -> str:
    """Say how the classes of a checkpoint and of the data differ."""
    missing = [name for name in labels if name not in classes]
    extra = [name for name in classes if name not in labels]
    return (
        f"it has {len(labels)} classes, the data {len(classes)}; only the checkpoint has "
        f"{listed(missing)}, only the data {listed(extra)}"
    )


def reordered(
    tensors: Mapping[str, Tensor], rows: Sequence[int], *, last: str
) -> dict[str, Tensor]:
    """Return tensors with the rows of the last layer, named `last`, in another order."""
    names = {f"{last}.weight", f"{last}.bias"} & set(tensors)
    return dict(tensors) | {name: tensors[name][list(rows)].clone() for name in names}
