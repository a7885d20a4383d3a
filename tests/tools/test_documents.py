import subprocess
import sys

import toy


def test_generated_parts_are_fresh() -> None:
    command = [sys.executable, "tools/documents.py", "--check"]
    done = subprocess.run(command, cwd=toy.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
