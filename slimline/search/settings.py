"""Section `search`: what to make small, within which limits, over which settings, for how long.

Free of Optuna and torch: every check of `params.yaml` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, field_validator, model_validator

from slimline.params import Params
from slimline.report.gates import OFF, up_to

Value: TypeAlias = bool | int | float | str | list[bool | int | float | str]
"""What a key of `params.yaml` may be set to by a search."""

Goal: TypeAlias = Literal["size_kib", "macs_m", "latency_ms"]

_Percent: TypeAlias = Annotated[float | None, up_to(100)]


def _above_zero(limit: float | None) -> float | None:
    if limit == 0:
        raise ValueError(f"must be above 0, or {OFF} for no limit")
    return limit


_Limit: TypeAlias = Annotated[float | None, up_to(inf), AfterValidator(_above_zero)]

_MOST_STEPS = 1_000_000
_DIGITS = 10
"""Of a multiple of a step, behind the point: what is beyond is float noise."""


def _number(given: Any) -> int | float:
    """Return a number as it was written: whole ones stay whole."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not isfinite(given):
        raise ValueError("must be a number")
    return given


_Number: TypeAlias = Annotated[
    int | float, PlainValidator(_number, json_schema_input_type=int | float)
]


def _value(given: Any) -> Value:
    """Return a choice as it was written."""
    for each in given if isinstance(given, list) else [given]:
        if not isinstance(each, bool | int | float | str) or (
            isinstance(each, float) and not isfinite(each)
        ):
            raise ValueError("must be true, false, a number, a text, or a list of them")
    made: Value = given
    return made


_Choice: TypeAlias = Annotated[Value, PlainValidator(_value, json_schema_input_type=Value)]


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

    choices: Annotated[list[_Choice], Field(min_length=2)] | None = None
    """The values themselves, in place of low and high."""

    only_if: Mapping[str, list[_Choice]] = Field(default_factory=dict)
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

    @property
    def values(self) -> list[Value]:
        """All of them, in order; there must not be infinitely many."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None
        return [self.at(step) for step in range(int(self.count))]

    def at(self, step: int) -> Value:
        """Return the value so many steps above the least."""
        assert self.low is not None
        value = self.low + step * (self.step or 1)
        return int(value) if self.is_whole else self.plain(value)

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

    @model_validator(mode="before")
    @classmethod
    def _is_written_out(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise ValueError(
                "must be written as {low: 0.2, high: 0.6} or as {choices: [8, 16]}, with the "
                "values that the key may have"
            )
        inner = next((key for key, each in given.items() if isinstance(each, Mapping)), "only_if")
        if inner not in cls.model_fields:
            raise ValueError(f"must be a single key, joined by dots, as prune.{inner}")
        return given

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

    min_size_ratio: _Limit
    """Times smaller than the baseline's file, at least."""

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

    hours: _Limit
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

    @field_validator("space", mode="before")
    @classmethod
    def _is_by_key(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise ValueError(
                "must name keys with the values that they may have, as "
                "{prune.threshold: {low: 0.2, high: 0.6}}; {} searches nothing"
            )
        return given

    @property
    def needs_latency(self) -> bool:
        """Whether a time by the table is asked for."""
        return self.minimise == "latency_ms" or self.limits.max_latency_ms is not None

    @property
    def keys(self) -> Sequence[str]:
        """The keys that are searched, each behind those that it depends on.

        Raises:
            ValueError: some, which it names, depend on each other in a circle.
        """
        ordered: list[str] = []
        waiting = list(self.space)
        while waiting:
            ready = [key for key in waiting if set(self.space[key].only_if) <= set(ordered)]
            if not ready:
                raise ValueError(", ".join(waiting))
            ordered += ready
            waiting = [key for key in waiting if key not in ready]
        return ordered
