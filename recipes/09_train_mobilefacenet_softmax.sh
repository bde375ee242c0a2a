#!/usr/bin/env bash
# Step 9: train the training note's second network, MobileFaceNet; first stage, plain softmax.
#   DATA_DIR  →  MODELS/y1-softmax/model-*.params
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

set_schedule
run python -u -m src.train_softmax --data-dir "$DATA_DIR" --prefix "$MODELS/y1-softmax/model" \
    --network y1 --loss-type 0 \
    --emb-size 128 --fc7-wd-mult 10.0 --wd 0.00004 --version-output GNAP --ckpt 2 \
    --lr-steps 100000,140000,160000 ${schedule[@]+"${schedule[@]}"} \
    --seed "$SEED" --target "$TARGET" --log-file "$MODELS/y1-softmax/train.log" "$@"
