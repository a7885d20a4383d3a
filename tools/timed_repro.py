"""Run `dvc repro` with the given arguments, then print the seconds each stage took.

DVC runs inside this process, so that its output, its terminal, its signals and its exit code are
its own. A log handler beside DVC's notes when each stage begins; DVC prints no times itself.
"""

import logging
import re
import sys
import time
from pathlib import Path

from dvc.cli import main as run_dvc

ROOT = Path(__file__).parent.parent
# Run as a script, Python looks for modules beside it, not in the repository.
sys.path.insert(0, str(ROOT))

from slimline import params, schema  # noqa: E402
from slimline.data import sources  # noqa: E402
from slimline.errors import DataError, SlimlineError  # noqa: E402
from slimline.repository import dvc_files, staleness  # noqa: E402

RAW = Path("data/raw")

BEGINS = re.compile(r"Running stage '(?P<stage>.+)':")
# What DVC says of a stage that does not run: it ends the time of the stage before.
SKIPPED = re.compile(r"(Stage )?'.+' (didn't change, skipping|is cached - skipping run)")


class StageTimes(logging.Handler):
    """The seconds of each stage, in the order in which DVC ran them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self.running: str | None = None
        self.began = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Begin or end a stage where DVC says so."""
        message = record.getMessage()
        if begins := BEGINS.match(message):
            self.end()
            self.running, self.began = begins["stage"], time.monotonic()
        elif SKIPPED.match(message):
            self.end()

    def end(self) -> None:
        """Note the time of the running stage, saving its outputs included."""
        if self.running is not None:
            self.seconds[self.running] = time.monotonic() - self.began
        self.running = None


def render(seconds: dict[str, float], total: float) -> str:
    """A table; its total is all of `dvc repro`, so it is more than the sum of the stages."""
    rows = [f"{value:9.1f}  {stage}" for stage, value in seconds.items()]
    return "\n".join(["  seconds  stage", *rows, f"{total:9.1f}  total"])


def brought(source: str) -> bool:
    """Bring a raw set that DVC keeps and that is not here, as in a fresh clone.

    Returns whether it is here now. Where neither the cache nor the remote has it, nothing is lost
    as long as nothing has to run: then it is False.

    Raises:
        DataError: it cannot be had, and committed results are not of what is here.
    """
    pointer = RAW / f"{source}.dvc"
    if (RAW / source).exists() or not pointer.is_file():
        return True
    is_cached = run_dvc(["checkout", "--quiet", str(pointer)]) == 0
    if not is_cached and run_dvc(["config", "--quiet", "core.remote"]) == 0:
        run_dvc(["pull", "--quiet", str(pointer)])
    try:
        sources.require(source, RAW)
    except DataError:
        if not Path(dvc_files.LOCK).is_file() or is_stale():
            raise
        return False
    return True


def is_stale() -> bool:
    """Return whether a stage ran with other params, data or code than those that are here."""
    return bool(staleness.find(Path(), dvc_files.read_lock(Path())).stages)


def main(arguments: list[str]) -> int:
    """Return the exit code of `dvc repro`, or 2 where params.yaml is wrong.

    Of some mistakes, as a `data.source` that leads out of data/raw, DVC has a sentence of its own
    before any stage runs, which does not name the key.
    """
    try:
        if params.PARAMS_PATH.exists():
            source = schema.check(params.PARAMS_PATH).data.source
            if not arguments and not brought(source):
                print(
                    f"{RAW / source} is in DVC but not here, and is not needed: what is committed "
                    "is of these params, these data and this code. `dvc pull` brings the images"
                )
                return 0
    except SlimlineError as error:
        print(error, file=sys.stderr)
        return 2
    times = StageTimes()
    logging.getLogger("dvc").addHandler(times)
    began = time.monotonic()
    exit_code: int = run_dvc(["repro", *arguments])
    times.end()
    print(f"\n{render(times.seconds, time.monotonic() - began)}", flush=True)
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
