"""What was found out about one thing that was looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """Whether something holds, and what there is to know about it."""

    name: str
    holds: bool | None
    """None where it could not be tried, since one before it failed."""
    told: str
    figures: Mapping[str, float] = field(default_factory=dict)
    """What was counted or measured, by name, for tables; units as the text says them."""

    def __str__(self) -> str:
        """Return a line for a terminal."""
        mark = {True: "yes", False: "NO", None: "-"}[self.holds]
        return f"{self.name:<12}{mark:<5}{self.told}"
