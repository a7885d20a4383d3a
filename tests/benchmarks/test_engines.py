import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tiny_model

from benchmarks import engines, one_engine
from benchmarks.engines import OF_FLOAT, OTHERS, OURS, Found, Worker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of a network as `engines.write` leaves them, all the same one."""
    model = tiny_model.write(tmp_path / "model") / "model.onnx"
    for name in (engines.FLOAT, engines.INT8):
        shutil.copyfile(model, tmp_path / name)
    images = np.full([8, 1, 8, 8], -1, np.float32)
    images[:, :, 4:, :4] = 1
    np.save(tmp_path / engines.IMAGES, images)
    return tmp_path


def _worker(how: str, folder: Path, name: str) -> Worker:
    paths = folder / name, folder / engines.IMAGES
    return Worker(sys.executable, "-m", "benchmarks.one_engine", how, *paths)


def test_engines_answer_and_are_timed_in_turns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, object]] = []
    with ExitStack() as stack:
        workers = {
            OURS: stack.enter_context(_worker("onnxruntime", folder, engines.INT8)),
            OF_FLOAT: stack.enter_context(_worker("onnxruntime", folder, engines.FLOAT)),
            OTHERS: stack.enter_context(_worker("openvino", folder, engines.NNCF)),
        }
        for name, worker in workers.items():
            monkeypatch.setattr(worker, "ask", _noting(name, worker.ask, asked))
        found = engines.measure(workers, folder, blocks=20, runs=3)
    assert {name: each.shape for name, each in found.milliseconds.items()} == {
        OURS: (20, 3),
        OF_FLOAT: (20, 3),
    }
    assert all((each > 0).all() for each in found.milliseconds.values())
    assert found.answers == {OURS: 100, OF_FLOAT: 100}
    assert found.failed.keys() == {OTHERS}
    turns = [name for name, what in asked if what == "time"]
    blocks = [tuple(turns[start : start + 2]) for start in range(0, len(turns), 2)]
    assert set(blocks) == {(OURS, OF_FLOAT), (OF_FLOAT, OURS)}


def _noting(name, ask, asked):
    def noted(*request):
        asked.append((name, request[0]))
        return ask(*request)

    return noted


def test_logits_are_those_of_each_image(folder: Path) -> None:
    with _worker("onnxruntime", folder, engines.INT8) as worker:
        assert worker.ask("in_int8") == "0 of 0"
        worker.ask("answer", str(folder / "logits.npy"))
    expected = np.tile(np.array([-10, -10, 10, -10], np.float32), [8, 1])
    np.testing.assert_array_equal(np.load(folder / "logits.npy"), expected)


def test_a_failing_engine_says_why_and_a_dead_one_that_it_is_dead(folder: Path) -> None:
    with (
        _worker("onnxruntime", folder, engines.INT8) as worker,
        pytest.raises(engines.EngineError, match="no such request"),
    ):
        worker.ask("sing")
    with (
        _worker("onnxruntime", folder / "nowhere", engines.INT8) as worker,
        pytest.raises(engines.EngineError, match="exit code 1"),
    ):
        worker.ask("in_int8")


def test_ours_must_not_fail(folder: Path) -> None:
    (folder / engines.INT8).unlink()
    with (
        _worker("onnxruntime", folder, engines.INT8) as worker,
        pytest.raises(engines.EngineError),
    ):
        engines.measure({OURS: worker}, folder, blocks=1, runs=1)


def test_answers_are_right_by_labels_or_as_by_float(tmp_path: Path) -> None:
    logits, of_float = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)[[0, 1, 2, 2]]
    assert engines.right(logits, of_float, tmp_path) == 75
    np.save(tmp_path / engines.LABELS, [0, 0, 0, 0])
    assert engines.right(logits, of_float, tmp_path) == 25


def test_above_1_ours_is_faster() -> None:
    ours = np.linspace(1, 2, 40)
    assert engines.ratio(1.5 * ours, ours) == "1.50 (1.50 to 1.50)"
    assert engines.ratio(ours[:2], ours[:2]) == "1.00 (-inf to inf)"


def test_a_line_has_a_cell_for_each_title() -> None:
    names = [name for name in engines.ENGINES if name != OTHERS]
    found = Found(
        {name: np.full([10, 2], 1 + number) for number, name in enumerate(names)},
        {name: 90.04 + number for number, name in enumerate(names)},
        {name: f"{number} of 9" for number, name in enumerate(names)},
        {OTHERS: "no: file"},
    )
    titles = [each.strip() for each in engines.header()[0].strip("|").split("|")]
    assert dict(zip(titles, ["small", *found.cells()], strict=True)) == {
        "network": "small",
        "ours, ms": "1.000",
        "times: ours in OpenVINO": "2.00 (2.00 to 2.00)",
        "times: portable in OpenVINO": "3.00 (3.00 to 3.00)",
        "times: NNCF in OpenVINO": "no: file",
        "times: float": "4.00 (4.00 to 4.00)",
        "times: float in OpenVINO": "5.00 (5.00 to 5.00)",
        "answers, %": "90.0 / 91.0 / 92.0 / no / 93.0 / 94.0",
        "in int8": "0 of 9 / 1 of 9 / 2 of 9 / no",
    }


def test_the_longest_layers_come_first_and_an_outlier_moves_none() -> None:
    accounts = [[("a", "Conv", 2), (f"b{number}", "Gemm", 6)] for number in range(8)]
    accounts[3][0] = ("a", "Conv", 100)
    assert list(engines.longest(OURS, accounts)) == [
        "| ours | all 2 | | 8 | 100 |",
        "| ours | b0 | Gemm | 6.0 | 75 |",
        "| ours | a | Conv | 2.0 | 25 |",
    ]


def test_a_layer_that_is_too_short_to_be_told_comes_and_goes() -> None:
    accounts = [[("a", "Conv", 2), ("b", "Gemm", 6)] for _ in range(3)]
    accounts.insert(1, [("b", "Gemm", 6)])
    assert next(engines.longest(OURS, accounts)) == "| ours | all 2 | | 8 | 100 |"


def test_every_engine_can_be_loaded() -> None:
    assert {each.how for each in engines.ENGINES.values()} == one_engine.LOADERS.keys()
