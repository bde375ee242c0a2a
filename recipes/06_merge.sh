#!/usr/bin/env bash
# Step 6: merge the training sets into one.
#   WORK/part_1, WORK/part_2, …  →  DATA_DIR/train.rec, train.idx, property
# With MERGE_MODEL=prefix,epoch, people who occur in two sets are found by their embeddings and kept
# only once. Without a model, everyone is kept.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

sets=$WORK/part_1
for ((part = 2; part <= PARTS; part++)); do sets=$sets,$WORK/part_$part; done
duplicates=(--model '' --param1 0)
[ -z "${MERGE_MODEL:-}" ] || duplicates=(--model "$MERGE_MODEL")
run python -u -m src.data.dataset_merge --include "$sets" --output "$DATA_DIR" \
    "${duplicates[@]}" "$@"
