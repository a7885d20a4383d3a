import os
import subprocess
import sys
import time
from pathlib import Path

import toy


def run(
    tmp_path: Path, body: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(
        "from slimline import errors, stage\n"
        f"def main(source, *others):\n    {body}\n"
        "if __name__ == '__main__':\n    stage.run(main)\n"
    )
    return subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), *arguments],
        env=toy.of_stages() | {"PYTHONPATH": str(toy.ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_arguments_are_paths(tmp_path: Path) -> None:
    done = run(tmp_path, "print(source / 'x', len(others))", "a", "b", "c")
    assert (done.returncode, done.stdout) == (0, "a/x 2\n")


def test_no_garbage_is_looked_for_in_what_was_imported(tmp_path: Path) -> None:
    done = run(tmp_path, "import gc; print(gc.isenabled(), gc.get_freeze_count() > 1000)", "a")
    assert (done.returncode, done.stdout) == (0, "True True\n")


def test_what_a_terminal_cannot_show_is_spelled_out(tmp_path: Path) -> None:
    body = "print('\u9774')"
    done = run(tmp_path, body, "a", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stdout) == (0, "\\u9774\n")


def test_a_mistake_is_one_sentence_and_code_2(tmp_path: Path) -> None:
    done = run(tmp_path, "raise errors.DataError('no images in a')", "a")
    assert (done.returncode, done.stderr) == (2, "no images in a\n")


def test_a_bug_is_a_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "raise KeyError('x')", "a")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_too_few_arguments(tmp_path: Path) -> None:
    done = run(tmp_path, "pass")
    assert done.returncode == 1
    assert "usage: python -m __main__ source others" in done.stderr


def test_no_stage_outlives_dvc_while_it_imports(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    (tmp_path / "stages/slow.py").write_text(
        "import os, time\nfrom slimline import stage\n"
        "print(os.getpid(), flush=True)\ntime.sleep(60)  # as torch does\n"
    )
    started = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'stages.slow'])"
    with subprocess.Popen(
        [sys.executable, "-c", started],
        cwd=tmp_path,
        env=toy.of_stages() | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(toy.ROOT)])},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        stage = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 30
    while is_alive(stage) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(stage)


def is_alive(process: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
