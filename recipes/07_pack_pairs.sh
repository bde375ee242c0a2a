#!/usr/bin/env bash
# Step 7: pack the verification pairs into one file.
#   PAIRS  →  DATA_DIR/heldout.bin
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.data.lfw2pack --data-dir "$FACES" --pairs "$PAIRS" \
    --image-size 112,112 --output "$DATA_DIR/heldout.bin" "$@"
