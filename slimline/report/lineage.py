"""What the product was made from, along the hashes by which each model names its parent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline import files
from slimline.artifacts import description

_LICENCE = "LICENSE"


@dataclass(frozen=True)
class Link:
    """One model of the chain."""

    name: str
    sha256: str
    """Of its `model.json`, which has the other three."""
    parent: str
    """Name of the model it was made from, a hash if that is none of these; empty for the first."""
    content: Mapping[str, Any]
    """Its `model.json`."""

    @property
    def data(self) -> str:
        """SHA-256 of the images and labels that it was trained on or checked with."""
        sha256: str = self.content["sha256"]["data"]
        return sha256

    @property
    def settings(self) -> str:
        """Its settings as JSON."""
        return json.dumps(self.content["settings"], indent=2, sort_keys=True)


@dataclass(frozen=True)
class Data:
    """The raw set, as far as the files beside it tell."""

    source: str
    """A folder under `data/raw`, or a set by torchvision's name."""
    licence: str
    """First line of its licence; empty if there is none beside it."""


def chain(folders: Sequence[Path]) -> list[Link]:
    """Return the model folders, from the first to the product, as links."""
    hashes = {each: files.hash_file(each / description.DESCRIPTION) for each in folders}
    names = {sha256: each.name for each, sha256 in hashes.items()}
    found = []
    for folder in folders:
        content = description.read(folder)
        parent = content["sha256"]["parent"] or ""
        found.append(Link(folder.name, hashes[folder], names.get(parent, parent), content))
    return found


def origins(links: Sequence[Link]) -> list[Mapping[str, Any]]:
    """Return the pretrained weights that models of the chain began with, each once."""
    given = [link.content["pretrained"] for link in links if link.content["pretrained"]]
    return list({each["source"]: each for each in given}.values())


def data(raw: Path, source: str) -> Data:
    """Return what is known of the raw set."""
    path = raw / source / _LICENCE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return Data(source, next((line.strip() for line in text.splitlines() if line.strip()), ""))
