"""Section `search`: what to make small, within which limits, over which settings, for how long.

Free of Optuna and torch: every check of `params.yaml` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PlainValidator, model_validator

from slimline.params import Params
from slimline.report.gates import up_to

Value: TypeAlias = bool | int | float | str | list[bool | int | float | str]
"""What a key of `params.yaml` may be set to by a search."""

Goal: TypeAlias = Literal["size_kib", "macs_m", "latency_ms"]

_Percent: TypeAlias = Annotated[float | None, up_to(100)]
_Limit: TypeAlias = Annotated[float | None, up_to(inf)]

_MOST_STEPS = 1_000_000
_DIGITS = 10
"""Of a multiple of a step, behind the point: what is beyond is float noise."""


def _number(given: Any) -> int | float:
    """Return a number as it was written: whole ones stay whole."""
    if isinstance(given, bool) or not isinstance(given, int | float) or abs(given) == inf:
        raise ValueError("must be a number")
    return given


_Number: TypeAlias = Annotated[
    int | float, PlainValidator(_number, json_schema_input_type=int | float)
]


class Searched(Params):
    """What a search may set a key to: from `low` to `high`, or one of `choices`."""

    low: _Number | None = None
    """The least value; whole numbers for a key that takes whole numbers."""

    high: _Number | None = None
    """The greatest value."""

    step: _Number | None = None
    """Distance between values; without it any is possible, of whole numbers each."""

    log: bool = False
    """Whether ratios count, as for learning rates; has no step."""

    choices: Annotated[list[Value], Field(min_length=2)] | None = None
    """The values themselves, in place of low and high."""

    only_if: Mapping[str, list[Value]] = Field(default_factory=dict)
    """Other keys of the space with the values at which this one counts; else it stays as it is."""

    @property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int | None)

    @property
    def ends(self) -> list[Value]:
        """The values of which each must be allowed by the schema: all choices, or both ends."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None
        assert self.high is not None
        return [self.low, self.high]

    @property
    def count(self) -> float:
        """How many values there are; infinite for numbers without a step."""
        if self.choices is not None:
            return len(self.choices)
        assert self.low is not None
        assert self.high is not None
        if self.step is None:
            return self.high - self.low + 1 if self.is_whole else inf
        return int((self.high - self.low) / self.step + 1e-9) + 1

    def has(self, value: Any) -> bool:
        """Whether a value is one of those that this may take."""
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        assert self.low is not None
        assert self.high is not None
        if not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-9

    def plain(self, value: float) -> float:
        """Return a number as a person would write it: on its step, or with 4 digits that count."""
        assert self.low is not None
        assert self.high is not None
        rounded = float(f"{value:.4g}") if self.step is None else round(value, _DIGITS)
        return float(min(max(rounded, self.low), self.high))

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Searched:
        bounds = (self.low, self.high)
        if self.choices is not None:
            if any(each is not None for each in (*bounds, self.step)) or self.log:
                raise ValueError("must have low and high, or choices, not both")
            if any(each in self.choices[:at] for at, each in enumerate(self.choices)):
                raise ValueError("has a choice twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("must have low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"low must be below high; {self.low:g} and {self.high:g} are not")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and has no step")
        if self.step is not None and self.step <= 0:
            raise ValueError("step must be above 0")
        if self.step is not None and not 1 <= (self.high - self.low) / self.step <= _MOST_STEPS:
            raise ValueError(f"step must fit between low and high; {self.step:g} does not")
        if self.is_whole and isinstance(self.step, float):
            raise ValueError("step must be whole where low and high are; write 1.0 for one of them")
        return self


class LimitsParams(Params):
    """What a trial must keep; `none` switches any of them off. Accuracy is that on validation."""

    max_top1_drop: _Percent
    """Percentage points of validation accuracy below the baseline, at most."""

    min_top1: _Percent
    """Percent of the validation images answered right, at least."""

    max_size_kib: _Limit
    """Size of the .onnx file, KiB, at most."""

    max_macs_m: _Limit
    """Multiply-accumulates of one image, millions, at most."""

    max_latency_ms: _Limit
    """Time of one image by `data/layer_times.json`, ms, at most."""

    min_int8_macs: _Percent
    """Percent of the multiply-accumulates executed in int8, at least."""


class ConfirmParams(Params):
    """How often the best is trained again before it is called best."""

    candidates: Annotated[int, Field(ge=1, le=100)]
    """How many trials, from the best on, are tried until one keeps the limits on average."""

    seeds: Annotated[int, Field(ge=0, le=100)]
    """Other seeds that each is trained with; 0 confirms nothing."""


class SearchParams(Params):
    """Section `search`: the goal of `python -m slimline search`."""

    minimise: Goal
    """What shall be small: size of the file, multiply-accumulates, or time by the tables in git."""

    limits: LimitsParams
    """What a trial must keep."""

    space: Mapping[str, Searched]
    """By key of `params.yaml`, joined by dots, what it may be set to; empty: nothing to search."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    """How many settings are tried in all, by all workers together."""

    hours: Annotated[float | None, up_to(inf)]
    """After so many hours a worker begins no further trial."""

    sampler: Literal["tpe", "gp", "random"]
    """Who proposes: a tree-structured Parzen estimator, a Gaussian process, or chance."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    """Seed of the proposals."""

    recovers: _Percent
    """Percentage points that QAT and export may win back: a pruned model that misses the limit on
    accuracy by more is not quantized."""

    confirm: ConfirmParams
    """How the best is confirmed."""

    @property
    def needs_latency(self) -> bool:
        """Whether a time by the table is asked for."""
        return self.minimise == "latency_ms" or self.limits.max_latency_ms is not None

    @property
    def keys(self) -> Sequence[str]:
        """The keys that are searched, each behind those that it depends on."""
        ordered: list[str] = []
        waiting = list(self.space)
        while waiting:
            ready = [key for key in waiting if set(self.space[key].only_if) <= set(ordered)]
            if not ready:
                raise ValueError(_CIRCLE.format(", ".join(waiting)))
            ordered += ready
            waiting = [key for key in waiting if key not in ready]
        return ordered

    @model_validator(mode="after")
    def _is_searchable(self) -> SearchParams:
        if not self.space:
            return self
        if self.limits.max_top1_drop is None and self.limits.min_top1 is None:
            raise ValueError(
                "limits must have max_top1_drop or min_top1: the smallest model of all answers "
                "nothing right"
            )
        for key, searched in self.space.items():
            for other, values in searched.only_if.items():
                if other not in self.space:
                    raise ValueError(f"space.{key}.only_if: {other} is no key of the space")
                wrong = [each for each in values if not self.space[other].has(each)]
                if wrong or not values:
                    raise ValueError(
                        f"space.{key}.only_if: {other} never is {wrong[0] if wrong else '[]'!r}"
                    )
        _ = self.keys
        return self


_CIRCLE = "space: only_if goes in a circle: {}"
