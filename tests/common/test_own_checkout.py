"""Files used by their path, as in 2018, belong to the checkout that they lie in.

Another one is installed here, and the current folder has an unrelated package `src`.
"""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = "if not __package__:  # used by its path: the `src` that it lies in comes first\n"


@pytest.fixture(scope="module")
def copy(repository, tmp_path_factory):
    """A second checkout, whose package says so when it is imported."""
    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(repository / "src", folder / "src")
    with open(folder / "src" / "__init__.py", "a") as file:
        file.write('print("of the copy")\n')
    return folder


@pytest.fixture
def foreign(tmp_path):
    """The current folder: a project with its own `src`."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "__init__.py").write_text('print("foreign")\n')
    return tmp_path


def output(arguments, folder):
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "script",
    ["train_softmax.py", "train_triplet.py", "data/face2rec2.py", "data/glint2lst.py",
     "data/dataset_merge.py", "align/align_megaface.py", "eval/verification.py"],
)  # fmt: skip
def test_a_script_uses_its_own_checkout(copy, foreign, script):
    path = copy / "src" / script
    for folder in (foreign, path.parent):
        assert output([path, "--help"], folder).startswith("of the copy\nusage: ")


@pytest.mark.parametrize(
    ("folder", "name"),
    [("", "image_iter"), ("common", "face_image"), ("common", "face_preprocess"),
     ("align", "detect_face"), ("eval", "verification"), ("symbols", "fresnet")],
)  # fmt: skip
def test_a_module_on_the_path_uses_its_own_checkout(copy, foreign, folder, name):
    program = f"import sys; sys.path.append({str(copy / 'src' / folder)!r}); import {name}; "
    assert output(["-c", f"{program}print({name}.__name__)"], foreign / "src").splitlines() == [
        "of the copy", name,
    ]  # fmt: skip


def test_every_such_file_has_the_block(repository):
    """Commands, and the modules that 2018 code puts on its path; others never run like this."""
    without = []
    for path in sorted((repository / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        is_command = any(
            isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
            for node in ast.parse(text).body
        )
        if is_command and path.name != "__main__.py" and BLOCK not in text:
            without.append(path.relative_to(repository))
    assert without == []
    assert BLOCK in (Path(repository) / "src" / "common" / "face_image.py").read_text()
