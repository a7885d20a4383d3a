"""Who watches a training while it runs: a file for each tool, with a class `Run`.

A tool runs in a process of its own (`__main__.py`) that `slimline.training.watching` feeds. So
whatever it does changes no byte of a model, and none of it is code of a stage.
"""

from pathlib import Path
from typing import ClassVar, Protocol

FOLDER = Path("live")
"""What tools write that need no server; a folder for each, ignored by git."""


class Run(Protocol):
    """A stage that trains, as a tool sees it."""

    adds: ClassVar[bool]
    """Whether one that goes on adds to the curves that were there, and begins no others."""

    def __init__(self, stage: str, *, goes_on: bool) -> None:
        """Begin; `goes_on` tells that an interrupted run is continued."""

    def add(self, name: str, value: float, step: int) -> None:
        """Take one figure, as `train/loss`, of a step of a training."""

    def end_step(self) -> None:
        """Know that no more figures of this step follow."""

    def close(self) -> None:
        """End."""
