import subprocess
import sys
from pathlib import Path

import toy

from slimline.quantization import int8_sensitivity_table

HEADER = "\t".join(int8_sensitivity_table.COLUMNS) + "\n"


def test_it_is_empty_unless_asked_for(pipeline: Path) -> None:
    assert (pipeline / "models" / "int8_sensitivity.tsv").read_text() == HEADER


def test_nothing_is_loaded_for_an_empty_scan(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from stages import int8_sensitivity as stage;"
        "nowhere = Path('nowhere'); stage.main(nowhere, nowhere, nowhere, Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules"
    )
    target = tmp_path / "int8_sensitivity.tsv"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=toy.ROOT, check=True)
    assert target.read_text() == HEADER
