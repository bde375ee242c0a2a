#!/usr/bin/env bash
# Step 4: keep some people out of training, for verification; deal the others into sets.
#   LIST  →  WORK/part_1/train.lst, property …  and PAIRS
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.data.hold_out "$LIST" --output "$WORK" --pairs "$PAIRS" \
    --people "$HELDOUT_PEOPLE" --parts "$PARTS" --seed "$SEED" "$@"
