"""Lets others watch a training: its figures go to the tools that `progress.watchers` names.

Each tool is a process of its own (`slimline.training.watchers`) that reads them from a pipe: it
takes no random number, no thread and no signal of the training, and if it is slow or dies training
goes on. Only the first of several processes feeds them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import util
from typing import Any

from slimline.errors import ParamsError
from slimline.params import PARAMS_PATH

PACKAGES = {
    "dvclive": ("dvclive", "dvclive==3.49.1"),
    "tensorboard": ("tensorboard", "tensorboard==2.21.0"),
    "mlflow": ("mlflow", "mlflow-skinny==3.17.2 alembic==1.20.1 sqlalchemy==2.1.9"),
    "wandb": ("wandb", "wandb==0.31.0"),
}
"""Of each tool the module that it is imported by, and what pip installs."""

_LAST_WORDS = 60
"""Seconds that a tool has to send what is left when a stage ends."""

_feeds: list[_Feed] = []
"""Of the stage that runs."""


def require(names: Sequence[str]) -> None:
    """Refuse tools that are not installed.

    Raises:
        ParamsError: one line per tool.
    """
    missing = [name for name in names if not is_installed(name)]
    if missing:
        raise ParamsError(
            [
                f"{PARAMS_PATH}: progress.watchers: {name} is not installed: `python -m pip "
                f"install {PACKAGES[name][1]}` adds it (given {name})"
                for name in missing
            ]
        )


def is_installed(name: str) -> bool:
    """Return whether a tool can be imported; nothing is."""
    return util.find_spec(PACKAGES[name][0]) is not None


@contextmanager
def watching(stage: str, names: Sequence[str]) -> Iterator[None]:
    """Feed tools while a stage runs.

    Raises:
        ParamsError: one is not installed.
    """
    require(names)
    _feeds.extend(_Feed(name, stage) for name in names)
    is_done = False
    try:
        yield
        is_done = True
    finally:
        for feed in _feeds:
            feed.close(is_done=is_done)
        _feeds.clear()


def is_on() -> bool:
    """Return whether anybody watches."""
    return bool(_feeds)


def tell(phase: str, step: int, figures: Mapping[str, float], *, goes_on: bool = False) -> None:
    """Hand on figures of a step; `goes_on` where the training was interrupted before it."""
    event = {
        "ends": False, "phase": phase, "step": step, "figures": dict(figures), "goes_on": goes_on
    }  # fmt: skip
    for feed in _feeds:
        feed.send(event)


class _Feed:
    """The pipe to one tool."""

    def __init__(self, name: str, stage: str) -> None:
        self._name, self._lost = name, 0
        command = [sys.executable, "-m", "slimline.training.watchers", name, stage]
        # What tools print belongs to the log of errors: a stage's own output stays as it is.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr)
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._is_open = True

    def send(self, event: Mapping[str, Any]) -> None:
        """Write a line, which a pipe takes whole or not at all; training waits for nobody."""
        if not self._is_open:
            return
        try:
            os.write(self._pipe, f"{json.dumps(event)}\n".encode())
        except BlockingIOError:
            self._lost += 1
        except BrokenPipeError:
            self._is_open = False
            print(f"{self._name} has ended, for the reason above; training goes on without it")

    def close(self, *, is_done: bool = False) -> None:
        """Let the tool send what it has, and end it if that takes long."""
        assert self._process.stdin is not None
        # A pipe that is full tells the end by being closed.
        lost = self._lost
        self.send({"ends": True, "is_done": is_done})
        self._process.stdin.close()
        try:
            self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            print(f"{self._name} did not end within {_LAST_WORDS} s, and was ended")
        if lost:
            print(f"{self._name} was too slow for the figures of {lost} steps, and lacks them")
