# Creates the virtual environment and installs the package, unless that is already done. Sourced by
# env.sh, test.sh and .ci/run.
#
#   PYTHON       interpreter for the environment     (default: the first 3.11, 3.10 or 3.12 found)
#   VENV         folder of the environment           (default: the activated one, if it has this
#                package; otherwise .venv in the repository)
#   EXTRAS       cpu or cu112, with ,dev for tests   (default: the ones already installed, or cu112
#                if there is an NVIDIA driver, otherwise cpu)
#   WITH_TESTS   1 adds dev to EXTRAS                (default: 0)

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DRY_RUN=${DRY_RUN:-0}

log() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Whether an environment has the package of this repository.
has_package() {
    [ -x "$1/bin/python" ] || return 1
    (cd / && "$1/bin/python" -c 'import os, sys, src
sys.exit(not os.path.samefile(os.path.join(src.__path__[0], ".."), sys.argv[1]))' "$repository") \
        >/dev/null 2>&1
}

if [ -z "${VENV:-}" ]; then
    VENV=$repository/.venv
    for active in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
        if [ -n "$active" ] && has_package "$active"; then
            VENV=$active
            break
        fi
    done
fi

is_supported_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
        >/dev/null 2>&1
}

check_python() {
    local version wanted
    [ -n "${PYTHON:-}" ] || return 0
    is_supported_python "$PYTHON" ||
        die "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 with venv and ensurepip; set PYTHON to one, or unset it"
    [ -x "$VENV/bin/python" ] || return 0
    version=$("$VENV/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    wanted=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [ "$version" = "$wanted" ] ||
        die "PYTHON=$PYTHON is Python $wanted, but $VENV has $version: set VENV to another folder, or unset PYTHON"
}

find_python() {
    local candidate
    [ -z "${PYTHON:-}" ] || { echo "$PYTHON"; return; }
    for candidate in python3.11 python3.10 python3.12 python3 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1{1,0,2}.*/bin/python; do
        is_supported_python "$candidate" && { echo "$candidate"; return; }
    done
    die "no Python 3.10, 3.11 or 3.12 with venv was found; install one, for example with
  apt-get install python3.11 python3.11-venv   (Debian 12; Ubuntu 24.04 has python3.12)
  dnf install python3.11                       (Fedora, RHEL)
  pyenv install 3.11   or   uv python install 3.11
Then rerun, with PYTHON=/path/to/python if it is not on the PATH."
}

detect_extras() {
    if ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then echo cu112; else echo cpu; fi
}

# opencv-python needs libGL. If that is missing, opencv-python-headless of the same version is
# installed instead: the same cv2 without that dependency. Both packages own the folder cv2, so both
# are removed first, and the other one is installed completely.
ensure_opencv() {
    local problem version
    problem=$("$VENV/bin/python" -c 'import cv2' 2>&1) && return
    case $problem in
        *libGL* | *libgthread* | *libglib* | *libSM* | *libXext*) ;;
        *) die "import cv2 fails: $problem" ;;
    esac
    version=$("$VENV/bin/pip" show opencv-python | sed -n 's/^Version: //p')
    log "libGL is missing (apt-get install libgl1 libglib2.0-0): installing opencv-python-headless $version"
    "$VENV/bin/pip" uninstall -q -y opencv-python opencv-python-headless
    "$VENV/bin/pip" install -q --force-reinstall --no-deps "opencv-python-headless==$version"
    "$VENV/bin/python" -c 'import cv2' || die "import cv2 still fails"
}

# Path of the file that contains the installed extras. The name depends on setup.py, so that the
# package is installed again when setup.py changes.
installed_path() { echo "$VENV/installed-$(cksum <"$repository/setup.py" | cut -d' ' -f1)"; }

install_package() {
    local extras installed python
    check_python
    [ "$DRY_RUN" != 1 ] || return 0
    installed=$(cat "$(installed_path)" 2>/dev/null || true)
    if [ -z "${EXTRAS:-}" ] && ! compgen -G "$VENV/installed-*" >/dev/null && has_package "$VENV"; then
        # Somebody has installed it by hand, with the extras of their choice.
        [ "${WITH_TESTS:-0}" != 1 ] || "$VENV/bin/python" -c 'import pytest, xdist' 2>/dev/null ||
            die "$VENV has no pytest: pip install -e '.[cpu,dev]' (or cu112,dev)"
        return 0
    fi
    extras=${EXTRAS:-${installed:-$(detect_extras)}}
    if [ "${WITH_TESTS:-0}" = 1 ] && [[ ,$extras, != *,dev,* ]]; then extras=$extras,dev; fi
    [ "$extras" != "$installed" ] || return 0
    [ -w "$repository" ] ||
        die "$repository is read-only: copy it to a folder where you may write, or set VENV to an environment that has this package"
    python=$(find_python) || exit 1
    log "installing into $VENV with $("$python" --version 2>&1) [$extras]"
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check -e "$repository[$extras]" ||
        die "the installation failed, see the lines above. It needs PyPI: behind a proxy set HTTPS_PROXY; for a mirror, PIP_INDEX_URL; for a folder of wheels (a wheelhouse), PIP_NO_INDEX=1 PIP_FIND_LINKS=folder"
    ensure_opencv
    "$VENV/bin/python" -c 'from src.common.mxnet_backend import mx; mx.nd.ones(1).asnumpy()' ||
        die "MXNet does not start, see the lines above"
    rm -f "$VENV"/installed-*
    printf '%s' "$extras" >"$(installed_path)"
}

install_package
