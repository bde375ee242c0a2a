# Variables and helpers of all recipes; sourced by each. Every variable can be set from outside.

. "$(dirname "${BASH_SOURCE[0]}")/install.sh"

# --- where things lie
WORK=${WORK:-$repository/work}                     # everything that the recipes write
PHOTOS=${PHOTOS:-$WORK/photos}                     # <person>/<photo>, any format and name
PHOTOS_JPG=${PHOTOS_JPG:-$WORK/photos_jpg}         # step 1: <person>/<n>.jpg
ALIGNED=${ALIGNED:-$WORK/aligned}                  # step 2: lst, and below it
FACES=${FACES:-$ALIGNED/$(basename "$PHOTOS_JPG")}  #         <person>/<n>.jpg, 112×112
LIST=${LIST:-$WORK/all.lst}                        # step 3
PARTS=${PARTS:-2}                                  # step 4: sets that the people are dealt into
PAIRS=${PAIRS:-$WORK/heldout.txt}                  # step 4: pairs of people kept out of training
DATA_DIR=${DATA_DIR:-$WORK/merged}                 # step 7: train.rec .idx property, *.bin
MODELS=${MODELS:-$WORK/models}                     # steps 8 to 11: one folder a run

# --- how the work is done
SEED=${SEED:-0}
FACE=${FACE:-central}                              # of several faces in a photo; first: as in 2018
TARGET=${TARGET:-heldout}                          # verification sets, without .bin
HELDOUT_PEOPLE=${HELDOUT_PEOPLE:-0.1}              # share of the people kept for verification

export PATH=$VENV/bin:$PATH

# --dry-run among a recipe's arguments: print the commands, run nothing. All other arguments are
# handed to the command as they are and win over the recipe's own.
DRY_RUN=${DRY_RUN:-0}
more=()
for argument in "$@"; do
    if [ "$argument" = --dry-run ]; then DRY_RUN=1; else more+=("$argument"); fi
done
set -- ${more[@]+"${more[@]}"}
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

# newest_checkpoint NAME PREFIX: sets the variable NAME, if it is empty, to the newest `PREFIX,epoch`
# (to `PREFIX,1` in a dry run where there is none yet).
newest_checkpoint() {
    local newest
    [ -n "${!1:-}" ] && return
    newest=$(ls "$2"-*.params 2>/dev/null | sort | tail -n 1) || true
    if [ -n "$newest" ]; then
        newest=${newest##*-}
        printf -v "$1" '%s,%d' "$2" "$((10#${newest%.params}))"
    elif [ "$DRY_RUN" = 1 ]; then
        printf -v "$1" '%s,1' "$2"
    else
        die "no checkpoint $2-*.params: run the step before, or set $1=prefix,epoch"
    fi
}
