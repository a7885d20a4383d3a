"""Conventions that DESIGN fixes, held by looking at dvc.yaml, params.yaml and the imports."""

import ast
import io
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import toy
from ruamel.yaml import YAML
from toy import ROOT

from slimline import code_hashes, params, schema
from slimline.code_hashes import closure

STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
SCRIPTS = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")
TORCH_FREE = (
    "validate_params",
    "code",
    "prepare_data",
    "reference",
    "evaluate",
    "evaluate_control",
    "device_evaluate",
    "benchmark",
    "report",
)
BEFORE_CODE = {"validate_params", "code"}


def block(name: str) -> dict[str, Any]:
    stage = STAGES[name]
    return stage.get("do", stage)


def deps(name: str) -> list[str]:
    return block(name)["deps"]


def test_each_stage_is_a_script_a_block_and_a_test() -> None:
    tested = sorted(
        path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("stages/*")
    )
    assert SCRIPTS == sorted(STAGES) == [name for name in tested if name != "__pycache__"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_code_of_a_stage_is_one_line(name: str) -> None:
    code = [dep for dep in deps(name) if dep.startswith(("slimline", "stages", "metrics/code"))]
    if name in BEFORE_CODE:
        assert "slimline" in code
    else:
        assert code == [f"metrics/code/{name}.txt"]


def test_a_choice_of_code_is_noticed() -> None:
    source = closure.Code(ROOT)
    paths = (path.relative_to(ROOT) for path in (ROOT / "slimline").rglob("*.py"))
    tables = (table for path in paths for table in source.module(path).tables.values())
    assert {key for table in tables for key in table.chosen_by} == set(block("code")["params"])


def test_no_two_classes_have_one_name() -> None:
    """But for the watchers, each of which is the same thing for another tool."""
    names = Counter(
        each.name
        for path in (ROOT / "slimline").rglob("*.py")
        if path.parent.name != "watchers"
        for each in ast.parse(path.read_text()).body
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_no_function_body_stands_twice() -> None:
    bodies = Counter(
        "".join(map(ast.dump, each.body))
        for folder in ("slimline", "stages")
        for path in (ROOT / folder).rglob("*.py")
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.FunctionDef) and len(each.body) > 2
    )
    assert [body for body, count in bodies.items() if count > 1] == []


def test_a_shared_section_is_listed_where_it_is_shared() -> None:
    for section, places in params.SHARED.items():
        for place in places:
            assert section in block(place.partition(".")[0])["params"]


def test_what_measures_and_reports_waits_for_every_variant() -> None:
    folders = {f"models/{name}" for name in toy.VARIANTS}
    assert folders <= set(deps("benchmark"))
    assert folders <= set(deps("report"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_blocks_read_alike(name: str) -> None:
    fixed = ["desc", "cmd", "deps", "params", "outs", "metrics"]
    keys = list(block(name))
    assert keys == [key for key in fixed if key in keys]
    assert block(name)["cmd"].startswith(f"python -m stages.{name} ")


def test_no_parameter_reaches_a_shell() -> None:
    templated = [name for name in STAGES if "${" in block(name)["cmd"]]
    # evaluate with keys of variants.yaml; the others with names that validate_params knows, without
    # whose marker none of them runs.
    assert templated == ["device_export", "evaluate", "device_evaluate"]


def test_only_evaluate_and_its_reference_depend_on_the_test_split() -> None:
    users = [name for name in STAGES if any("prepared/test" in dep for dep in deps(name))]
    assert users == ["reference", "evaluate", "evaluate_control", "device_evaluate"]


def test_heavy_stages_have_cached_outs_only() -> None:
    for name in STAGES:
        outs = [*block(name).get("outs", []), *block(name).get("metrics", [])]
        is_git = [isinstance(out, dict) for out in outs]
        makes_models = any(str(out).startswith("models/") for out in outs)
        assert not (makes_models and any(is_git)), name


@pytest.mark.parametrize("name", TORCH_FREE)
def test_cheap_stages_never_import_torch(name: str) -> None:
    code = f"import sys, stages.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_params_are_right_and_canonical() -> None:
    schema.check(ROOT / "params.yaml")
    text = (ROOT / "params.yaml").read_text()
    yaml, again = YAML(), io.StringIO()
    yaml.dump(yaml.load(text), again)
    assert again.getvalue() == text, "`dvc exp run -S` would reformat params.yaml"


def test_every_section_belongs_to_a_stage_or_to_several() -> None:
    shared = {
        "seed", "num_threads", "processes", "targets", "data", "gates", "progress", "search",
        *params.SHARED,
    }  # fmt: skip
    assert set(schema.ParamsFile.model_fields) - shared <= set(STAGES)


def test_results_are_of_this_code_and_these_params(tmp_path: Path) -> None:
    code_hashes.write(ROOT / "stages", ROOT / "params.yaml", tmp_path / "code")
    for path in (tmp_path / "code").iterdir():
        committed = ROOT / "metrics" / "code" / path.name
        assert path.read_text() == committed.read_text(), f"stale: {path.stem}; run `make repro`"
    done = toy.dvc(ROOT, "repro", "--allow-missing", "--dry", check=False)
    assert done.returncode == 0, done.stderr
    running = set(re.findall(r"Running stage '(.+)'", done.stdout))
    assert running <= BEFORE_CODE, "dvc.lock is stale: run `make repro` and commit"
