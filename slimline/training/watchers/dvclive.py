"""DVCLive: tables that `dvc plots show` draws while a stage still runs."""

from __future__ import annotations

from dvclive import Live

from slimline.training import watchers


class Run:
    """A folder `live/dvclive/<stage>/`, with its own dvc.yaml, which names the plots."""

    adds = True

    def __init__(self, stage: str, *, goes_on: bool) -> None:
        folder = watchers.FOLDER / "dvclive" / stage
        # Neither experiments nor reports: what is tracked is up to the pipeline.
        self._live = Live(
            str(folder),
            resume=goes_on,
            report=None,
            save_dvc_exp=False,
            dvcyaml=str(folder / "dvc.yaml"),
            monitor_system=False,
        )

    def add(self, name: str, value: float, step: int) -> None:
        """Take one figure."""
        self._live.step = step
        self._live.log_metric(name, value)

    def end_step(self) -> None:
        """Write metrics.json anew, and dvc.yaml."""
        self._live.make_summary()
        self._live.make_dvcyaml()

    def close(self) -> None:
        """End; the tables stay."""
        self._live.end()
