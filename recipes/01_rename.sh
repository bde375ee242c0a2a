#!/usr/bin/env bash
# Step 1: convert photos of any format and name to RGB .jpg files with ASCII names.
#   PHOTOS/<person>/<photo>  →  PHOTOS_JPG/<person>/<n>.jpg and a table of old and new names
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

run python -u -m src.data.rename_photos --input-dir "$PHOTOS" --output-dir "$PHOTOS_JPG" "$@"
