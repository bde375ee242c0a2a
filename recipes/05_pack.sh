#!/usr/bin/env bash
# Step 5: pack the images of each list into a record file.
#   WORK/part_i/train.lst  →  WORK/part_i/train.rec, train.idx
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

for ((part = 1; part <= PARTS; part++)); do
    run python -u -m src.data.face2rec2 "$WORK/part_$part" "$@"
done
