"""The pruning methods: a file each, and a name in the union below.

What a method decides is which weights or channels go (`cut`); rounds, recovery and measuring are
the same for all, in `slimline.pruning.rounds`.
"""

from typing import Annotated

from pydantic import Field

from slimline.pruning.magnitude import Magnitude
from slimline.pruning.settings import PruneSettings
from slimline.pruning.structured_magnitude import StructuredMagnitude

PruneParams = Annotated[StructuredMagnitude | Magnitude, Field(discriminator="method")]

__all__ = ["PruneParams", "PruneSettings"]
