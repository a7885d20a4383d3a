import subprocess
import sys
from pathlib import Path

import pytest
import toy

from slimline import files


def test_there_is_no_model_unless_asked_for(pipeline: Path) -> None:
    folder = pipeline / "models" / "prune_control"
    assert [path.name for path in folder.iterdir()] == ["model.json"]
    assert files.read_json(folder / "model.json") == {}


def test_nothing_is_loaded_for_no_control(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from stages import prune_control;"
        "nowhere = Path('nowhere'); target = Path(sys.argv[1]);"
        "prune_control.main(nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, target);"
        "assert 'torch' not in sys.modules"
    )
    target = tmp_path / "prune_control"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=toy.ROOT, check=True)
    assert (target / "model.json").is_file()


@pytest.mark.slow
def test_it_has_as_many_rounds_as_the_pruned_model_kept(pipeline: Path, tmp_path: Path) -> None:
    """Two of three: what was undone is no training that the product has."""
    folder = toy.clone(pipeline, tmp_path / "clone")
    toy.set_params(folder, {"prune_control.train": True, "prune.steps": 3, "prune.max_drop": 0})
    pruned = folder / "models/prune/model.json"
    told = files.read_json(pruned)
    whole, one = told["rounds"][:2]
    rounds = [one | {"number": number, "is_kept": number < 3} for number in (1, 2, 3)]
    pruned.unlink()  # else the cache would have it too
    files.write_json(pruned, told | {"rounds": [whole, *rounds]})
    models, prepared = Path("models"), Path("data/prepared")
    folders = [models / name for name in ("prune", "backbone_swap", "baseline_train")]
    folders += [prepared / split for split in ("train", "calibration", "validation")]
    target = Path("control")
    toy.run_command(folder, "-m", "stages.prune_control", *map(str, [*folders, target]))
    rounds = files.read_json(folder / target / "model.json")["rounds"]
    numbers = [(each["number"], each["is_kept"]) for each in rounds]
    assert numbers == [(0, True), (1, True), (2, True)]
