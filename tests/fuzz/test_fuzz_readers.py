"""Some mutated files for every reader; `FUZZ_CASES=1000` for more of them."""

import os
import subprocess
import sys

import pytest


@pytest.mark.timeout(int(os.environ.get("FUZZ_CASES", "500")) // 5 + 300)
def test_mutated_files_are_read_or_rejected(repository):
    script = os.path.join(os.path.dirname(__file__), "fuzz_readers.py")
    command = [sys.executable, script, "--cases", os.environ.get("FUZZ_CASES", "500")]
    done = subprocess.run(
        command, cwd=repository, capture_output=True, text=True, errors="replace",
        env={**os.environ, "PYTHONPATH": str(repository)},
    )  # fmt: skip
    # The last lines name the case: a crash or a hang (SIGALRM) ends the process after its line.
    assert done.returncode == 0, f"status {done.returncode}: {done.stdout[-3000:]}"
