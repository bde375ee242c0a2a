# Variables and functions of the recipes, which all source this file. A variable that is set in the
# environment overrides the default.

# With --dry-run, a recipe only prints its commands. All other arguments are appended to the command
# and override the recipe's own.
DRY_RUN=${DRY_RUN:-0}
arguments=()
for argument in "$@"; do
    if [ "$argument" = --dry-run ]; then DRY_RUN=1; else arguments+=("$argument"); fi
done
set -- ${arguments[@]+"${arguments[@]}"}

. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

# --- files and folders
WORK=${WORK:-$repository/work}                     # everything that the recipes write
PHOTOS=${PHOTOS:-$WORK/photos}                     # input: <person>/<photo>, any format and name
PHOTOS_JPG=${PHOTOS_JPG:-$WORK/photos_jpg}         # step 1: <person>/<n>.jpg
ALIGNED=${ALIGNED:-$WORK/aligned}                  # step 2: lst and the aligned faces
FACES=${FACES:-$ALIGNED/$(basename "$PHOTOS_JPG")}  # step 2: <person>/<n>.jpg, 112×112
LIST=${LIST:-$WORK/all.lst}                        # step 3: list of all aligned faces
PARTS=${PARTS:-2}                                  # step 4: number of training sets
PAIRS=${PAIRS:-$WORK/heldout.txt}                  # step 4: pairs of the people held out
DATA_DIR=${DATA_DIR:-$WORK/merged}                 # steps 6, 7: train.rec, .idx, property, *.bin
MODELS=${MODELS:-$WORK/models}                     # steps 8 to 11: one folder per run

# --- settings
SEED=${SEED:-0}
FACE=${FACE:-central}                              # which face of several; first: as in 2018
TARGET=${TARGET:-heldout}                          # names of verification sets, without .bin
HELDOUT_PEOPLE=${HELDOUT_PEOPLE:-0.1}              # share of the people held out for verification

# --- schedules
NOTE=${NOTE:-0}                                    # 1: the note's own schedules, for millions of images
# BATCH            images per batch and device     (default: 32; from 10,000 images on 128)
# MAX_STEPS        batches of steps 8 to 10        (default: 20 epochs, 90 to 200,000)
# TRIPLET_STEPS    batches of step 11              (default: a quarter of MAX_STEPS)
# TRIPLET_BAG      --triplet-bag-size of step 11   (default: 3600, or all images)

export PATH=$VENV/bin:$PATH
export WORK DRY_RUN

# run COMMAND …: prints the command, adds it to $WORK/commands.txt, and runs it.
run() {
    local word line=
    for word in "$@"; do
        [[ $word =~ ^[[:alnum:]_./,:=+-]+$ ]] || word=${word@Q}
        line="$line $word"
    done
    line=${line# }
    printf '$ %s\n' "$line" >&2
    [ "$DRY_RUN" = 1 ] && return
    mkdir -p "$WORK"
    printf '%s\n' "$line" >>"$WORK/commands.txt"
    "$@"
}

# set_newest_checkpoint NAME PREFIX: sets the variable NAME, if it is empty, to `PREFIX,epoch` of
# the newest checkpoint. In a dry run without a checkpoint, the epoch is 1.
set_newest_checkpoint() {
    local newest
    [ -n "${!1:-}" ] && return
    newest=$(ls "$2"-*.params 2>/dev/null | sort | tail -n 1) || true
    if [ -n "$newest" ]; then
        newest=${newest##*-}
        printf -v "$1" '%s,%d' "$2" "$((10#${newest%.params}))"
    elif [ "$DRY_RUN" = 1 ]; then
        printf -v "$1" '%s,1' "$2"
    else
        die "no checkpoint $2-*.params: run the previous step, or set $1=prefix,epoch"
    fi
}

# set_schedule: sets the array `schedule` to the flags of a training with classes, which ends after
# MAX_STEPS batches. The rate is in proportion to the batch, and is reduced after the same shares of
# the batches as in the note.
set_schedule() {
    schedule=()
    if [ "$NOTE" = 1 ]; then
        log "NOTE=1: the note's schedule; the training goes on until you stop it"
        return
    fi
    fit_to_set
    # The note's rate of 0.1 is for batches of 128; small ones diverge with it.
    schedule=(
        --per-batch-size "$BATCH" --max-steps "$MAX_STEPS"
        --lr "$(printf '0.%05d' "$((BATCH < 128 ? BATCH * 10000 / 128 : 10000))")"
    )
    [ "$MAX_STEPS" -lt 10 ] || schedule+=(
        --lr-steps "$((MAX_STEPS / 2)),$((MAX_STEPS * 7 / 10)),$((MAX_STEPS * 8 / 10))"
    )
    log "$MAX_STEPS batches of $BATCH for $images images; MAX_STEPS and BATCH change that, NOTE=1 is the note's schedule"
}

# set_triplet_schedule: the same for triplets, whose batches are multiples of three.
set_triplet_schedule() {
    schedule=()
    if [ "$NOTE" = 1 ]; then
        log "NOTE=1: the training goes on until you stop it"
        return
    fi
    fit_to_set
    TRIPLET_STEPS=${TRIPLET_STEPS:-$((MAX_STEPS / 4))}
    schedule=(--per-batch-size "$((BATCH / 3 * 3))" --max-steps "$TRIPLET_STEPS")
    [ -z "${TRIPLET_BAG:-}" ] || schedule+=(--triplet-bag-size "$TRIPLET_BAG")
    log "$TRIPLET_STEPS batches of $((BATCH / 3 * 3)); TRIPLET_STEPS changes that, NOTE=1 removes the limit"
}

# fit_to_set: sets `images`, BATCH and MAX_STEPS by the number of records in DATA_DIR.
fit_to_set() {
    images=0
    [ ! -e "$DATA_DIR/train.idx" ] || images=$(wc -l <"$DATA_DIR/train.idx")
    if [ -z "${BATCH:-}" ]; then
        if [ "$images" -lt 10000 ]; then BATCH=32; else BATCH=128; fi
    fi
    if [ -z "${MAX_STEPS:-}" ]; then
        MAX_STEPS=$((20 * images / BATCH))
        [ "$MAX_STEPS" -ge 90 ] || MAX_STEPS=90
        [ "$MAX_STEPS" -le 200000 ] || MAX_STEPS=200000
    fi
}
