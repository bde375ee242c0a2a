#!/usr/bin/env bash
# Installs what is missing and runs the tests; arguments go to pytest.
#   bash recipes/test.sh              all that should pass before a commit
#   bash recipes/test.sh -m slow      the long ones
#   bash recipes/test.sh -n 0         in one process, as a debugger needs it
#   PYTHON=python3.12 VENV=.venv312 bash recipes/test.sh
set -euo pipefail
WITH_TESTS=1
. "$(dirname "${BASH_SOURCE[0]}")/install.sh"
cd "$repository"
# Two test processes: with a thread for each core they would only wait for each other. The tests of
# a file run in one process and in order: recipes read what the ones before them wrote.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$VENV/bin/python" -m pytest -n 2 --dist loadfile "$@"
