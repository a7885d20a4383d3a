"""Experiments that differ in `seed` alone, gathered: what of a figure is the noise of training."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slimline import params
from slimline.measure import training_noise
from slimline.repository import dvc_files, experiments

_MADE_OF = ("metrics/code", "data/prepared")
_IDLE = tuple(
    f"metrics/code/{stage}.txt"
    for stage in (
        "benchmark",
        "check_networks",
        "device_evaluate",
        "device_export",
        "evaluate_control",
        "prune_control",
        "report",
    )
)
"""Code that changes no answer."""


@dataclass
class Setting:
    """One setting, trained with several seeds."""

    params: Mapping[str, Any]
    """Flat, without seed."""
    seeds: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By seed, percent of the validation and of the test images that the product answers right."""
    sources: list[str] = field(default_factory=list)
    """Workspace, commits and experiments, as DVC names them."""

    @property
    def validation(self) -> list[float]:
        """Accuracy on validation of each seed, percent."""
        return [validation for validation, _ in self.seeds.values()]

    @property
    def test(self) -> list[float]:
        """The same on the test split."""
        return [test for _, test in self.seeds.values()]

    @property
    def is_repeated(self) -> bool:
        """Whether there are enough seeds to tell their spread."""
        return len(self.seeds) >= training_noise.FEWEST_SEEDS


def gather(
    shown: Sequence[Mapping[str, Any]], product: str, left_out: Collection[str] = ()
) -> list[Setting]:
    """Return the settings of what `dvc exp show --json` prints, the workspace's first.

    A seed that several revisions have counts once. `left_out` names revisions that have none: their
    figures are not of their params.
    """
    found: dict[str, Setting] = {}
    for name, data in experiments.revisions(shown):
        scored = experiments.content(data.get("metrics") or {}, figures(product))
        given = experiments.content(data.get("params") or {}, str(params.PARAMS_PATH))
        flat = params.flat(given)
        is_scored = scored.get("validation_top1") is not None and training_noise.SEED in flat
        if not is_scored or name in left_out:
            continue
        seed, kept = flat[training_noise.SEED], training_noise.that_train(flat)
        made_of = _made_of(data.get("deps") or {})
        setting = found.setdefault(repr((sorted(kept.items()), made_of)), Setting(kept))
        setting.seeds.setdefault(seed, (scored["validation_top1"], scored["top1"]))
        setting.sources.append(name)
    return list(found.values())


def figures(product: str) -> str:
    """Return the metric file that a product's accuracy is in."""
    return f"metrics/evaluate/{product}.json"


def _made_of(deps: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the hashes of code and images that a revision's figures are of, by path."""
    return sorted(
        (path, str(each.get("hash")))
        for path, each in deps.items()
        if dvc_files.within(path, _MADE_OF) and path not in _IDLE
    )


def differing(one: Setting, other: Setting) -> list[str]:
    """Return the params of `other` that `one` has otherwise, as `key=value`."""
    keys = dict.fromkeys([*other.params, *one.params])
    return [
        f"{key}={other.params.get(key, 'not there')}"
        for key in keys
        if one.params.get(key) != other.params.get(key)
    ]
