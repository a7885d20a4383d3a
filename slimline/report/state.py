"""The repository at one time: its figures, its params and what DVC wrote down of the run.

The command line reads all of these by their places in the tree. Stages do not: their paths are
arguments, and `dvc.lock` is no dependency of any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline.core import params, revision, tracked
from slimline.core.errors import SlimlineError
from slimline.core.revision import Revision, RevisionError
from slimline.core.tracked import Lock
from slimline.report import results
from slimline.report.gates import Base
from slimline.report.results import Results
from slimline.report.variant import BASELINE, PRODUCT, PRODUCT_FILE, ResultsError

ROOT = Path()
"""Commands run at the root, as stages do: the package is never installed."""

_METRICS = "metrics"
_TEST = "data/prepared/test"
_CHECKED_BY = "validate_params"
"""The stage that ran with the whole of `params.yaml`."""


@dataclass(frozen=True)
class State:
    """All that is compared between two commits."""

    results: Results
    params: Mapping[str, Any]
    """The whole of `params.yaml`, flat: keys joined by dots."""
    lock: Lock

    @property
    def stale_params(self) -> list[str]:
        """Keys of params that the figures were not made with; gates make no figure."""
        ran = flat(self.lock.params(_CHECKED_BY, str(params.PARAMS_PATH)))
        keys = [*self.params, *(key for key in ran if key not in self.params)]
        return [
            key
            for key in keys
            if self.params.get(key) != ran.get(key) and not key.startswith("gates.")
        ]


def workspace() -> State:
    """Return the state of the working tree.

    Raises:
        SlimlineError: something is missing, damaged or of another run.
    """
    return _read(ROOT, newer=None)


def of(base: Revision, now: State) -> State:
    """Return the state of a commit that `now` is compared with.

    Raises:
        RevisionError: the commit has no results.
    """
    names = [_METRICS, str(params.PARAMS_PATH), tracked.LOCK]
    with revision.extracted(base, names) as folder:
        try:
            return _read(folder, newer=now.results)
        except SlimlineError as error:
            told = str(error).replace(f"{folder}/", "")
            raise RevisionError(f"{base}: cannot be compared with: {told}") from None


def as_base(then: State, now: State) -> Base:
    """Return what the gates need of another state."""
    before, after = then.results.baseline, now.results.baseline
    return Base(
        then.results,
        is_same_test=_have_same_test(then, now),
        # Other weights in the same network take the same time.
        is_same_baseline=before.computation == after.computation,
        is_same_product=_have_same(PRODUCT_FILE, then, now),
    )


def _have_same_test(then: State, now: State) -> bool:
    """Compare the hashes of the test images; of an older commit, those that DVC has."""
    if then.results.test_sha256:
        return then.results.test_sha256 == now.results.test_sha256
    return _have_same(_TEST, then, now)


def _have_same(path: str, then: State, now: State) -> bool:
    """Compare what the figures were made with, by the hashes that DVC wrote down."""
    md5 = then.lock.md5(path)
    return md5 is not None and md5 == now.lock.md5(path)


def flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested sections as one mapping, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _read(root: Path, newer: Results | None) -> State:
    metrics = root / _METRICS
    lock = tracked.read_lock(root)
    found = results.load(
        metrics / "evaluate", metrics / "latency", metrics / "predictions", newer=newer
    )
    if PRODUCT not in found.variants or BASELINE not in found.variants:
        raise ResultsError(f"{_METRICS}: has no figures of {BASELINE} and {PRODUCT}")
    return State(found, flat(params.read(root / params.PARAMS_PATH)), lock)
