"""Records of trials, made by hand: figures follow from the settings by a formula."""

from pathlib import Path
from typing import Any

import toy

from slimline import params, schema
from slimline.search import space
from slimline.search.records import Record
from slimline.search.settings import SearchParams

PATH = Path("params.yaml")
WRITTEN = params.read(toy.ROOT / PATH)
SPACE = {
    "prune.threshold": {"low": 0.1, "high": 0.9},
    "prune.recover.epochs": {"low": 0.5, "high": 2.0, "step": 0.5},
}


def search(searched: Any = None, **changes: Any) -> SearchParams:
    """Section `search` of the default file with changes."""
    section = WRITTEN["search"] | {"space": SPACE if searched is None else searched} | changes
    return schema.check_content(WRITTEN | {"search": section}, PATH).search


def record(settings: space.Settings, number: int = 0, **changes: Any) -> Record:
    """The record of a trial: the threshold makes it small and costs accuracy."""
    threshold = float(settings["prune.threshold"])  # type: ignore[arg-type]
    epochs = float(settings.get("prune.recover.epochs", 1))  # type: ignore[arg-type]
    top1 = 90.5 - 4 * threshold**2 + 0.2 * epochs
    figures = {
        "top1": top1,
        "baseline_top1": 90.0,
        "baseline_size_kib": 740.0,
        "pruned_top1": top1,
        "images": 1000.0,
        "size_kib": 400 * (1 - threshold) + 5 * epochs,
        "macs_m": 20 * (1 - threshold),
        "int8_macs": 100.0,
    }
    content = {
        "study": "0" * 8,
        "trial": space.name(settings),
        "number": number,
        "settings": settings,
        "state": "complete",
        "base": "1" * 40,
        "experiment": f"search-{number}",
        "figures": figures,
        "total_seconds": 10.0,
    }
    return Record(**(content | changes))
