"""What all commands have in common, and all of them after one another on a real pipeline."""

import subprocess
import sys
from pathlib import Path

import pytest
import repository
import toy

from slimline.__main__ import main
from slimline.commands import COMMANDS


def test_each_command_is_a_module_and_a_test() -> None:
    modules = sorted(path.stem for path in (toy.ROOT / "slimline/commands").glob("[a-z]*.py"))
    tests = sorted(path.stem for path in (toy.ROOT / "tests/commands").glob("test_*.py"))
    assert modules == sorted(COMMANDS)
    assert tests == [f"test_{name}" for name in modules]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_worth_reading(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    told = capsys.readouterr().out
    assert stopped.value.code == 0
    assert len(told) > 300
    assert max(map(len, told.splitlines())) <= 100


def test_the_list_of_commands_says_what_each_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    begun = {line.split()[0] for line in told.splitlines() if line.startswith("    ")}
    assert set(COMMANDS) <= begun


def test_a_python_without_the_packages_is_told_of_one_that_has_them() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "slimline", "doctor", "mobilenet_v3_small"],
        cwd=toy.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"is not installed for {sys.executable}: `make repro`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    folder = repository.make(tmp_path / "toy")
    code = (
        "import sys; from slimline.__main__ import main; main(['diff', 'main']);"
        "main(['gate']);"
        "found = {'torch', 'onnx', 'onnxruntime', 'PIL', 'dvc'} & set(sys.modules);"
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=toy.of_stages() | {"PYTHONPATH": str(toy.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m slimline schema | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=toy.ROOT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_all_commands_on_a_pipeline(
    pipeline: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(pipeline)
    assert main(["verify", "--all"]) == 0
    assert "0 differ" in capsys.readouterr().err
    assert main(["gate", "--base", "HEAD"]) in {0, 1}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    against_base = [line for line in lines if "max_top1_loss" in line or "_growth" in line]
    assert all(line.startswith("kept") for line in against_base)
    assert any("slower than the base: 0.00 %" in line for line in lines), "it is the same file"
    assert main(["diff", "HEAD"]) == 0
    assert "**int8_export is what it was**" in capsys.readouterr().out
    assert main(["pareto"]) == 0
    assert "workspace" in capsys.readouterr().out
    assert main(["package", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/model_card.md").read_text().startswith("---\n")
