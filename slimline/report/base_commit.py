"""What the gates and the comment of a pull request compare with, and what of it is comparable.

The other commit is read by `slimline.repository.commit_results`.
"""

from dataclasses import dataclass, replace

import numpy as np

from slimline.errors import ArtifactError
from slimline.measure.results import Results
from slimline.measure.retimed import SideBySide
from slimline.measure.training_noise import TrainingNoise
from slimline.measure.variant_figures import ResultsError
from slimline.repository import retiming
from slimline.repository.commit_results import State
from slimline.repository.revision import Revision


@dataclass(frozen=True)
class Base:
    """The figures of another commit, and what they have in common with ours."""

    results: Results
    is_same_test: bool
    """Whether the test images are the same: only then can answers be compared."""
    is_same_baseline: bool
    """Whether the baseline computes the same: only then can speedups be compared."""
    is_same_product: bool = False
    """Whether the product is the same file."""
    is_trained_anew: bool = False
    """Whether the product comes of another training: its answers carry the noise of that."""
    trained_elsewhere: str = ""
    """How the circumstances of that training differ, in words."""
    training_noise: TrainingNoise | None = None
    """How much that is, as the other commit has it; None where it was never measured."""
    is_noise_of_this: bool = True
    """Whether that was measured with the settings of either commit."""
    is_noise_changed: bool = False
    """Whether this commit has measured another noise, which holds once it is merged."""
    anew: SideBySide | None = None
    """Times of both products, where they were measured again."""
    not_anew: str = ""
    """Why they were not, if that was tried or refused."""


def of(then: State, now: State) -> Base:
    """Return what is asked of another state; nothing is timed.

    Raises:
        ResultsError: the labels are others though the test images are the same: somebody wrote
            them himself.
    """
    is_same_test = now.has_same_test(then)
    if is_same_test and not np.array_equal(then.results.labels, now.results.labels):
        raise ResultsError(
            "metrics/predictions/labels.txt: is not that of the base, though the test images are "
            "the same; run `dvc repro`"
        )
    before, after = then.results.baseline, now.results.baseline
    noise = then.training_noise
    return Base(
        then.results,
        is_same_test=is_same_test,
        # Other weights in the same network take the same time.
        is_same_baseline=before.computation == after.computation,
        is_same_product=now.has_same_product(then),
        is_trained_anew=now.is_trained_anew(then),
        trained_elsewhere=now.trained_elsewhere(then),
        training_noise=noise,
        is_noise_of_this=noise is None or noise.is_of(then.params, now.params),
        is_noise_changed=now.training_noise not in (None, noise),
    )


def timed(then: State, revision: Revision, now: State, *, is_wanted: bool) -> Base:
    """Return the same with the times of both products, or why there are none.

    Nothing is timed where the product is the same file, or where it was not asked for.
    """
    base = of(then, now)
    if base.is_same_product:
        return base
    if not is_wanted:
        return replace(base, not_anew="that was switched off")
    try:
        return replace(base, anew=retiming.measure(revision, then, now))
    except ArtifactError as error:
        return replace(base, not_anew=str(error))
