"""How many parts of each group go: settings made into widths, the same for all methods.

`prune.threshold` is read in its unit, or found so that a target is met; `prune.layers` limits what
a layer may lose; `prune.rates: auto` gives tough layers more to lose than tender ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import torch
from torch import Tensor

from slimline import params
from slimline.errors import ParamsError
from slimline.pruning import settings
from slimline.pruning.cost import Cost
from slimline.pruning.groups import Group, Plan
from slimline.pruning.layer_times import LayerTimes
from slimline.pruning.sensitivity_table import SensitivityScan
from slimline.pruning.settings import PruneSettings, Unit

_TOLERANCE = 0.02
"""How far from a target the cost may end, as a share of the target."""

_CLOSE = 0.005
"""Nearer than this no group is widened or narrowed any more."""

_BISECTIONS = 16
"""Halvings of the range of thresholds: finer than a channel of the largest layers."""


@dataclass(frozen=True)
class PruningTables:
    """What was found out about the network beforehand."""

    scan: SensitivityScan
    """What each layer bears to lose."""
    times: LayerTimes
    """How long each layer takes."""

    def measure(self, name: str) -> Callable[[Cost], float]:
        """Return the function that a target of this name limits."""
        functions: dict[str, Callable[[Cost], float]] = {
            "macs": lambda cost: cost.macs,
            "params": lambda cost: cost.nonzero_params,
            "latency": self.times.microseconds,
        }
        return functions[name]


NO_TABLES = PruningTables(SensitivityScan([]), LayerTimes("", {}, []))
"""Where nothing was measured beforehand."""


@dataclass(frozen=True)
class Progress:
    """Which of the rounds is being planned, and what the network cost before the first."""

    number: int
    of: int
    before: Cost


def choose(plan: Plan, chosen: PruneSettings, progress: Progress, tables: PruningTables) -> float:
    """Set the widths of a plan's groups for one round, and return the threshold of the round.

    Raises:
        ParamsError: a pattern of `prune.layers` is none of the network's, the scan does not reach
            as far as the threshold, the times are those of another network, or the target cannot
            be met.
    """
    chooser = _Chooser(plan.groups, chosen, tables.scan, rounds=progress.of)
    target = chosen.target.given
    if target is None:
        threshold = settings.threshold_of_round(chosen, progress.number)
        chooser.set_widths(threshold)
        return threshold
    name, share = target
    if name == "latency":
        tables.times.check(progress.before)
    measure = tables.measure(name)
    wanted = measure(progress.before) * share ** (progress.number / progress.of)
    return _meet(plan, chooser, name, measure, wanted)


def least(plan: Plan) -> Cost:
    """Return what is left where all that a plan can cut is cut as far as it can be; it is then."""
    for group in plan.groups:
        group.width = group.floor
    return plan.predict()


def refuse_unreachable(plan: Plan, chosen: PruneSettings, before: Cost) -> None:
    """Refuse a target that is out of reach whatever the weights; one of latency is not looked at.

    The plan's widths are others afterwards.

    Raises:
        ParamsError: with all cut that can be cut, more is left.
    """
    name, share = chosen.target.given or ("latency", 1.0)
    if name == "latency":
        return
    measure = NO_TABLES.measure(name)
    reached = measure(least(plan)) / measure(before)
    if reached > share * (1 + _TOLERANCE):
        raise ParamsError(
            [
                f"params.yaml: prune.target.{name}: must be at least {reached:.3f} for this "
                f"network, of which that is left where all is cut that can be cut (given {share}); "
                "python -m slimline doctor names what stays whole"
            ]
        )


def remove_share(group: Group, share: float) -> None:
    """Let the least important parts go that together hold at most `share` of the importance."""
    group.remove(_Curve(group).within_share(share))


def _meet(
    plan: Plan, chooser: "_Chooser", name: str, measure: Callable[[Cost], float], wanted: float
) -> float:
    """Find the threshold at which a cost is met, then the widths that come closest to it.

    Raises:
        ParamsError: no widths come within 2 %.
    """

    def cost_at(threshold: float) -> float:
        chooser.set_widths(threshold)
        return measure(plan.predict())

    low, high = 0.0, chooser.largest
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if cost_at(middle) > wanted else (low, middle)
    threshold = min((low, high), key=lambda each: abs(cost_at(each) - wanted))
    chooser.set_widths(threshold)
    cost = _approach(plan, measure, wanted)
    if not abs(cost - wanted) <= _TOLERANCE * wanted:  # NaN meets nothing
        raise ParamsError(
            [
                f"params.yaml: prune.target.{name}: the nearest that can be reached is "
                f"{cost / wanted:.3f} times what is asked for; a smaller prune.channel_multiple or "
                "wider limits in prune.layers allow more"
            ]
        )
    return threshold


def _approach(plan: Plan, measure: Callable[[Cost], float], wanted: float) -> float:
    """Widen or narrow single groups by one multiple as long as that comes closer; return the cost.

    Widths in multiples make the cost jump; this is what is left to do about it.
    """
    cost = measure(plan.predict())
    while abs(cost - wanted) > _CLOSE * wanted:
        gaps: dict[float, tuple[Group, int]] = {}
        for group in plan.groups:
            before = group.width
            group.step(1 if cost < wanted else -1)
            gaps.setdefault(abs(measure(plan.predict()) - wanted), (group, group.width))
            group.width = before
        gap = min(gaps)
        if gap >= abs(cost - wanted):
            break
        group, group.width = gaps[gap]
        cost = measure(plan.predict())
    return cost


class _Chooser:
    """Sets widths by a threshold; what does not depend on it is worked out once."""

    def __init__(
        self,
        groups: Sequence[Group],
        chosen: PruneSettings,
        scan: SensitivityScan,
        *,
        rounds: int,
    ) -> None:
        self._groups, self._unit, self._scan = groups, chosen.unit, scan
        self._rounds = rounds
        self._is_auto = chosen.rates == "auto"
        self._curves = [_Curve(group) for group in groups]
        for group, curve, limit in zip(
            groups, self._curves, _limits(groups, chosen.layers), strict=True
        ):
            group.spare(curve.within_share(settings.share_of_round(limit, rounds)))

    @property
    def largest(self) -> float:
        """A threshold at which nearly everything goes, in the unit of the settings."""
        if self._is_auto:
            return self._scan.largest_mean(self._names)
        if self._unit in settings.SHARES:
            return 1.0
        return max(curve.largest(self._unit) for curve in self._curves)

    @property
    def _names(self) -> list[str]:
        return [group.layers[0] for group in self._groups]

    def set_widths(self, threshold: float) -> None:
        """Let of each group go what the threshold says, within the limits of its layers."""
        for group, count in zip(self._groups, self._removable(threshold), strict=True):
            group.remove(count)

    def _removable(self, threshold: float) -> list[float]:
        if self._is_auto:
            shares = self._scan.shares(self._names, threshold)
            # The scan is of the network before the first round.
            now = [settings.share_of_round(share, self._rounds) for share in shares]
            return [c.within_share(share) for c, share in zip(self._curves, now, strict=True)]
        if self._unit == "layer_share":
            return [curve.within_share(threshold) for curve in self._curves]
        if self._unit == "global_share":
            limit = self._pooled_limit(threshold)
            return [curve.up_to(limit) for curve in self._curves]
        return [curve.below(threshold, self._unit) for curve in self._curves]

    def _pooled_limit(self, share: float) -> float:
        """Return the relative importance up to which all layers' parts hold together `share`."""
        ordered, sums = self._pool
        count = int(torch.searchsorted(sums, share * sums[-1], right=True))
        return float(ordered[count - 1]) if count else -math.inf

    @cached_property
    def _pool(self) -> tuple[Tensor, Tensor]:
        ordered = torch.cat([curve.relative.flatten() for curve in self._curves]).sort().values
        return ordered, ordered.cumsum(0)


