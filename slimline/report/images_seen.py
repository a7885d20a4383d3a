"""How many training images the weights of each variant saw: more of them is more training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slimline import files
from slimline.report.curves import LearningCurve
from slimline.report.lineage import Link
from slimline.variants import Variants

FILE = "images_seen.tsv"
COLUMNS = ("variant", "images")

KEEP = "keep"
"""`backbone_swap.KEEP`, said again: a report that imported it would run again for every network."""


def count(
    declared: Variants, links: Sequence[Link], curves: Sequence[LearningCurve]
) -> dict[str, int]:
    """Return the images of each variant, an image counted each time that it is seen.

    Counted is what its own weights were trained on, along the chain: the baseline's training
    counts for the baseline alone, since the network that takes its place begins anew and has it as
    a teacher; with `backbone_swap.backbone: keep` the baseline itself goes on. A comparator, which
    is quantized without training, saw what its parent saw.
    """
    seen = {curve.name: curve.images for curve in curves}
    parents = {link.name: "" if _begins_anew(link) else link.parent for link in links}
    return {name: _along(_trained(declared, name, parents), seen, parents) for name in declared}


def _trained(declared: Variants, name: str, parents: Mapping[str, str]) -> str:
    """Return the model that a variant is or was quantized from."""
    return name if name in parents else declared[name].parent


def _begins_anew(link: Link) -> bool:
    """Return whether a model has a backbone of its own, and not that of its parent."""
    return bool(link.content["settings"].get("backbone", KEEP) != KEEP)


def _along(name: str, seen: Mapping[str, int], parents: Mapping[str, str]) -> int:
    total = 0
    while name:
        total += seen.get(name, 0)
        name = parents.get(name, "")
    return total


def rows(images: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the lines of the table in git."""
    return [dict(zip(COLUMNS, each, strict=True)) for each in images.items()]


def read(history: Path) -> dict[str, int]:
    """Return the table in git; empty where it is of a commit that did not count."""
    path = history / FILE
    found = files.read_table(path) if path.is_file() else []
    return {row["variant"]: int(row["images"]) for row in found}
