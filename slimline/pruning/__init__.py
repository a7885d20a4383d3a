"""The pruning methods: a file each, and a line in the table below.

What a method decides is what can go and how important it is (`survey`); how much of it goes is
decided in `choice`, and rounds, recovery and measuring are the same for all, in `rounds`.
"""

from pathlib import Path

from slimline import params
from slimline.errors import ParamsError
from slimline.pruning.settings import PruneSettings, SensitivityParams
from slimline.registry import Registry

METHODS: Registry[type[PruneSettings]] = Registry(
    {
        "structured_magnitude": "slimline.pruning.structured_magnitude:StructuredMagnitude",
        "taylor": "slimline.pruning.taylor:Taylor",
        "magnitude": "slimline.pruning.magnitude:Magnitude",
    },
    chosen_by=("prune.method",),
)


def load(path: Path) -> PruneSettings:
    """Return section `prune` of a `params.yaml` as the settings of its method.

    Raises:
        ParamsError: the section is missing, or a key or value is not allowed.
    """
    section = params.read(path).get("prune")
    method = section.get("method") if isinstance(section, dict) else None
    if not isinstance(method, str) or method not in METHODS:
        raise ParamsError(
            [f"{path}: prune.method: must be one of {', '.join(METHODS)} (given {method!r})"]
        )
    return params.load("prune", METHODS[method], path)


__all__ = ["METHODS", "PruneSettings", "SensitivityParams", "load"]
