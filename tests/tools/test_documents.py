import json
import subprocess
import sys
from pathlib import Path

import toy


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/documents.py", "--check"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_generated_parts_are_fresh() -> None:
    done = check(toy.ROOT)
    assert done.returncode == 0, done.stderr


def test_the_table_is_stale_by_what_is_committed_not_by_what_a_run_wrote(tmp_path: Path) -> None:
    toy.git(toy.ROOT, "clone", "--quiet", "--shared", str(toy.ROOT), str(tmp_path / "clone"))
    clone = tmp_path / "clone"
    toy.git(clone, "config", "user.email", "toy@example.org")
    toy.git(clone, "config", "user.name", "Toy")
    path = clone / "metrics" / "evaluate" / "int8_export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"top1": 12.34}))
    assert "README.md" not in check(clone).stderr
    toy.commit(clone, "Commit metrics without the table")
    assert "README.md" in check(clone).stderr
    subprocess.run([sys.executable, "tools/documents.py"], cwd=clone, check=True)
    assert "README.md" not in check(clone).stderr
    assert "12.34 %" in (clone / "README.md").read_text()
