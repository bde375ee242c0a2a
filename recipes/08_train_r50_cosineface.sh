#!/usr/bin/env bash
# Step 8: train the training note's first network, ResNet-50 with the CosineFace loss.
#   DATA_DIR  →  MODELS/r50-cosineface/model-*.params
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

set_schedule
run python -u -m src.train_softmax --data-dir "$DATA_DIR" --prefix "$MODELS/r50-cosineface/model" \
    --network r50 --loss-type 2 --margin-m 0.35 ${schedule[@]+"${schedule[@]}"} \
    --seed "$SEED" --target "$TARGET" --log-file "$MODELS/r50-cosineface/train.log" "$@"
