"""On real experiments of DVC, whose one stage makes up figures from a threshold."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import toy

from slimline.__main__ import main
from slimline.report import pareto_front
from slimline.report.pareto_front import Point

_STAGE = """\
stages:
  make:
    cmd: python make.py
    deps:
    - make.py
    params:
    - gates
    - prune.threshold
    metrics:
    - metrics/evaluate/baseline_train.json:
        cache: false
    - metrics/evaluate/int8_export.json:
        cache: false
    - metrics/latency/baseline_train.json:
        cache: false
    - metrics/latency/int8_export.json:
        cache: false
    - metrics/product.json:
        cache: false
"""

# Threshold: top-1, KiB, ms and CPU of the product.
_SCRIPT = """\
import json
from pathlib import Path
from ruamel.yaml import YAML

threshold = YAML(typ="safe", pure=True).load(Path("params.yaml"))["prune"]["threshold"]
top1, size, ms, cpu = {
    0.15: (90.0, 1000, 0.5, "Test CPU"),
    0.3: (89.0, 800, 0.6, "Test CPU"),
    0.4: (88.0, 900, 0.4, "Other CPU"),
}[threshold]
for name, figures in {
    "evaluate/baseline_train": {
        "top1": 80.0, "validation_top1": 91.0, "size_kib": 40000, "macs_m": 100,
    },
    "evaluate/int8_export": {
        "top1": 99 - top1, "validation_top1": top1, "size_kib": size, "macs_m": size / 100,
    },
    "latency/baseline_train": {"p50_ms": 10, "cpu": "Test CPU", "cpu_flags": "avx2"},
    "latency/int8_export": {"p50_ms": ms, "cpu": cpu, "cpu_flags": "avx2"},
    "product": {
        "product_validation_top1": top1, "product_size_kib": size, "product_macs_m": size / 100,
        "product_p50_ms": ms, "product_speedup": 10 / ms,
    },
}.items():
    path = Path("metrics", name + ".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pareto") / "toy"
    made.mkdir()
    (made / "dvc.yaml").write_text(_STAGE)
    (made / "make.py").write_text(_SCRIPT)
    for name in ("params.yaml", "variants.yaml"):
        shutil.copy2(toy.ROOT / name, made)
    toy.set_params(made, {"prune.threshold": 0.15})
    toy.git(made, "init", "--quiet", "--initial-branch=main")
    toy.git(made, "config", "user.email", "toy@example.org")
    toy.git(made, "config", "user.name", "Toy")
    toy.init_dvc(made)
    toy.dvc(made, "repro", "--quiet")
    toy.commit(made, "Begin")
    for name, threshold in {"small": 0.3, "worse": 0.4}.items():
        toy.dvc(made, "exp", "run", "--quiet", "-n", name, "-S", f"prune.threshold={threshold}")
        toy.git(made, "restore", ".")
    return made


def test_fronts_over_workspace_and_experiments(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["pareto"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [[*row[:2], *row[5:]] for row in rows] == [
        ["small", "int8_export", "front", "dominated"],
        ["worse", "int8_export", "dominated", "another CPU"],
        ["workspace", "int8_export", "front", "front"],
        ["workspace", "baseline_train", "front", "front"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_the_table_that_the_guide_proposes_fits_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (toy.ROOT / "docs" / "trying_variants.md").read_text()
    (command,) = (line for line in guide.splitlines() if line.startswith("$ dvc exp show"))
    monkeypatch.setenv("COLUMNS", "120")
    shown = toy.dvc(folder, *shlex.split(command, comments=True)[2:]).stdout
    _, header, _, *rows, _ = (line.split() for line in shown.splitlines())
    assert header[:3] == ["Experiment", "product_validation_top1", "product_size_kib"]
    assert header[3:] == ["product_speedup", "prune.threshold"]
    assert {(*row[:1], *row[-4:]) for row in rows if row[0].isalpha()} == {
        (name, "90", "1000", "20", "0.15") for name in ("workspace", "main")
    }
    assert sorted(row[-4:] for row in rows if not row[0].isalpha()) == [
        ["88", "900", "25", "0.4"],
        ["89", "800", "16.667", "0.3"],
    ]
    assert max(map(len, shown.splitlines())) <= 120


def test_a_limit_is_switched_off_as_any_param_is_set(folder: Path) -> None:
    before = (folder / "params.yaml").read_text()
    toy.dvc(folder, "exp", "run", "--quiet", "-S", "gates.min_speedup=none")
    after = (folder / "params.yaml").read_text()
    toy.git(folder, "restore", ".")
    # DVC leaves a comment in its column as long as there is room for it.
    assert after == before.replace("  min_speedup: 10  #", "  min_speedup: none #")


def test_a_project_without_figures_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pareto"]) == 2
    told = capsys.readouterr().err
    assert told == "dvc.lock: the file is missing\n"
    assert len(told.splitlines()) == 1


def test_equal_points_do_not_dominate_each_other() -> None:
    same = [Point(name, name, 90, 100, 1, 0.5, ("", "")) for name in "ab"]
    worse = Point("c", "c", 90, 101, 1, 0.5, ("", ""))
    assert pareto_front.front([*same, worse], lambda point: point.size_kib) == same


@pytest.mark.parametrize("key", ["validation_top1", "size_kib", "macs_m"])
def test_a_figure_of_nan_is_on_no_front(key: str) -> None:
    figures = {"validation_top1": 90.0, "size_kib": 100.0, "macs_m": 1.0}
    made = [
        {"rev": name, "data": {"metrics": {"metrics/evaluate/int8_export.json": {"data": each}}}}
        for name, each in (("workspace", figures), ("a" * 40, figures | {key: float("nan")}))
    ]
    found = pareto_front.points(made, ["int8_export"])
    assert [each.source for each in found] == ["workspace"]


def test_a_trial_of_a_search_has_no_time_of_its_own() -> None:
    made = []
    for name, size in (("mine", 100.0), ("search-1234-5678", 90.0)):
        figures = {"validation_top1": 90.0, "size_kib": size, "macs_m": 1.0}
        metrics = {
            "metrics/evaluate/int8_export.json": {"data": figures},
            "metrics/latency/int8_export.json": {"data": {"p50_ms": 0.5}},
        }
        made.append({"rev": name, "name": name, "data": {"metrics": metrics}})
    found = pareto_front.points(made, ["int8_export"])
    assert [each.p50_ms for each in found] == [0.5, None]


def test_what_dvc_could_not_read_is_left_out() -> None:
    broken = {"metrics/evaluate/prune.json": {"error": {"type": "X", "msg": "y"}}}
    shown = [
        {"rev": "workspace", "data": {"metrics": broken}, "experiments": None},
        {"rev": "a" * 40, "error": {"msg": "z"}, "experiments": [{"revs": [{"rev": "b"}]}]},
    ]
    assert pareto_front.points(shown, toy.VARIANTS) == []


def test_other_images_are_on_no_front() -> None:
    def scored(name: str, images: str, top1: float) -> dict[str, Any]:
        figures = {"validation_top1": top1, "size_kib": 900, "macs_m": 1}
        return {
            "rev": name,
            "data": {
                "deps": {"data/prepared/validation": {"hash": images}},
                "metrics": {"metrics/evaluate/int8_export.json": {"data": figures}},
            },
        }

    shown = [scored("workspace", "shoes", 85.0), scored("a" * 40, "fashion", 93.0)]
    found = pareto_front.points(shown, ["int8_export"])
    assert [each.source for each in found] == ["workspace"]
