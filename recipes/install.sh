# Makes the virtual environment and installs the package; sourced by quickstart.sh, test.sh and
# env.sh. Later calls find it made and return at once.
#
#   PYTHON   the interpreter to build on       (default: the first 3.11, 3.10 or 3.12 found)
#   VENV     where the environment lies        (default: .venv in the repository)
#   EXTRAS   cpu or cu112, and dev for tests   (default: cu112 where an NVIDIA driver is, else cpu)

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${VENV:-$repository/.venv}

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

fitting_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
        >/dev/null 2>&1
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        fitting_python "$PYTHON" && { echo "$PYTHON"; return; }
        die "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 with venv and ensurepip"
    fi
    for candidate in python3.11 python3.10 python3.12 python3 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1{1,0,2}.*/bin/python; do
        fitting_python "$candidate" && { echo "$candidate"; return; }
    done
    die "no Python 3.10, 3.11 or 3.12 with venv was found. One of these brings it:
  apt-get install python3.11 python3.11-venv   (Debian 12; Ubuntu 24.04 has python3.12)
  dnf install python3.11                       (Fedora, RHEL)
  pyenv install 3.11   or   uv python install 3.11
then run again, with PYTHON=/path/to/python if it is not on the PATH."
}

default_extras() {
    if ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then echo cu112; else echo cpu; fi
}

# opencv-python wants libGL; the headless build of the same version is the same cv2 without it.
mend_opencv() {
    local problem version
    problem=$("$VENV/bin/python" -c 'import cv2' 2>&1) && return
    case $problem in
        *libGL* | *libgthread* | *libglib* | *libSM* | *libXext*) ;;
        *) die "import cv2 fails: $problem" ;;
    esac
    version=$("$VENV/bin/pip" show opencv-python | sed -n 's/^Version: //p')
    say "libGL is missing (apt-get install libgl1 libglib2.0-0): taking opencv-python-headless $version"
    "$VENV/bin/pip" uninstall -q -y opencv-python
    "$VENV/bin/pip" install -q "opencv-python-headless==$version"
    "$VENV/bin/python" -c 'import cv2' || die "import cv2 still fails"
}

# What is installed already, as written by install_package; nothing if setup.py has changed since.
installed_extras() { cat "$VENV/installed-$(cksum <"$repository/setup.py" | cut -d' ' -f1)" 2>/dev/null || true; }

install_package() {
    local extras installed python
    installed=$(installed_extras)
    extras=${EXTRAS:-${installed:-$(default_extras)}}
    if [ "${WITH_TESTS:-0}" = 1 ] && [[ ,$extras, != *,dev,* ]]; then extras=$extras,dev; fi
    [ "$extras" != "$installed" ] || return 0
    python=$(find_python) || exit 1
    say "installing into $VENV with $("$python" --version 2>&1) [$extras]"
    [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check -e "$repository[$extras]" ||
        die "the installation failed; the lines above say why. It needs to reach PyPI."
    mend_opencv
    "$VENV/bin/python" -c 'from src.common.mxnet_backend import mx; mx.nd.ones(1).asnumpy()' ||
        die "MXNet does not start; the line above says why"
    rm -f "$VENV"/installed-*
    printf '%s' "$extras" >"$VENV/installed-$(cksum <"$repository/setup.py" | cut -d' ' -f1)"
}

install_package
