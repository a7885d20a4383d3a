"""Which models are worth having: those that no other beats in accuracy and in price."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol, TypeVar

from slimline.repository import experiments

_VALIDATION = "data/prepared/validation"


class Scored(Protocol):
    """Whatever has an accuracy; its price is up to the caller."""

    @property
    def top1(self) -> float:
        """Percent of images."""


T = TypeVar("T", bound=Scored)


@dataclass(frozen=True)
class Point:
    """A variant of the workspace, a commit or an experiment."""

    source: str
    """As `dvc exp show` names it."""
    variant: str
    top1: float
    """Percent of the validation images: the test split chooses nothing."""
    size_kib: float
    macs_m: float
    p50_ms: float | None
    """None where it was not measured."""
    machine: tuple[str, str]
    """CPU and its features."""

    @property
    def identity(self) -> tuple[object, ...]:
        """What two points that are one model have in common; time is measured anew each time."""
        return self.variant, self.top1, self.size_kib, self.macs_m


def points(shown: Sequence[Mapping[str, Any]], variants: Iterable[str]) -> list[Point]:
    """Return the points of what `dvc exp show --json` prints, each model once, the first of them.

    The workspace comes first, so that a model that is there as well is shown as the workspace's.
    What was scored on other validation images than the workspace is left out, see `of_others`.
    """
    others = of_others(shown)
    found: dict[tuple[object, ...], Point] = {}
    for name, data in experiments.revisions(shown):
        if name in others:
            continue
        for point in _points(name, data.get("metrics") or {}, variants):
            found.setdefault(point.identity, point)
    return list(found.values())


def of_others(shown: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what was scored on other validation images than the workspace, as far as is known."""
    images = {name: _images(data) for name, data in experiments.revisions(shown)}
    own = images.get(experiments.WORKSPACE)
    return [name for name, each in images.items() if own and each and each != own]


def front(found: Sequence[T], price: Callable[[T], float]) -> list[T]:
    """Return the points that no other dominates: as accurate or better, for as much or less."""
    return [each for each in found if not any(_dominates(o, each, price) for o in found)]


def comparable(found: Sequence[Point]) -> list[Point]:
    """Return the points whose latency was measured on the CPU of the workspace."""
    machines = [
        each.machine for each in found if each.source == experiments.WORKSPACE and each.p50_ms
    ]
    return [each for each in found if each.p50_ms and each.machine in machines[:1]]


def _images(data: Mapping[str, Any]) -> str | None:
    """Return the hash of the validation images that a revision's figures are of."""
    found: str | None = ((data.get("deps") or {}).get(_VALIDATION) or {}).get("hash")
    return found


def _dominates(one: T, other: T, price: Callable[[T], float]) -> bool:
    is_no_worse = one.top1 >= other.top1 and price(one) <= price(other)
    return is_no_worse and (one.top1 > other.top1 or price(one) < price(other))


def _points(name: str, metrics: Mapping[str, Any], variants: Iterable[str]) -> Iterator[Point]:
    is_trial = name.startswith(experiments.SEARCH)
    for variant in variants:
        scored = experiments.content(metrics, f"metrics/evaluate/{variant}.json")
        path = f"metrics/latency/{variant}.json"
        timed = {} if is_trial else experiments.content(metrics, path)
        figures = [scored.get(key) for key in ("validation_top1", "size_kib", "macs_m")]
        # Nothing dominates NaN, so that it would stand on every front.
        if all(each is not None and isfinite(each) for each in figures):
            yield Point(
                name,
                variant,
                top1=scored["validation_top1"],
                size_kib=scored["size_kib"],
                macs_m=scored["macs_m"],
                p50_ms=timed.get("p50_ms"),
                machine=(timed.get("cpu", ""), timed.get("cpu_flags", "")),
            )
