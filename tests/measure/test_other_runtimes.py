from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import tiny_model

from slimline.artifacts import description
from slimline.measure import other_runtimes
from slimline.measure.latency import BenchmarkParams
from slimline.measure.variant_figures import ResultsError
from slimline.targets.onnxruntime import runtime
from slimline.targets.runtimes import Answer

SETTINGS = BenchmarkParams(
    blocks=10, runs=2, batch_size=4, batches=1, max_noise=100, max_seconds=0
)  # fmt: skip


def load(path: Path) -> Answer:
    return partial(runtime.run, runtime.load(path, num_threads=1))


def load_slow(path: Path) -> Answer:
    answer = load(path)

    def slow(images: np.ndarray) -> np.ndarray:
        until = perf_counter() + 0.02
        found = answer(images)
        while perf_counter() < until:
            pass
        return -found

    return slow


def test_each_model_is_compared_with_itself_in_onnx_runtime(tmp_path: Path) -> None:
    model = description.deployable(tiny_model.write(tmp_path / "model"))
    shape = runtime.load(model.path, num_threads=1).get_inputs()[0].shape[1:]
    images = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    settings = SETTINGS.model_copy(update={"runtimes": ["same", "slow"]})
    loaders = {"same": load, "slow": load_slow, "another": load}
    same, slow = other_runtimes.measure({"a": model}, {"a": images}, settings, loaders)
    assert (same.variant, same.runtime, same.agreement, same.images) == ("a", "same", 100, 4)
    assert (slow.runtime, slow.agreement) == ("slow", 0)
    assert slow.p50_ms >= 20
    assert slow.is_slower
    assert not same.is_faster or same.times_as_fast > 1
    other_runtimes.write(tmp_path, [same, slow])
    again = other_runtimes.read(tmp_path)
    assert [each.runtime for each in again] == ["same", "slow"]
    assert again[1].p50_ms == pytest.approx(slow.p50_ms, abs=1e-4)


def test_without_other_runtimes_there_is_no_table(tmp_path: Path) -> None:
    assert other_runtimes.read(tmp_path) == []


@pytest.mark.parametrize("line", ["a\topenvino\tfast\t1\t1\t1\t100\t4", "a"])
def test_a_damaged_table_is_refused(line: str, tmp_path: Path) -> None:
    other_runtimes.write(tmp_path, [])
    with (tmp_path / other_runtimes.FILE).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ResultsError, match=r"runtimes\.tsv: is no table of runtimes"):
        other_runtimes.read(tmp_path)
