"""The pruning methods: a file each, and a name in the union below.

What a method decides is what can go and how important it is (`survey`); how much of it goes is
decided in `choice`, and rounds, recovery and measuring are the same for all, in `rounds`.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from slimline.core import params
from slimline.pruning.magnitude import Magnitude
from slimline.pruning.settings import PruneSettings, SensitivityParams
from slimline.pruning.structured_magnitude import StructuredMagnitude
from slimline.pruning.taylor import Taylor

PruneParams = Annotated[StructuredMagnitude | Taylor | Magnitude, Field(discriminator="method")]


def load(path: Path) -> PruneSettings:
    """Return section `prune` of a `params.yaml` as the settings of its method.

    Raises:
        ParamsError: the section is missing, or a key or value is not allowed.
    """
    union: Any = PruneParams  # the type checker takes no union for a class
    settings: PruneSettings = params.load("prune", union, path)
    return settings


__all__ = ["PruneParams", "PruneSettings", "SensitivityParams", "load"]
