"""Models on another machine: this one, reached by a stand-in for ssh, and by a real server."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import other_machine
import pytest
import tiny_model
import toy
from PIL import Image

from slimline import files
from slimline.__main__ import main
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import ImageFile, ImageFiles, Split

CLASSES = ["boot", "high heel", "sandal", "slipper"]


def photos(folder: Path, pixels: np.ndarray, frame: Preprocessing) -> ImageFiles:
    folder.mkdir()
    found = []
    for number, image in enumerate(pixels):
        path = folder / f"{number}.png"
        Image.fromarray(image[..., 0]).save(path)
        found.append(ImageFile(path, path.name, files.hash_file(path), ".png"))
    return ImageFiles(found, frame)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two models, and a python3 that has what this one has."""
    toy.set_params(
        Path(shutil.copy(toy.ROOT / "params.yaml", tmp_path)).parent,
        {"benchmark.blocks": 3, "benchmark.runs": 2},
    )
    shutil.copy(toy.ROOT / "variants.yaml", tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
    frame = Preprocessing(8, 8, 1, (0.0,), (1.0,))
    split = Split(pixels, np.arange(6) % len(CLASSES), CLASSES, frame)
    split_files.save(tmp_path / "data/prepared/calibration", split)
    for name in ("baseline_train", "int8_export"):
        tiny_model.write(tmp_path / "models" / name, CLASSES)
    other_machine.stand_in(tmp_path, monkeypatch)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(told: str) -> None:
    lines = [line for line in told.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == [
        "| model",
        "| baseline_train",
        "| int8_export",
    ]
    for line in lines[1:]:
        assert line.endswith("| 0 % apart, 100 % alike |")
        assert float(line.split(" | ")[1]) > 0
        peak, base = map(int, line.split(" | ")[3].split(", "))
        assert peak >= base > 0
    assert "ONNX Runtime" in told.splitlines()[0]


def test_models_are_measured_there_and_answer_alike(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert main(["benchmark", "--host", "ssh:me"]) == 0
    check(capsys.readouterr().out)
    # ONNX Runtime itself leaves one where it runs, which is here.
    after = [path for path in sorted(folder.rglob("*")) if path.name != ".ses"]
    assert after == before, "nothing stays"


@pytest.mark.usefixtures("folder")
def test_photos_are_asked_as_arrays_are(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("data/prepared/calibration")
    split = split_files.load(path)
    assert isinstance(split.images, np.ndarray)
    images = photos(Path("photos"), split.images, split.preprocessing)
    shutil.rmtree(path)
    split_files.save(path, replace(split, images=images))
    assert main(["benchmark", "--host", "ssh:me"]) == 0
    check(capsys.readouterr().out)


@pytest.mark.usefixtures("folder")
def test_a_model_may_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--host", "ssh:me", "models/int8_export"]) == 0
    assert "| models/int8_export | " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("gone", "cannot be reached: ssh: Could not resolve hostname gone"),
        ("bare", "has no python3"),
        ("poor", "could not measure, which takes python3 with numpy and onnxruntime: Module"),
        ("mute", "answered nothing that can be read"),
        ("-oProxyCommand=touch x", "is no name of a machine"),
    ],
)
def test_what_a_machine_lacks_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], host: str, told: str
) -> None:
    assert main(["benchmark", "--host", f"ssh:{host}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"--host ssh:{host}: {told}")
    assert said.count("\n") == 1
    assert not (folder / "x").exists()


def test_a_machine_that_is_gone_is_told_whatever_was_to_be_sent(folder: Path) -> None:
    """More than a pipe holds."""
    (folder / "models/int8_export/model.onnx").write_bytes(os.urandom(2**20))
    done = subprocess.run(
        [sys.executable, "-m", "slimline", "benchmark", "--host", "ssh:gone", "models/int8_export"],
        env=os.environ | {"PYTHONPATH": str(toy.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--host ssh:gone: cannot be reached" in done.stderr


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("given", ["pi", "adb:x", "ssh:"])
def test_another_kind_of_host_is_told(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "--host", given])
    assert f"must be ssh: and the name of a machine (given {given})" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_model_that_is_not_here_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/int8_export/model.onnx").unlink()
    assert main(["benchmark", "--host", "ssh:me", "models/int8_export"]) == 2
    assert capsys.readouterr().err.startswith("models/int8_export: has no model.onnx")


SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """A real server on this machine, which lets in whoever has the key that was just made."""
    for name in ("host_key", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    other_machine.write(
        folder / "sshd_config",
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPidFile none\n"
        f'ForceCommand PATH={folder}/bin:/usr/bin:/bin; eval "$SSH_ORIGINAL_COMMAND"\n',
    )
    other_machine.write(
        folder / "ssh_config",
        f"Host device\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {folder}/key\n"
        "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n",
    )
    real = shutil.which("ssh", path="/usr/bin:/usr/local/bin:/bin")
    other_machine.write(folder / "bin/ssh", f'#!/bin/sh\nexec {real} -F {folder}/ssh_config "$@"\n')
    assert SSHD is not None
    with subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]) as running:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if running.poll() is not None:
                pytest.skip("sshd does not start for this user")
            time.sleep(0.05)
        yield "device"
        running.kill()


@pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server, sshd")
def test_over_a_real_server(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--host", f"ssh:{server}"]) == 0
    check(capsys.readouterr().out)
    assert main(["benchmark", "--host", "ssh:device-that-is-not"]) == 2
    assert "cannot be reached: ssh: Could not resolve hostname" in capsys.readouterr().err