class _Curve:
    """The importances of a group in order, and questions to them; of several layers, the mean."""

    def __init__(self, group: Group) -> None:
        self._ordered = group.importance.sort(dim=1).values
        self._sums = self._ordered.cumsum(dim=1)

    @cached_property
    def relative(self) -> Tensor:
        """Importances relative to the layer's mean, ascending; float64 [layers, parts]."""
        return self._ordered / self._ordered.mean(dim=1, keepdim=True).clamp_min(1e-300)

    def within_share(self, share: float) -> float:
        """Return how many of the least important parts hold together at most so much."""
        return _count(self._sums, share * self._sums[:, -1:], right=True)

    def up_to(self, limit: float) -> float:
        """Return how many parts have at most this relative importance."""
        return _count(self.relative, torch.full((len(self.relative), 1), limit), right=True)

    def below(self, limit: float, unit: Unit) -> float:
        """Return how many parts have less than this importance, relative or absolute."""
        values = self.relative if unit == "relative" else self._ordered
        return _count(values, torch.full((len(values), 1), limit), right=False)

    def largest(self, unit: Unit) -> float:
        """Return the largest importance, relative or absolute."""
        return float((self.relative if unit == "relative" else self._ordered).max())


def _count(ordered: Tensor, limits: Tensor, *, right: bool) -> float:
    """Return how many values of each row lie below its limit, the mean over rows."""
    found = torch.searchsorted(ordered, limits.to(ordered.dtype), right=right)
    return float(found.double().mean())


def _limits(groups: Sequence[Group], patterns: Mapping[str, float]) -> list[float]:
    """Return the largest share that each group may lose: the least of its layers' limits.

    Raises:
        ParamsError: a pattern fits no layer that can be pruned.
    """
    names = [name for group in groups for name in group.layers]
    params.check_patterns(patterns, names, key="prune.layers", kind="layer that can be pruned")
    return [min(_limit(name, patterns) for name in group.layers) for group in groups]


def _limit(name: str, patterns: Mapping[str, float]) -> float:
    """Return the limit of the first pattern that fits; 1 where none does."""
    return next((limit for pattern, limit in patterns.items() if fnmatchcase(name, pattern)), 1.0)
