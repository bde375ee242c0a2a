# Variables and functions of the recipes, which all source this file. A variable that is set in the
# environment overrides the default.

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

export PATH=$VENV/bin:$PATH

# With --dry-run, a recipe only prints its commands. All other arguments are appended to the command
# and override the recipe's own.
DRY_RUN=${DRY_RUN:-0}
arguments=()
for argument in "$@"; do
    if [ "$argument" = --dry-run ]; then DRY_RUN=1; else arguments+=("$argument"); fi
done
set -- ${arguments[@]+"${arguments[@]}"}
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
