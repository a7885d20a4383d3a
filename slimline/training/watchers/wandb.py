"""Weights & Biases: as its own variables say; WANDB_MODE=offline needs no account."""

from __future__ import annotations

import wandb

from slimline.training import watchers


class Run:
    """A run of the project `slimline`, named by its stage."""

    adds = False

    def __init__(self, stage: str, *, goes_on: bool) -> None:
        watchers.FOLDER.mkdir(exist_ok=True)
        self._run = wandb.init(
            project="slimline", name=stage, dir=str(watchers.FOLDER), config={"goes_on": goes_on}
        )
        self._figures: dict[str, float] = {}

    def add(self, name: str, value: float, step: int) -> None:
        """Take one figure; each phase counts its own steps, so these are a figure as well."""
        self._figures |= {name: value, f"{name.partition('/')[0]}/step": step}

    def end_step(self) -> None:
        """Send what belongs together."""
        self._run.log(self._figures)
        self._figures = {}

    def close(self) -> None:
        """End."""
        self._run.finish()
