"""Fixtures that several tests share: above all the toy pipeline, which runs once."""

from pathlib import Path

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
    toy.dvc(folder, "repro")
    toy.commit(folder, "Run the pipeline")
    return folder
