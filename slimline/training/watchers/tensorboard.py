"""TensorBoard: `tensorboard --logdir live/tensorboard`."""

from __future__ import annotations

from tensorboard.summary import Writer

from slimline.training import watchers


class Run:
    """A file of events in `live/tensorboard/<stage>/`; one that goes on adds another."""

    adds = True

    def __init__(self, stage: str, *, goes_on: bool) -> None:
        folder = watchers.FOLDER / "tensorboard" / stage
        if not goes_on and folder.is_dir():
            for old in folder.glob("events.*"):
                old.unlink()
        self._writer = Writer(str(folder))

    def add(self, name: str, value: float, step: int) -> None:
        """Take one figure."""
        self._writer.add_scalar(name, value, step)

    def end_step(self) -> None:
        """Let it be seen at once."""
        self._writer.flush()

    def close(self) -> None:
        """End."""
        self._writer.close()
