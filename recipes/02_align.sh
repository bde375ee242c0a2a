#!/usr/bin/env bash
# Step 2: find the face in each photo and align it to the 112×112 template.
#   PHOTOS_JPG/<person>/<n>.jpg  →  FACES/<person>/<n>.jpg and ALIGNED/lst
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.align.align_megaface \
    --input-dir "$PHOTOS_JPG" --name webface --face "$FACE" --output-dir "$ALIGNED" "$@"
