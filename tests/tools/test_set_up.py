"""What `make` does to .venv: real virtual environments, of tiny wheels made here."""

import base64
import functools
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

SCRIPT = toy.ROOT / "tools" / "set_up.py"
LOCKS = (
    "requirements.lock",
    "requirements-cpu.lock",
    "requirements-search.lock",
    "requirements-development.lock",
)


def wheel(folder: Path, name: str, version: str) -> Path:
    """Write a wheel with one module, whose `VERSION` says which it is."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{each},{_hash(text)},{len(text)}\n" for each, text in files.items())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in files.items():
            archive.writestr(each, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


def _hash(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


def pin(path: Path, text: bytes | None = None) -> str:
    digest = hashlib.sha256(text or path.read_bytes()).hexdigest()
    return f"{path.as_uri()} --hash=sha256:{digest}\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with lock files of tiny wheels."""
    folder = tmp_path / "clone"
    folder.mkdir()
    run = wheel(tmp_path / "wheels", "tiny", "1.0")
    for name in LOCKS:
        (folder / name).write_text(pin(run))
    development = wheel(tmp_path / "wheels", "tiny_lint", "1.0")
    (folder / "requirements-development.lock").write_text(pin(development))
    (folder / "requirements-torch-cpu.lock").write_text("torch==1.0+cpu\n")
    return folder


@pytest.fixture
def torch_index(tmp_path: Path) -> Iterator[str]:
    """The address of an index that has torch for the CPU and nothing else."""
    wheel(tmp_path / "index" / "torch", "torch", "1.0+cpu")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


def set_up(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )


def version(clone: Path, module: str) -> str:
    """Return what a module of .venv says, empty where there is no such module."""
    command = [clone / ".venv/bin/python", "-c", f"import {module}; print({module}.VERSION)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.mark.slow
def test_installs_what_is_pinned_once_and_anew_after_a_change(clone: Path, tmp_path: Path) -> None:
    first = set_up(clone, "development")
    assert first.returncode == 0, first.stderr
    assert (version(clone, "tiny"), version(clone, "tiny_lint")) == ("1.0", "1.0")
    (clone / "requirements.lock").touch()
    again = set_up(clone, "development")
    assert (again.returncode, again.stdout) == (0, "")

    (clone / "requirements.lock").write_text(pin(wheel(tmp_path / "wheels", "tiny", "2.0")))
    (clone / ".venv" / "leftover").touch()
    newer = set_up(clone, "run")
    assert newer.returncode == 0, newer.stderr
    assert (version(clone, "tiny"), version(clone, "tiny_lint")) == ("2.0", "")
    assert not (clone / ".venv" / "leftover").exists()
    assert set_up(clone, "remove").returncode == 0
    assert not (clone / ".venv").exists()


def test_torch_for_the_cpu_comes_from_its_own_index_and_stays(
    clone: Path, torch_index: str
) -> None:
    done = set_up(clone, "run", "--torch", "cpu", "--torch-index", torch_index)
    if sys.platform == "darwin":
        assert "changes nothing on macOS" in done.stdout
        return
    assert done.returncode == 0, done.stderr
    assert (version(clone, "torch"), version(clone, "tiny")) == ("1.0+cpu", "1.0")
    assert f"without hashes: for torch and torchvision pip takes what {torch_index}" in done.stdout
    again = set_up(clone, "run")
    assert (again.returncode, again.stdout) == (0, "")


@pytest.mark.slow
def test_a_file_of_another_hash_is_refused_and_the_next_try_begins_anew(clone: Path) -> None:
    lock = (clone / "requirements.lock").read_text()
    (clone / "requirements.lock").write_text(lock[:-8] + "0000000\n")
    done = set_up(clone, "run")
    assert done.returncode == 2
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("failed; why, it says above")
    (clone / "requirements.lock").write_text(lock)
    assert set_up(clone, "run").returncode == 0
    assert version(clone, "tiny") == "1.0"


def test_what_a_link_points_to_is_left_alone(clone: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (clone / ".venv").symlink_to(elsewhere)
    done = set_up(clone, "run")
    assert done.returncode == 2
    assert done.stderr.startswith(f".venv is a link to {elsewhere}, which lacks")
    assert set_up(clone, "remove").returncode == 0
    assert not (clone / ".venv").is_symlink()
    assert list(elsewhere.iterdir()) == [elsewhere / "precious"]


def test_a_link_to_an_environment_with_what_is_pinned_is_used(clone: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((clone / "requirements.lock").read_bytes()).hexdigest()
    (tmp_path / "elsewhere" / "bin").mkdir(parents=True)
    (tmp_path / "elsewhere" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "elsewhere" / "installed").write_text(f"default {digest}")
    (clone / ".venv").symlink_to(tmp_path / "elsewhere")
    assert set_up(clone, "run").returncode == 0
    assert set_up(clone, "development").returncode == 2
    (tmp_path / "elsewhere" / "bin" / "python").unlink()
    assert set_up(clone, "run").returncode == 2, "its Python is gone"


def test_a_folder_that_make_did_not_make_is_left_alone(clone: Path) -> None:
    (clone / ".venv").mkdir()
    (clone / ".venv" / "precious").touch()
    done = set_up(clone, "run")
    assert done.returncode == 2
    assert done.stderr.startswith(".venv was not made by make, which leaves it alone")
    kept = set_up(clone, "remove")
    assert (kept.returncode, kept.stdout) == (0, ".venv stays: it was not made by make\n")
    assert (clone / ".venv" / "precious").exists()


def test_an_index_that_cannot_be_reached_is_named_in_a_sentence(clone: Path) -> None:
    index = "http://127.0.0.1:9"
    done = set_up(clone, "run", "--torch", "cpu", "--torch-index", index)
    if sys.platform == "darwin":
        return
    assert done.returncode == 2
    assert done.stderr.startswith(f"TORCH=cpu takes torch from {index}, which cannot be reached")
    assert "\n" not in done.stderr.rstrip("\n")
    assert not (clone / ".venv").exists()


def test_another_torch_is_refused(clone: Path) -> None:
    done = set_up(clone, "run", "--torch", "gpu")
    assert (done.returncode, done.stderr) == (2, "TORCH=gpu: allowed are cpu and default\n")


def test_the_lock_files_pin_the_same_versions() -> None:
    pins = {name: _pins(name) for name in (*LOCKS, "requirements-torch-cpu.lock")}
    everything = pins["requirements.lock"]
    for name in LOCKS[1:]:
        both = everything.keys() & pins[name].keys()
        assert both
        assert {key: pins[name][key] for key in both} == {key: everything[key] for key in both}
    assert pins["requirements-torch-cpu.lock"] == {
        key: {f"{version}+cpu" for version in everything[key]} for key in ("torch", "torchvision")
    }
    tools = pins["requirements-development.lock"]
    for target in ("executorch", "litert"):
        devices = _pins(f"requirements-{target}.lock")
        assert not devices.keys() & everything.keys()
        assert all(devices[key] == tools[key] for key in devices.keys() & tools.keys())
    missing = everything.keys() - pins["requirements-cpu.lock"].keys()
    assert {key for key in missing if not key.startswith(("nvidia-", "cuda-"))} == {
        "torch",
        "torchvision",
        "triton",
    }


def _pins(name: str) -> dict[str, set[str]]:
    """The versions of each package: more than one where they differ between Pythons."""
    pins: dict[str, set[str]] = {}
    for line in (toy.ROOT / name).read_text().splitlines():
        if "==" in line and not line.startswith("#"):
            package, _, rest = line.partition("==")
            pins.setdefault(package, set()).add(rest.split()[0])
    return pins
