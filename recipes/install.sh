# Creates the virtual environment and installs the package, unless that is already done. Sourced by
# env.sh, test.sh and .ci/run.
#
#   PYTHON       interpreter for the environment     (default: the first 3.11, 3.10 or 3.12 found)
#   VENV         folder of the environment           (default: .venv in the repository)
#   EXTRAS       cpu or cu112, with ,dev for tests   (default: the ones already installed, or cu112
#                if there is an NVIDIA driver, otherwise cpu)
#   WITH_TESTS   1 adds dev to EXTRAS                (default: 0)

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$repository/.venv}

log() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

is_supported_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
        >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        is_supported_python "$PYTHON" && { echo "$PYTHON"; return; }
        die "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 with venv and ensurepip; set PYTHON to one, or unset it"
    fi
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
# installed instead: the same cv2 without that dependency.
ensure_opencv() {
    local problem version
    problem=$("$VENV/bin/python" -c 'import cv2' 2>&1) && return
    case $problem in
        *libGL* | *libgthread* | *libglib* | *libSM* | *libXext*) ;;
        *) die "import cv2 fails: $problem" ;;
    esac
    version=$("$VENV/bin/pip" show opencv-python | sed -n 's/^Version: //p')
    log "libGL is missing (apt-get install libgl1 libglib2.0-0): installing opencv-python-headless $version"
    "$VENV/bin/pip" uninstall -q -y opencv-python
    "$VENV/bin/pip" install -q "opencv-python-headless==$version"
    "$VENV/bin/python" -c 'import cv2' || die "import cv2 still fails"
}

# Path of the file that contains the installed extras. The name depends on setup.py, so that the
# package is installed again when setup.py changes.
installed_path() { echo "$VENV/installed-$(cksum <"$repository/setup.py" | cut -d' ' -f1)"; }

install_package() {
    local extras installed python
    installed=$(cat "$(installed_path)" 2>/dev/null || true)
    extras=${EXTRAS:-${installed:-$(detect_extras)}}
    if [ "${WITH_TESTS:-0}" = 1 ] && [[ ,$extras, != *,dev,* ]]; then extras=$extras,dev; fi
    [ "$extras" != "$installed" ] || return 0
    python=$(find_python) || exit 1
    log "installing into $VENV with $("$python" --version 2>&1) [$extras]"
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check -e "$repository[$extras]" ||
        die "the installation failed, see the lines above; it needs access to PyPI"
    ensure_opencv
    "$VENV/bin/python" -c 'from src.common.mxnet_backend import mx; mx.nd.ones(1).asnumpy()' ||
        die "MXNet does not start, see the lines above"
    rm -f "$VENV"/installed-*
    printf '%s' "$extras" >"$(installed_path)"
}

install_package
