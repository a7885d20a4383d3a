import subprocess
import sys
from pathlib import Path

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
        "prune_control.main(nowhere, nowhere, nowhere, nowhere, nowhere, target);"
        "assert 'torch' not in sys.modules"
    )
    target = tmp_path / "prune_control"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=toy.ROOT, check=True)
    assert (target / "model.json").is_file()
