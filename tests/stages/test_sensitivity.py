import subprocess
import sys
from pathlib import Path

import toy


def test_it_is_empty_unless_asked_for(pipeline: Path) -> None:
    written = (pipeline / "models" / "sensitivity.tsv").read_text()
    assert written == "layers\tshare\ttop1\tlost\tlost_recall\n"
    assert (pipeline / "metrics" / "history" / "sensitivity.tsv").read_text() == written


def test_nothing_is_loaded_for_an_empty_scan(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from stages import sensitivity;"
        "nowhere = Path('nowhere'); sensitivity.main(nowhere, nowhere, nowhere, Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules"
    )
    target = tmp_path / "sensitivity.tsv"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=toy.ROOT, check=True)
    assert target.read_text().startswith("layers\t")
