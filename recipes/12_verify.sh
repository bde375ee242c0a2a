#!/usr/bin/env bash
# Step 12: verify a model on the pairs of people that it never saw.
#   DATA_DIR/TARGET.bin, MODEL=prefix,epoch  →  accuracy, WORK/results.json
# MODEL defaults to the newest checkpoint of step 11.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

newest_checkpoint MODEL "$MODELS/y1-triplet/model"
run python -u -m src.eval.verification --data-dir "$DATA_DIR" --model "$MODEL" \
    --target "$TARGET" --output "$WORK/results.json" "$@"
