from pathlib import Path

import toy

from stages import code


def test_a_file_for_each_stage_that_waits_for_it(tmp_path: Path) -> None:
    code.main(toy.ROOT / "stages", toy.ROOT / "params.yaml", tmp_path / "code")
    found = {path.stem: path.read_text() for path in (tmp_path / "code").iterdir()}
    scripts = {path.stem for path in (toy.ROOT / "stages").glob("*.py")}
    assert set(found) == scripts - {"__init__", "code", "validate_params"}
    for name, text in found.items():
        assert f"  stages/{name}.py\n" in text
    assert "slimline/networks/families/shallow_resnet.py" in found["baseline_train"]
    assert "shufflenet" not in found["baseline_train"]
    assert "slimline/pruning/methods/taylor.py" not in found["prune"]
    assert "slimline/report/templates/report.html.jinja2" in found["report"]
