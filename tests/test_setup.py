"""setup.py: one version, and every dependency that `src` imports."""

import ast
import importlib.metadata
import subprocess
import sys

import pytest

import src

DISTRIBUTIONS = {
    "PIL": "pillow",
    "pillow_heif": "pillow-heif",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
EXTRAS = {
    "mxnet": "cpu",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "pillow_heif": "heic",
    "distributed": "dask",
}


@pytest.fixture(scope="module")
def requirements():
    """Name of a distribution → whether it is only in an extra."""
    found = {}
    for line in importlib.metadata.requires("insightface-mxnet-port"):
        name = line.replace(";", " ").replace(">", " ").replace("=", " ").replace("<", " ").split()
        found.setdefault(name[0].lower(), "extra ==" in line)
    return found


def imported_distributions(repository):
    names = set()
    for path in (repository / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"src", "__future__"}


def test_every_import_is_a_declared_dependency(repository, requirements):
    for name in imported_distributions(repository):
        distribution = DISTRIBUTIONS.get(name, name).lower()
        assert distribution in requirements, f"{name} is imported but not declared"
        assert requirements[distribution] == (name in EXTRAS), name


def test_every_required_package_is_imported(repository, requirements):
    imported = imported_distributions(repository)
    used = {DISTRIBUTIONS.get(name, name).lower() for name in imported}
    # joblib reads the weights of the package mtcnn, compressed by lz4.
    not_imported = {name for name, extra in requirements.items() if not extra} - used
    assert not_imported == {"mtcnn", "lz4"}


@pytest.mark.parametrize("extra", ["cpu", "cu112"])
def test_numpy_is_older_than_mxnet_only_in_the_extras(extra):
    """Without an extra, a newer NumPy that the user brings satisfies the requirements."""
    lines = [
        line.replace(" ", "").replace("'", '"')
        for line in importlib.metadata.requires("insightface-mxnet-port")
        if line.startswith("numpy")
    ]
    (always,) = (line for line in lines if "extra" not in line)
    (pinned,) = (line for line in lines if f'extra=="{extra}"' in line)
    assert "<2" in always
    assert "<1.24" in pinned
    assert 'python_version<"3.12"' in pinned


def test_the_version_is_in_one_place(repository):
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=repository, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == src.__version__
    assert importlib.metadata.version("insightface-mxnet-port")
    assert (repository / "src/py.typed").exists()
