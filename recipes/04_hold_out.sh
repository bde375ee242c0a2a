#!/usr/bin/env bash
# Step 4: hold out some people for verification and divide the others into training sets.
#   LIST  →  WORK/part_1/train.lst and property, WORK/part_2/…, and PAIRS
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.data.hold_out "$LIST" --output "$WORK" --pairs "$PAIRS" \
    --people "$HELDOUT_PEOPLE" --parts "$PARTS" --seed "$SEED" "$@"
