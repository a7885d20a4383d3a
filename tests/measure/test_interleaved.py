"""Two equal models on a simulated machine that is as bad as a real one: loaded for a while, with a
speed that wanders and drifts, and memory that lies otherwise each time a model is loaded."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from slimline.measure import block_times, interleaved, significance
from slimline.measure.interleaved import Runs

MODELS = ("reference", "copy", "other")
NUM_BLOCKS, NUM_RUNS = 40, 1000
LAYOUT = 0.01
"""Standard deviation, as a share of the time, of what a load of the model decides."""


class Machine:
    """Gives the time of a turn; a turn hits what is left of the disturbance of the one before."""

    def __init__(self, seed: int, *, bursts: float = 0.0, wander: float = 0.0, drift: float = 0.0):
        self.rng = np.random.default_rng(seed)
        self.bursts, self.wander, self.drift = bursts, wander, drift
        self.is_busy, self.speed, self.turn = False, 0.0, 0
        self.kept = dict.fromkeys(MODELS, 0.0)

    def keep_sessions(self) -> None:
        self.kept = {name: LAYOUT * self.rng.normal() for name in MODELS}

    def milliseconds(self, name: str) -> float:
        """A neighbour that comes stays for five turns on average; a wandering speed for twenty."""
        stays, comes = 0.8, self.bursts
        self.is_busy = self.rng.random() < (stays if self.is_busy else comes)
        self.speed = 0.95 * self.speed + self.wander * self.rng.normal()
        self.turn += 1
        layout = self.kept[name] or LAYOUT * self.rng.normal()
        slower = 0.3 * self.is_busy + self.speed + self.drift * self.turn + layout
        return float(np.exp(slower + 0.005 * self.rng.normal()))

    def block(self, order: Sequence[str] | None = None) -> dict[str, Runs]:
        names = order or self.rng.permutation(MODELS).tolist()
        return {name: np.array([self.milliseconds(name)]) for name in names}


BUSY = {"bursts": 0.1, "wander": 0.01, "drift": 0.001}
QUIET: Mapping[str, float] = {}


def medians(taken: Sequence[Mapping[str, Runs]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([each[name] for each in taken]) for name in MODELS}


def share_called_different(take: Callable[[int], Mapping[str, np.ndarray]]) -> float:
    called = 0
    for seed in range(NUM_RUNS):
        times = take(seed)
        low, high = block_times.speedup_bounds(
            times["reference"], times["copy"], significance.SURE_95
        )
        called += not low <= 1 <= high
    return called / NUM_RUNS


@pytest.mark.parametrize("machine", [QUIET, {"bursts": 0.1}, {"wander": 0.02}, BUSY])
def test_equal_models_are_called_different_in_five_of_a_hundred_runs(
    machine: Mapping[str, float],
) -> None:
    def take(seed: int) -> Mapping[str, np.ndarray]:
        simulated = Machine(seed, **machine)
        return medians([simulated.block() for _ in range(NUM_BLOCKS)])

    assert share_called_different(take) <= 0.05


def test_to_go_on_while_it_is_noisy_calls_no_more_of_them_different() -> None:
    counts = []

    def take(seed: int) -> Mapping[str, np.ndarray]:
        simulated = Machine(seed, **BUSY)
        found = until_quiet(simulated, max_noise=1.5)
        counts.append(len(found["copy"]))
        return {name: each[:, 0] for name, each in found.items()}

    assert share_called_different(take) <= 0.05
    assert min(counts) < 2 * NUM_BLOCKS <= max(counts), "some runs went on, others did not"


def test_a_model_five_percent_slower_is_found_when_it_is_quiet() -> None:
    found = 0
    for seed in range(NUM_RUNS):
        times = until_quiet(Machine(seed, **BUSY), max_noise=2.5)
        slower = 1.05 * times["copy"][:, 0]
        found += (
            block_times.speedup_bounds(times["reference"][:, 0], slower, significance.SURE_95)[1]
            < 1
        )
    assert found / NUM_RUNS >= 0.9


def test_sessions_that_are_kept_make_equal_models_different() -> None:
    """Why each turn loads its model anew."""

    def take(seed: int) -> Mapping[str, np.ndarray]:
        simulated = Machine(seed)
        simulated.keep_sessions()
        return medians([simulated.block() for _ in range(NUM_BLOCKS)])

    assert share_called_different(take) > 0.5


def test_an_order_that_is_fixed_makes_equal_models_different() -> None:
    """Why the order is drawn: whoever comes later on a machine that slows down looks slower."""

    def take(seed: int) -> Mapping[str, np.ndarray]:
        simulated = Machine(seed, drift=0.01)
        return medians([simulated.block(MODELS) for _ in range(NUM_BLOCKS)])

    assert share_called_different(take) > 0.5


def until_quiet(machine: Machine, max_noise: float) -> dict[str, Runs]:
    return interleaved.until_quiet(
        machine.block,
        "reference",
        num_blocks=NUM_BLOCKS,
        max_noise=max_noise,
        max_seconds=1e9,
        clock=lambda: float(machine.turn),
    )


@pytest.mark.parametrize(
    ("max_seconds", "num_blocks"), [(0, 10), (19, 10), (20, 20), (29.9, 20), (55, 50)]
)
def test_a_noisy_run_ends_within_its_time(max_seconds: float, num_blocks: int) -> None:
    """Each block takes a second, and the times never agree."""
    now, rng = [100.0], np.random.default_rng(0)

    def take() -> dict[str, Runs]:
        now[0] += 1
        return {name: rng.lognormal(sigma=2, size=3) for name in MODELS}

    found = interleaved.until_quiet(
        take,
        "reference",
        num_blocks=10,
        max_noise=1,
        max_seconds=max_seconds,
        clock=lambda: now[0],
    )
    assert {each.shape for each in found.values()} == {(num_blocks, 3)}


def test_a_turn_loads_its_model_and_counts_no_warm_up() -> None:
    told: list[str] = []

    def model(name: str) -> interleaved.Loader:
        def load() -> interleaved.Timed:
            told.append(f"load {name}")
            return lambda batch: told.append(f"{name} {batch[0, 0, 0, 0]:.0f}")

        return load

    models = {name: model(name) for name in MODELS}
    batches = list(np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1, 1))
    rng = np.random.default_rng(0)
    taken = [interleaved.block(models, batches, rng, runs=3, warm_up=2) for _ in range(20)]
    assert all(times.shape == (3,) for each in taken for times in each.values())
    assert all(set(each) == set(MODELS) for each in taken)
    expected = ["load", "0", "1", "2", "0", "1"]
    for start in range(0, len(told), len(expected)):
        one = told[start : start + len(expected)]
        name = one[0].removeprefix("load ")
        assert one == [f"load {name}", *(f"{name} {image}" for image in expected[1:])]
    assert len({tuple(each) for each in taken}) > 3, "the order is drawn anew in each block"
