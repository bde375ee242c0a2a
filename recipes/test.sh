#!/usr/bin/env bash
# Installs the package if necessary and runs the tests; arguments are passed to pytest.
#   bash recipes/test.sh              the tests to run before each commit
#   bash recipes/test.sh -m slow      the slow tests
#   bash recipes/test.sh -n 0         in one process, for a debugger
#   PYTHON=python3.12 VENV=.venv312 bash recipes/test.sh
set -euo pipefail
WITH_TESTS=1
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"
cd "$repository"
# Two test processes with one thread each: with a thread per core they would compete for the cores.
# The tests of a file run in order in one process, because a recipe reads what the one before wrote.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$VENV/bin/python" -m pytest -n 2 --dist loadfile "$@"
