import re
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from slimline import params, schema
from slimline.errors import ParamsError
from slimline.params import Params


class Inner(Params):
    depth: Annotated[int, Field(ge=1)]


class Outer(Params):
    name: str
    inner: Inner


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as refused:
        params.load("outer", Outer, path)
    return str(refused.value).replace(str(path), "params.yaml")


def test_one_line_per_mistake(tmp_path: Path) -> None:
    told = refusal(tmp_path, "outer:\n  name: 3\n  inner:\n    dept: 1\n")
    assert told.splitlines() == [
        "params.yaml: outer.name: should be a valid string (given 3)",
        "params.yaml: outer.inner.depth: is missing",
        "params.yaml: outer.inner.dept: is no setting that Slimline knows (given 1)",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("other: 1\n", "section 'outer' is missing"),
        ("- 1\n", "must be a mapping"),
        ("outer: [\n", "is not valid YAML"),
        ("outer: 7\n", "outer: "),
    ],
)
def test_files_of_the_wrong_shape(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="the file is missing"):
        params.load("outer", Outer, tmp_path / "params.yaml")


def test_yaml_is_read_as_dvc_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("rate: 1e-3\nanswer: yes\n")
    assert params.read(path) == {"rate": 0.001, "answer": "yes"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"method": "luck"},
            "prune.method: should be one of 'structured_magnitude', 'taylor', "
            "'unstructured_taylor', 'magnitude' (given 'luck')",
        ),
        ({}, "prune.method: is missing"),
        (
            {"method": None},
            "prune.method: should be one of 'structured_magnitude', 'taylor', "
            "'unstructured_taylor', 'magnitude' (given None)",
        ),
    ],
)
def test_the_key_that_chooses_of_a_union(given: dict[str, object], told: str) -> None:
    with pytest.raises(ParamsError, match=re.escape(f"params.yaml: {told}")):
        params.check(given, schema.AnyMethod, Path("params.yaml"), "prune")
