#!/usr/bin/env bash
# Step 3: list the aligned faces, with one label per person.
#   FACES/<person>/<n>.jpg  →  LIST, with lines of the form 1 <tab> path <tab> label
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.data.glint2lst "$FACES" --output "$LIST" "$@"
