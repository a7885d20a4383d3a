"""Fixtures that several tests share: above all the toy pipeline, which runs once."""

from pathlib import Path

import bare
import pytest
import toy


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write what the report's snapshots are compared with anew",
    )


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy repository after one `dvc repro`, with the results committed. Do not change it."""
    folder = toy.make(tmp_path_factory.mktemp("pipeline") / "toy")
    watched = folder.parent / "opened"
    watched.mkdir()
    watch = {"PYTHONPATH": str(toy.ROOT / "tests" / "watch"), "WATCH_TARGET": str(watched)}
    toy.dvc(folder, "repro", environment=watch)
    toy.commit(folder, "Run the pipeline")
    return folder


@pytest.fixture(scope="session")
def opened(pipeline: Path) -> dict[str, set[str]]:
    """The files of ours that each stage of the toy pipeline opened, code and data beside it."""
    logs = (pipeline.parent / "opened").glob("*.txt")
    return {path.stem: set(path.read_text().splitlines()) for path in logs}


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with numpy, Pillow and onnxruntime, and nothing else."""
    return bare.make(tmp_path_factory.mktemp("bare") / "venv")
