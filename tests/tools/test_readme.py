import subprocess
import sys

import toy


def test_the_result_table_is_that_of_the_committed_metrics() -> None:
    command = [sys.executable, "tools/readme.py", "--check"]
    done = subprocess.run(command, cwd=toy.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
