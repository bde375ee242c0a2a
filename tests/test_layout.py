"""What CONTRIBUTING says of the layout, held by machine."""

import ast
import re
import subprocess
import sys

import pytest

# commands → training → eval, iterators, align, data → common, symbols
LEVELS = {
    "src.symbols.__main__": 3,
    "src.common": 0,
    "src.symbols": 0,
    "src.align": 1,
    "src.data": 1,
    "src.eval": 1,
    "src.onnx_model": 1,
    "src.image_iter": 1,
    "src.triplet_image_iter": 1,
    "src.training": 2,
    "src.train_softmax": 3,
    "src.train_triplet": 3,
    "src.export": 3,
}


def modules(repository):
    for path in sorted((repository / "src").rglob("*.py")):
        yield ".".join(path.relative_to(repository).with_suffix("").parts), path


def level(module):
    return next((LEVELS[key] for key in LEVELS if (module + ".").startswith(key + ".")), None)


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module


def test_imports_go_down_only(repository):
    wrong = []
    for module, path in modules(repository):
        if module in ("src.__init__",):
            continue
        assert level(module) is not None, f"{module} has no place in the layout"
        wrong += [
            f"{module} imports {name}"
            for name in imported_modules(path)
            if name.startswith("src.") and level(name) > level(module)
        ]
    assert not wrong


def test_mxnet_is_imported_in_one_place(repository):
    direct = [
        module
        for module, path in modules(repository)
        if any(name.split(".")[0] == "mxnet" for name in imported_modules(path))
    ]
    assert direct == ["src.common.mxnet_backend"]


def test_no_module_hides_one_of_python_or_of_a_dependency(repository):
    """`cd src && python train_softmax.py` puts that folder first on the path."""
    others = set(sys.stdlib_module_names) | {"mxnet", "numpy", "cv2", "sklearn", "skimage", "PIL"}
    others |= {"easydict", "joblib", "tqdm", "scipy", "mtcnn", "matplotlib"}
    names = {path.stem for _, path in modules(repository)} - {"__init__"}
    names |= {path.name for path in (repository / "src").iterdir() if path.is_dir()}
    assert not names & others


def test_no_file_is_beyond_reading(repository):
    long = [
        f"{path.relative_to(repository)}: {count} lines"
        for _, path in modules(repository)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert not long


def test_nothing_tells_of_a_machine(repository):
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.split()
    pattern = re.compile(r"/(?:root|home/\w+|opt/\w+)/|\bfiles\.pythonhosted\b")
    found = []
    for name in tracked:
        path = repository / name
        if path.suffix in (".py", ".sh", ".md", ".toml", ".txt") and path != __file__:
            text = path.read_text(encoding="utf-8")
            found += [f"{name}: {match[0]}" for match in pattern.finditer(text)]
    assert not [line for line in found if not line.startswith("tests/test_layout.py")]


@pytest.mark.parametrize("name", ["src.eval.verification", "src.common.devices"])
def test_importing_prints_and_configures_nothing(name):
    script = f"import logging, {name}; print(logging.getLogger().handlers)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    assert done.stderr == ""
