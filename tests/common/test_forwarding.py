"""2018's modules that forward to the code's new place, used as third-party code uses them."""

import importlib
import re
import subprocess
import sys

import pytest

NAMES = {
    "face_image": [
        "load_property",
        "get_dataset",
        "get_dataset_common",
        "get_dataset_webface",
        "get_dataset_celeb",
        "get_dataset_facescrub",
        "get_dataset_megaface",
        "get_dataset_fgnet",
        "get_dataset_ytf",
        "get_dataset_clfw",
    ],
    "face_preprocess": ["parse_lst_line", "read_image", "preprocess"],
    "noise_sgd": ["NoiseSGD"],
}


@pytest.mark.parametrize("module", NAMES)
def test_every_name_of_2018_is_found(module):
    found = importlib.import_module(f"src.common.{module}")
    for name in NAMES[module]:
        assert callable(getattr(found, name)), name


@pytest.mark.parametrize("module", ["face_image", "face_preprocess"])
def test_other_names_raise_the_usual_error(module):
    found = importlib.import_module(f"src.common.{module}")
    with pytest.raises(AttributeError, match=f"module 'src.common.{module}' has no attribute 'x'"):
        found.x  # noqa: B018
    assert not hasattr(found, "os")
    assert set(NAMES[module]) <= set(dir(found))


@pytest.mark.parametrize("module", ["face_image", "face_preprocess"])
def test_type_checkers_see_the_same_names(repository, module):
    stub = (repository / f"src/common/{module}.pyi").read_text()
    names = re.findall(r" as (\w+)$", stub, re.MULTILINE)
    assert sorted(names) == sorted(importlib.import_module(f"src.common.{module}").__all__)


def test_the_function_is_the_one_of_the_new_place():
    from src.common import face_image, face_preprocess
    from src.formats import lists, photo_sets

    assert face_image.get_dataset is photo_sets.get_dataset
    assert face_preprocess.parse_lst_line is lists.parse_lst_line


@pytest.mark.parametrize(
    "script",
    [
        "import face_image; print(face_image.load_property(DATA).num_classes)",
        "from face_image import load_property; print(load_property(DATA).num_classes)",
        "from face_image import *; print(load_property(DATA).num_classes)",
        "import face_preprocess; print(face_preprocess.parse_lst_line('1\\ta\\t8')[1])",
        "import noise_sgd, numpy; print(int(noise_sgd.NoiseSGD(8.0).scale))",
    ],
)
def test_the_folder_can_be_put_on_the_path(repository, learnable_set, tmp_path, script):
    """As in 2018: `sys.path.append('…/src/common')`."""
    head = f"import sys; sys.path.append({str(repository / 'src/common')!r})\n"
    head += f"DATA = {str(learnable_set)!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", head + script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == "8\n", done.stderr


@pytest.mark.parametrize(
    ("folder", "module", "name"),
    [
        ("src", "image_iter", "FaceImageIter"),
        ("src", "triplet_image_iter", "FaceImageIter"),
        ("src", "symbols.fresnet", "get_symbol"),
        ("src/symbols", "fresnet", "get_symbol"),
        ("src/symbols", "symbol_utils", "get_fc1"),
        ("src/align", "detect_face", "create_mtcnn"),
        ("src/eval", "verification", "load_bin"),
    ],
)
def test_other_folders_can_be_put_on_the_path(repository, tmp_path, folder, module, name):
    script = f"import sys; sys.path.append({str(repository / folder)!r})\n"
    script += f"from {module} import {name}; print({name}.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == f"{name}\n", done.stderr
