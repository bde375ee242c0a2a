#!/usr/bin/env bash
# Step 13: one page of what was done: faces, counts, curves, ROC, table, commands.
#   WORK  →  WORK/report.html
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.eval.report --work "$WORK" --photos "$PHOTOS" --output "$WORK/report.html" "$@"
