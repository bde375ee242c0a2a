#!/usr/bin/env bash
# Step 10: second stage of MobileFaceNet, ArcFace loss, from a checkpoint of the first stage.
#   DATA_DIR, PRETRAINED=prefix,epoch  →  MODELS/y1-arcface/model-*.params
# PRETRAINED defaults to the newest checkpoint of step 9; none starts from random weights.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

set_newest_checkpoint PRETRAINED "$MODELS/y1-softmax/model"
[ "$PRETRAINED" != none ] || PRETRAINED=
set_schedule
run python -u -m src.train_softmax --data-dir "$DATA_DIR" --prefix "$MODELS/y1-arcface/model" \
    --network y1 --loss-type 4 \
    --emb-size 128 --fc7-wd-mult 10.0 --wd 0.00004 --version-output GNAP --ckpt 2 \
    --lr-steps 100000,140000,160000 --pretrained "$PRETRAINED" ${schedule[@]+"${schedule[@]}"} \
    --seed "$SEED" --target "$TARGET" --log-file "$MODELS/y1-arcface/train.log" "$@"
