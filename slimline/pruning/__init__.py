"""The pruning methods: a file each, and a name in the union below.

What a method decides is which weights or channels go (`cut`); rounds, recovery and measuring are
the same for all, in `slimline.pruning.rounds`.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from slimline.core import params
from slimline.pruning.magnitude import Magnitude
from slimline.pruning.settings import PruneSettings
from slimline.pruning.structured_magnitude import StructuredMagnitude

PruneParams = Annotated[StructuredMagnitude | Magnitude, Field(discriminator="method")]


def load(path: Path) -> PruneSettings:
    """Return section `prune` of a `params.yaml` as the settings of its method.

    Raises:
        ParamsError: the section is missing, or a key or value is not allowed.
    """
    union: Any = PruneParams  # the type checker takes no union for a class
    settings: PruneSettings = params.load("prune", union, path)
    return settings


__all__ = ["PruneParams", "PruneSettings", "load"]
