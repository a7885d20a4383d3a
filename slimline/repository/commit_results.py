"""The repository at one time: its figures, its params and what DVC wrote down of the run.

The command line reads all of these by their places in the tree. Stages do not: their paths are
arguments, and `dvc.lock` is no dependency of any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from slimline import params, variants
from slimline.artifacts import description
from slimline.errors import SlimlineError
from slimline.measure import results, training_noise, trainings
from slimline.measure.results import Results
from slimline.measure.training_noise import TrainingNoise
from slimline.measure.trainings import Training
from slimline.measure.variant_figures import ResultsError
from slimline.repository import declared_stages, dvc_files, revision, staleness
from slimline.repository.dvc_files import Lock
from slimline.repository.revision import Revision, RevisionError
from slimline.variants import Variants

ROOT = Path()
"""Commands run at the root, as stages do: the package is never installed."""

TRAINING_NOISE = Path("data/training_noise.json")
"""What `python -m slimline seeds --write` has measured."""

_METRICS = "metrics"
_TEST = "data/prepared/test"
_HISTORY = "history"
"""Under metrics."""

_EXPORT, _TRAINED = "int8_export", "qat_finetune"
"""A variant that is written of a model that is none: others have the weights of their parent."""


@dataclass(frozen=True)
class State:
    """All that is compared between two commits."""

    results: Results
    params: Mapping[str, Any]
    """The whole of `params.yaml`, flat: keys joined by dots."""
    lock: Lock
    variants: Variants
    training_noise: TrainingNoise | None = None
    """None where it was never measured."""
    trainings: Mapping[str, Training] = field(default_factory=dict)
    """What each trained model is, and where that was; empty of a commit that did not keep it."""
    notes: Sequence[str] = ()
    """What of the working tree could not be compared with the run that made the results; of another
    commit, how its figures are not those of what it holds, by stage."""

    @property
    def product_file(self) -> str:
        """What is shipped, as DVC names it."""
        return f"models/{self.variants.product}/{description.ONNX}"

    @property
    def trained(self) -> str:
        """The model whose weights the product has."""
        product = self.variants[self.variants.product]
        if product.name in self.trainings:
            return product.name
        has_qat = _TRAINED in self.trainings or self.lock.md5(f"models/{_TRAINED}") is not None
        return _TRAINED if product.name == _EXPORT and has_qat else product.parent

    def has_same_product(self, other: "State") -> bool:
        """Return whether both ship the same file, whatever each calls it."""
        md5 = self.lock.md5(self.product_file)
        return md5 is not None and md5 == other.lock.md5(other.product_file)

    def has_same(self, path: str, other: "State") -> bool:
        """Return whether both were made with the same file, by the hashes that DVC wrote down."""
        md5 = self.lock.md5(path)
        return md5 is not None and md5 == other.lock.md5(path)

    def is_trained_anew(self, other: "State") -> bool:
        """Return whether the product's answers are those of another training than the other's.

        By the bytes of its weights: the same code and params give others on another type of CPU.
        """
        if self.has_same_product(other):
            return False
        here, there = self._training, other._training
        if here and there:
            return here.weights != there.weights
        return self.trained != other.trained or not self.has_same(f"models/{self.trained}", other)

    def trained_elsewhere(self, other: "State") -> str:
        """Return how the circumstances of both trainings differ, in words; empty: as far as known.

        Where nothing differs but the weights, they are of other params, code or data.
        """
        here, there = self._training, other._training
        return here.differs_in(there) if here and there else ""

    @property
    def _training(self) -> Training | None:
        return self.trainings.get(self.trained)

    def has_same_test(self, other: "State") -> bool:
        """Compare the hashes of the test images; of an older commit, those that DVC has."""
        if other.results.test_sha256:
            return other.results.test_sha256 == self.results.test_sha256
        return self.has_same(_TEST, other)


def workspace() -> State:
    """Return the state of the working tree, whose results are of what stands beside them.

    Raises:
        SlimlineError: something is missing, damaged or of another run.
        StaleError: the results are of other params, data or code than those that are here.
    """
    state = _read(ROOT, variants.read(ROOT / variants.PATH), newer=None)
    return replace(state, notes=staleness.check(ROOT, state.lock))


def of(base: Revision, now: State) -> State:
    """Return the state of a commit that `now` is compared with.

    Raises:
        RevisionError: the commit has no results.
    """
    paths = (params.PARAMS_PATH, variants.PATH, TRAINING_NOISE, declared_stages.PIPELINE)
    names = [_METRICS, dvc_files.LOCK, *map(str, paths)]
    with revision.extracted(base, names) as folder:
        try:
            path = folder / variants.PATH
            declared = variants.read(path) if path.is_file() else now.variants
            state = _read(folder, declared, newer=now.results)
            notes = staleness.of_commit(folder, state.lock)
        except SlimlineError as error:
            told = str(error).replace(f"{folder}/", "")
            raise RevisionError(f"{base}: cannot be compared with: {told}") from None
    return replace(state, notes=notes)


def not_of_a_run(commit: str) -> str:
    """Return how a commit's figures are not those of its params, by stage; empty where they are.

    `dvc exp show` puts params that were merged without a run beside the figures of those before.
    """
    paths = (params.PARAMS_PATH, variants.PATH, declared_stages.PIPELINE)
    names = [_METRICS, dvc_files.LOCK, *map(str, paths)]
    with revision.extracted(Revision(commit, commit, is_merge_base=False), names) as folder:
        try:
            return "; ".join(staleness.of_commit(folder, declared_stages.read_lock(folder)))
        except SlimlineError as error:
            return str(error).replace(f"{folder}/", "")


def _read(root: Path, declared: Variants, newer: Results | None) -> State:
    lock = declared_stages.read_lock(root)
    found = results.load(root / _METRICS, declared, newer=newer)
    needed = declared.baseline, declared.product
    if not set(needed) <= set(found.variants):
        raise ResultsError(f"{_METRICS}: has no figures of {' and '.join(needed)}")
    return State(
        found,
        params.flat(params.read(root / params.PARAMS_PATH)),
        lock,
        declared,
        training_noise=training_noise.read(root / TRAINING_NOISE),
        trainings=trainings.read(root / _METRICS / _HISTORY),
    )
