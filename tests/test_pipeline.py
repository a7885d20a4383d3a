"""Conventions that DESIGN fixes, held by looking at dvc.yaml, params.yaml and the imports."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toy
from imports import ROOT, closure
from ruamel.yaml import YAML

from slimline import schema

STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
SCRIPTS = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")
TORCH_FREE = ("validate_params", "prepare_data", "labels", "evaluate", "benchmark", "report")


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
def test_deps_cover_imports(name: str) -> None:
    uncovered = [
        path
        for path in closure(Path("stages", f"{name}.py"))
        if has_code(path) and not any(path.is_relative_to(dep) for dep in deps(name))
    ]
    assert uncovered == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_deps_name_no_code_that_is_not_imported(name: str) -> None:
    imported = closure(Path("stages", f"{name}.py"))
    code = [Path(dep) for dep in deps(name) if dep.startswith(("slimline", "stages"))]
    unused = [dep for dep in code if not any(path.is_relative_to(dep) for path in imported)]
    assert [dep for dep in unused if "templates" not in dep.parts] == []


def has_code(path: Path) -> bool:
    """A package's file that is a docstring alone does nothing when it is imported."""
    text = (ROOT / path).read_text()
    return path.name != "__init__.py" or not text.startswith('"""') or "import " in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_blocks_read_alike(name: str) -> None:
    fixed = ["desc", "cmd", "deps", "params", "outs", "metrics"]
    keys = list(block(name))
    assert keys == [key for key in fixed if key in keys]
    assert block(name)["cmd"].startswith(f"python -m stages.{name} ")


def test_no_parameter_reaches_a_shell() -> None:
    templated = [name for name in STAGES if "${" in block(name)["cmd"]]
    assert templated == ["evaluate"], "only evaluate is templated, with keys written in dvc.yaml"


def test_only_evaluate_and_its_labels_depend_on_the_test_split() -> None:
    users = [name for name in STAGES if any("prepared/test" in dep for dep in deps(name))]
    assert users == ["labels", "evaluate"]


def test_a_pruning_method_is_no_dependency_of_the_baseline() -> None:
    for name in ("prepare_data", "baseline_train", "backbone_swap"):
        assert not any("pruning" in dep or dep == "slimline" for dep in deps(name))


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


def test_every_section_belongs_to_a_stage() -> None:
    sections = set(schema.ParamsFile.model_fields) - {"seed", "num_threads", "data", "gates"}
    assert sections <= set(STAGES)


def test_results_are_of_this_code_and_these_params() -> None:
    done = toy.dvc(ROOT, "repro", "--allow-missing", "--dry", check=False)
    assert done.returncode == 0, done.stderr
    assert "Running stage" not in done.stdout, "dvc.lock is stale: run `make repro` and commit"
