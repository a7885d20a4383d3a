"""The commands of `python -m slimline`, a module each: `add_arguments` and `run`.

A module imports what it needs in `run`: `predict` works where numpy, Pillow and onnxruntime are all
that is installed, and no command waits for the imports of another.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Protocol

from slimline.commands import (
    apply,
    benchmark,
    diff,
    doctor,
    gate,
    package,
    pareto,
    predict,
    schema,
    search,
    seeds,
    verify,
)


class Command(Protocol):
    """What a module of this package is; the first line of its docstring is its help."""

    __doc__: str | None

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: Namespace) -> int:
        """Do it; return the exit code."""


COMMANDS: Mapping[str, Command] = {
    "apply": apply,
    "gate": gate,
    "diff": diff,
    "verify": verify,
    "doctor": doctor,
    "benchmark": benchmark,
    "predict": predict,
    "package": package,
    "pareto": pareto,
    "seeds": seeds,
    "search": search,
    "schema": schema,
}
