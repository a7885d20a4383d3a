import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import toy

from slimline import files
from slimline.artifacts import model_folder
from slimline.params import RunParams
from slimline.training import determinism


def test_each_round_removes_work(pipeline: Path) -> None:
    content = files.read_json(pipeline / "models" / "prune" / "model.json")
    rounds = content["rounds"]
    assert [each["number"] for each in rounds] == [0, 1, 2]
    assert rounds[0]["macs_m"] > rounds[1]["macs_m"] > rounds[2]["macs_m"]
    assert rounds[0]["params"] > rounds[1]["params"] > rounds[2]["params"]
    macs = sum(layer["macs_after"] for layer in content["layers"])
    assert macs / 1e6 == pytest.approx(rounds[2]["macs_m"])


def test_a_fresh_process_rebuilds_the_same_model(pipeline: Path) -> None:
    folder = pipeline / "models" / "prune"
    code = (
        "import sys, hashlib, torch; from pathlib import Path;"
        "from slimline.artifacts import model_folder; from slimline.params import RunParams;"
        "from slimline.training import determinism;"
        "determinism.start(RunParams(seed=0, num_threads=1, processes=1));"
        "model = model_folder.load(Path(sys.argv[1])); torch.manual_seed(0);"
        "print(hashlib.sha256(model.network(torch.randn(3, 1, 28, 28))"
        ".detach().numpy().tobytes()).hexdigest())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=toy.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    determinism.start(RunParams(seed=0, num_threads=1, processes=1))
    model = model_folder.load(folder)
    torch.manual_seed(0)
    own = model.network(torch.randn(3, 1, 28, 28)).detach().numpy().tobytes()
    assert printed.strip() == hashlib.sha256(own).hexdigest()
