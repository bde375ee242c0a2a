#!/usr/bin/env bash
# Step 11: fine-tune MobileFaceNet with the triplet loss.
#   DATA_DIR, PRETRAINED=prefix,epoch  →  MODELS/y1-triplet/model-*.params
# PRETRAINED defaults to the newest checkpoint of step 10.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

set_newest_checkpoint PRETRAINED "$MODELS/y1-arcface/model"
set_triplet_schedule
run python -u -m src.train_triplet --data-dir "$DATA_DIR" --prefix "$MODELS/y1-triplet/model" \
    --network y1 --emb-size 128 --version-output GNAP --lr 0.005 --pretrained "$PRETRAINED" \
    ${schedule[@]+"${schedule[@]}"} \
    --seed "$SEED" --target "$TARGET" --log-file "$MODELS/y1-triplet/train.log" "$@"
