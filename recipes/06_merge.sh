#!/usr/bin/env bash
# Step 6: merge the sets into one.
#   WORK/part_1, WORK/part_2, …  →  DATA_DIR/train.rec, train.idx, property
# With MERGE_MODEL=prefix,epoch people that two sets share are found by their embeddings and kept
# once; without a model all are kept.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

sets=$WORK/part_1
for ((part = 2; part <= PARTS; part++)); do sets=$sets,$WORK/part_$part; done
if [ -n "${MERGE_MODEL:-}" ]; then same=(--model "$MERGE_MODEL"); else same=(--model '' --param1 0); fi
run python -u -m src.data.dataset_merge --include "$sets" --output "$DATA_DIR" "${same[@]}" "$@"
