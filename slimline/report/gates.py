"""Limits that the product must keep, as data in section `gates`."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from slimline.core.params import Params
from slimline.report.variant import Variant


class GatesParams(Params):
    """Section `gates`: limits of the product against the baseline."""

    max_top1_drop: Annotated[float, Field(ge=0, le=100)]
    """Percentage points of test accuracy below the baseline, at most."""

    min_size_ratio: Annotated[float, Field(ge=0)]
    """Times smaller than the baseline's file, at least."""

    min_speedup: Annotated[float, Field(ge=0)]
    """Times faster than the baseline, at least."""


@dataclass(frozen=True)
class Gate:
    """One limit, and where the product stands."""

    name: str
    """What is limited, as a person would say it."""
    value: float
    limit: float
    unit: str
    is_kept: bool


def judge(product: Variant, baseline: Variant, settings: GatesParams) -> list[Gate]:
    """Return every gate with its verdict."""
    drop = baseline.top1 - product.top1
    smaller = baseline.size_kib / product.size_kib
    return [
        Gate(
            "accuracy lost, at most",
            drop,
            settings.max_top1_drop,
            "points",
            drop <= settings.max_top1_drop,
        ),
        Gate(
            "smaller, at least",
            smaller,
            settings.min_size_ratio,
            "times",
            smaller >= settings.min_size_ratio,
        ),
        Gate(
            "faster, at least",
            product.speedup,
            settings.min_speedup,
            "times",
            product.speedup >= settings.min_speedup,
        ),
    ]
