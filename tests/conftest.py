"""Fixtures that several tests share: above all the toy pipeline, which runs once.

Tests run in several processes side by side (pytest-xdist), each with one thread. What is shared is
made by whoever needs it first; the others wait.
"""

import functools
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import bare
import pytest
import toy
from filelock import FileLock

_PIPELINE = "pipeline"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write what the report's snapshots are compared with anew",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage in what is imported, neither meanwhile nor ever after.

    Torch alone brings some hundred thousand objects, and every export makes Python go through all.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests into the order in which nobody waits for long.

    A module stays in one process, since its fixtures do. The first that needs the pipeline is
    first, so that it is there when the others, which are last, need it. Of these, those of no room
    are long, and begin before the others, so that no process is left alone with one.
    """
    needs = {item.path for item in items if _PIPELINE in getattr(item, "fixturenames", ())}
    first = next((item.path for item in items if item.path in needs), None)

    def turn(item: pytest.Item) -> tuple[int, int]:
        if item.path not in needs:
            return 1, 0
        return (0, 0) if item.path == first else (2, len(item.path.parts))

    items.sort(key=turn)


@pytest.fixture(autouse=True)
def torch_as_it_begins() -> Iterator[None]:
    """Take back what a stage that ran within the process told torch.

    Two threads of each of two processes on two cores wait for each other, ten times as long.
    """
    yield
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session", autouse=True)
def translations_read_once() -> None:
    """Let torch's exporter read the sources of its seven hundred translations once a process.

    It does so for every file, which is a third of the time that a small network's takes.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(functools.cache(ONNXRegistry.from_torchlib))


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a folder that is made once, whichever process asks first."""
    base = tmp_path_factory.getbasetemp()
    root = base if worker_id == "master" else base.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        target, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                make(target)
                done.touch()
        return target

    return folder


@pytest.fixture(scope="session")
def pipeline(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A toy repository after one `dvc repro`, with the results committed. Do not change it."""
    return shared(_PIPELINE, _run_pipeline) / "toy"


def _run_pipeline(folder: Path) -> None:
    made = toy.make(folder / "toy")
    watched = folder / "opened"
    watched.mkdir()
    watch = {"PYTHONPATH": str(toy.ROOT / "tests" / "watch"), "WATCH_TARGET": str(watched)}
    toy.dvc(made, "repro", environment=watch)
    toy.commit(made, "Run the pipeline")


@pytest.fixture(scope="session")
def opened(pipeline: Path) -> dict[str, set[str]]:
    """The files of ours that each stage of the toy pipeline opened, code and data beside it."""
    logs = (pipeline.parent / "opened").glob("*.txt")
    return {path.stem: set(path.read_text().splitlines()) for path in logs}


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with numpy, Pillow and onnxruntime, and nothing else."""
    return bare.make(tmp_path_factory.mktemp("bare") / "venv")
