import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import toy
from ruamel.yaml import YAML

SCRIPT = toy.ROOT / "tools" / "find_python.sh"
SUPPORTED = ["3.11", "3.12", "3.13", "3.14"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The only folder on the path, with a shell and nothing else in it."""
    (tmp_path / "sh").symlink_to("/bin/sh")
    return tmp_path


def program(path: Path, name: str, body: str) -> None:
    script = path / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)


def python(path: Path, name: str, exit_code: int = 0) -> None:
    """Put a stand-in for a Python there: it says where it is, or exits as the question asks."""
    program(path, name, f"[ {exit_code} -eq 0 ] && echo {path / name}\nexit {exit_code}")


def find(path: Path, chosen: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "PYTHON": chosen}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False
    )


def test_takes_the_newest_supported_python(path: Path) -> None:
    for name in ("python3.11", "python3.13", "python3"):
        python(path, name)
    python(path, "python3.14", exit_code=4)
    assert find(path).stdout == f"{path / 'python3.13'}\n"


def test_takes_python3_where_no_other_name_is_there(path: Path) -> None:
    python(path, "python3")
    assert find(path).stdout == f"{path / 'python3'}\n"


def test_names_the_interpreter_itself_and_not_that_of_a_venv(path: Path) -> None:
    program(path, "python3", f'exec {sys.executable} "$@"')
    found = Path(find(path).stdout.strip())
    assert found == Path(sys._base_executable)  # type: ignore[attr-defined]
    assert not found.is_relative_to(sys.prefix)


def test_uv_brings_one_where_there_is_none(path: Path) -> None:
    python(path, "python3", exit_code=3)
    program(
        path,
        "uv",
        f'case "$*" in *install*) : > {path}/brought ;;\n'
        f"*) [ -e {path}/brought ] && echo {path}/uv/python3.14 ;; esac",
    )
    done = find(path)
    assert done.stdout == f"{path}/uv/python3.14\n", done.stderr
    assert done.stderr == "no Python from 3.11 to 3.14 is on the path: uv brings one\n"


def test_a_uv_that_cannot_bring_one_is_no_python(path: Path) -> None:
    program(path, "uv", "echo no network >&2; exit 2")
    done = find(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[1:] == [
        "no network",
        "uv cannot bring a Python, why, it says above: install one from 3.11 to 3.14",
    ]


@pytest.mark.parametrize(
    ("exit_code", "sentence"),
    [
        (3, "no Python from 3.11 to 3.14 is on the path: install one, or uv, which brings one\n"),
        (
            4,
            "python3 cannot make a virtual environment: install the package python3-venv (or uv)\n",
        ),
    ],
)
def test_says_in_a_sentence_what_to_install(path: Path, exit_code: int, sentence: str) -> None:
    python(path, "python3", exit_code)
    done = find(path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence)


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ("python3.9", "is not of a version from 3.11 to 3.14"),
        ("python3.11", "cannot make a virtual environment"),
        ("pyhton", "cannot be run"),
    ],
)
def test_a_chosen_python_that_cannot_do_is_named(path: Path, chosen: str, problem: str) -> None:
    python(path, "python3.9", exit_code=3)
    python(path, "python3.11", exit_code=4)
    python(path, "python3.12")
    done = find(path, chosen)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"PYTHON={chosen} {problem}")
    assert find(path, "python3.12").stdout == f"{path / 'python3.12'}\n"


def test_everything_names_the_same_pythons() -> None:
    script = SCRIPT.read_text()
    assert f'NAMES="{" ".join(f"python{each}" for each in reversed(SUPPORTED))} ' in script
    project = tomllib.loads((toy.ROOT / "pyproject.toml").read_text())["project"]
    assert f'RANGE="{project["requires-python"]}"' in script
    workflow = YAML(typ="safe", pure=True).load(toy.ROOT / ".github" / "workflows" / "tests.yml")
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == SUPPORTED
    wheels = (toy.ROOT / "tools" / "check_wheels.py").read_text()
    assert f"PYTHONS = {tuple(SUPPORTED)}\n".replace("'", '"') in wheels
