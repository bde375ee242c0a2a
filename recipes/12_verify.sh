#!/usr/bin/env bash
# Step 12: verify a model on pairs of people who were not in its training set.
#   DATA_DIR/TARGET.bin, MODEL=prefix,epoch  →  accuracy on stdout, WORK/results.json
# MODEL defaults to the newest checkpoint of step 11.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

set_newest_checkpoint MODEL "$MODELS/y1-triplet/model"
run python -u -m src.eval.verification --data-dir "$DATA_DIR" --model "$MODEL" \
    --target "$TARGET" --output "$WORK/results.json" "$@"
