#!/usr/bin/env bash
# Step 13: write a one-page report: faces, counts, training curves, accuracy, ROC, commands.
#   WORK  →  WORK/report.html
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.eval.report --work "$WORK" --photos "$PHOTOS" --output "$WORK/report.html" "$@"
