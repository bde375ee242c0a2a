"""Comparing photos, embedding pictures, small checkpoints, and 2018's `deploy` folder."""

import argparse
import json
import os
import runpy
import subprocess
import sys

import cv2
import numpy as np
import pytest

from src import compare, embed, slim
from src.checkpoints.files import load_checkpoint, save_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.common.photos import read_photo
from src.deploy import face_model, model_slim
from src.deploy import test as demonstration
from src.deploy.embedder import FaceEmbedder
from src.formats.lists import format_aligned_line

SIDE, SIZE, CLASSES = 16, 8, 5


def tiny_symbol():
    pooled = mx.sym.Pooling(mx.sym.var("data"), kernel=(4, 4), stride=(4, 4), pool_type="avg")
    embedding = mx.sym.FullyConnected(mx.sym.Flatten(pooled), num_hidden=SIZE, name="fc1")
    classes = mx.sym.FullyConnected(embedding, num_hidden=CLASSES, no_bias=True, name="fc7")
    return mx.sym.SoftmaxOutput(classes, name="softmax")


@pytest.fixture
def model(tmp_path):
    """'prefix,epoch' of a tiny model for faces of 16×16, with its classifier."""
    random = np.random.RandomState(0)
    arrays = {
        "fc1_weight": mx.nd.array(random.randn(SIZE, 3 * (SIDE // 4) ** 2)),
        "fc1_bias": mx.nd.array(random.randn(SIZE)),
        "fc7_weight": mx.nd.array(random.randn(CLASSES, SIZE)),
    }
    save_checkpoint(tmp_path / "tiny", 3, tiny_symbol(), arrays, {})
    return f"{tmp_path / 'tiny'},3"


def picture(seed):
    coarse = np.random.RandomState(seed).randint(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(coarse, (SIDE, SIDE))


@pytest.fixture
def folder(tmp_path):
    """Faces of two people, and a file that is no picture."""
    root = tmp_path / "faces"
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), picture(number)[:, :, ::-1])
    (root / "b" / "2.png").write_bytes(b"no picture")
    return root


def expected_embeddings(model, images):
    """The oracle: pooling, one product, and division by the length."""
    prefix, epoch = model.split(",")
    weights = {n: a.asnumpy() for n, a in load_checkpoint(prefix, int(epoch))[1].items()}
    blocks = images.transpose(0, 3, 1, 2).reshape(len(images), 3, SIDE // 4, 4, SIDE // 4, 4)
    pooled = blocks.mean(axis=(3, 5)).reshape(len(images), -1)
    embedded = pooled @ weights["fc1_weight"].T + weights["fc1_bias"]
    return embedded / np.linalg.norm(embedded, axis=1, keepdims=True)


# --- slim


def test_a_slim_checkpoint_has_the_same_embeddings(model, tmp_path, capsys):
    slim.main(["--model", model, "--output", str(tmp_path / "new" / "small")])
    assert "small-0000.params: " in capsys.readouterr().out
    symbol, arg_params, _ = load_checkpoint(tmp_path / "new" / "small", 0)
    assert symbol.list_outputs() == ["fc1_output"]
    assert sorted(arg_params) == ["fc1_bias", "fc1_weight"]
    images = np.stack([picture(1), picture(2)])
    before, after = (
        FaceEmbedder(each, mx.cpu(), (SIDE, SIDE))(images)
        for each in (model, str(tmp_path / "new" / "small"))
    )
    np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(before, expected_embeddings(model, images), atol=1e-5)


def test_2018s_name_of_the_slim_checkpoint(model, tmp_path):
    model_slim.main(["--model", model])
    assert (tmp_path / "tinys-0000.params").is_file()
    with pytest.raises(InputError, match=r"tinys-symbol\.json exists: choose another --output"):
        model_slim.main(["--model", model])


def test_an_incomplete_model_is_not_written(model, tmp_path):
    prefix, _ = model.split(",")
    symbol, arg_params, _ = load_checkpoint(prefix, 3)
    del arg_params["fc1_bias"]
    save_checkpoint(prefix, 4, symbol, arg_params, {})
    with pytest.raises(InputError, match=r"tiny-0004\.params lacks .*: fc1_bias"):
        slim.main(["--model", f"{prefix},4", "--output", str(tmp_path / "small")])
    assert not (tmp_path / "small-symbol.json").exists()


# --- embed


def run_embed(model, path, output, *more):
    size = f"{SIDE},{SIDE}"
    embed.main(
        [
            "--input",
            str(path),
            "--model",
            model,
            "--output",
            str(output),
            "--image-size",
            size,
            *more,
        ]
    )
    lines = (output.with_suffix(".tsv")).read_text().splitlines()
    assert lines[0] == "row\tname\tlabel\tnote"
    return np.load(output), [line.split("\t") for line in lines[1:]]


def test_a_folder_is_embedded(model, folder, tmp_path, caplog):
    rows, index = run_embed(model, folder, tmp_path / "out" / "faces.npy")
    assert rows.dtype == np.float32
    assert [line[:3] for line in index] == [
        ["0", "a/1.png", "a"],
        ["1", "a/2.png", "a"],
        ["2", "b/1.png", "b"],
        ["3", "b/2.png", "b"],
    ]
    images = np.stack([picture(number) for number in range(3)])
    np.testing.assert_allclose(rows[:3], expected_embeddings(model, images), atol=1e-5)
    assert np.isnan(rows[3]).all()
    assert [line[3] for line in index[:3]] == ["", "", ""]
    assert "not a photo of a known format" in index[3][3]
    assert "1 pictures have no embedding, the first: b/2.png" in caplog.text
    assert sorted(os.listdir(tmp_path / "out")) == ["faces.npy", "faces.tsv"]


def test_the_mirrored_faces_are_added(model, folder, tmp_path):
    rows, _ = run_embed(model, folder, tmp_path / "faces.npy", "--flip")
    prefix, _ = model.split(",")
    weights = {n: a.asnumpy() for n, a in load_checkpoint(prefix, 3)[1].items()}
    images = np.stack([picture(number) for number in range(3)])
    total = 0
    for each in (images, images[:, :, ::-1]):
        blocks = each.transpose(0, 3, 1, 2).reshape(3, 3, SIDE // 4, 4, SIDE // 4, 4)
        pooled = blocks.mean(axis=(3, 5)).reshape(3, -1)
        total = total + pooled @ weights["fc1_weight"].T + weights["fc1_bias"]
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(rows[:3], expected, atol=1e-5)


def test_a_list_a_set_and_pairs_are_embedded(model, folder, learnable_set, tmp_path):
    lines = [format_aligned_line(str(folder / name), label) for name, label in
             [("b/1.png", 7), ("a/1.png", 3)]]  # fmt: skip
    (tmp_path / "some.lst").write_text("".join(line.rstrip("\n") + "\n" for line in lines))
    rows, index = run_embed(model, tmp_path / "some.lst", tmp_path / "list.npy")
    images = np.stack([picture(2), picture(0)])
    np.testing.assert_allclose(rows, expected_embeddings(model, images), atol=1e-5)
    assert [line[1:] for line in index] == [[str(folder / "b/1.png"), "7", ""],
                                            [str(folder / "a/1.png"), "3", ""]]  # fmt: skip
    for name, count, first in (
        ("train.rec", 48, ["1", "0"]),
        ("pairs.bin", 32, ["pair 0 first", ""]),
    ):
        with pytest.raises(
            InputError, match="no picture has an embedding; the first: height and wid"
        ):
            run_embed(model, learnable_set / name, tmp_path / f"{name}.npy")
        rows, index = run_embed(
            model, learnable_set / name, tmp_path / f"{name}.npy", "--image-size", "112,112",
            "--model", big_model(tmp_path),
        )  # fmt: skip
        assert len(rows) == len(index) == count
        assert index[0][1:3] == first
        assert np.isfinite(rows).all()


def big_model(tmp_path):
    random = np.random.RandomState(0)
    arrays = {
        "fc1_weight": mx.nd.array(random.randn(SIZE, 3 * 28 * 28)),
        "fc1_bias": mx.nd.array(random.randn(SIZE)),
    }
    save_checkpoint(tmp_path / "big", 1, tiny_symbol().get_internals()["fc1_output"], arrays, {})
    return f"{tmp_path / 'big'},1"


def test_a_stopped_run_continues(model, tmp_path, monkeypatch, caplog):
    root = tmp_path / "many"
    root.mkdir()
    for number in range(40):
        cv2.imwrite(str(root / f"{number:02}.png"), picture(number))
    whole, _ = run_embed(model, root, tmp_path / "whole.npy", "--batch-size", "2")
    calls = []
    original = FaceEmbedder.__call__

    def stopped(self, faces, flip=False):
        calls.append(len(faces))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, faces, flip)

    monkeypatch.setattr(FaceEmbedder, "__call__", stopped)
    output = tmp_path / "parts.npy"
    with pytest.raises(KeyboardInterrupt):
        run_embed(model, root, output, "--batch-size", "2")
    assert not output.exists()
    caplog.set_level("INFO")
    rows, index = run_embed(model, root, output, "--batch-size", "2")
    assert "continuing after 16 of 40 pictures" in caplog.text
    assert calls == [16, 16, 16, 8]
    np.testing.assert_array_equal(rows, whole)
    assert len(index) == 40
    with pytest.raises(InputError, match=r"parts\.npy exists: choose another --output"):
        run_embed(model, root, output)


def test_another_model_does_not_continue_the_embeddings_of_one(
    model, folder, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    output = tmp_path / "faces.npy"
    monkeypatch.setattr(embed, "write_index", stop)
    with pytest.raises(KeyboardInterrupt):
        run_embed(model, folder, output)
    monkeypatch.undo()
    prefix, _ = model.split(",")
    symbol, arg_params, _ = load_checkpoint(prefix, 3)
    other = {name: -array for name, array in arg_params.items()}
    save_checkpoint(prefix, 4, symbol, other, {})
    rows, _ = run_embed(f"{prefix},4", folder, output)
    images = np.stack([picture(number) for number in range(3)])
    np.testing.assert_allclose(rows[:3], -expected_embeddings(model, images), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "no such folder or file"),
        ("empty", "there is no picture in it"),
        ("photo.png", "expected a folder, or a file .lst, .rec or .bin"),
        ("bad.lst", "line 1: list line"),
    ],
)
def test_wrong_inputs(model, tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.png").write_bytes(b"")
    (tmp_path / "bad.lst").write_text("1\tonly two\n")
    with pytest.raises((InputError, FileNotFoundError), match=f"{name}.*{message}"):
        run_embed(model, tmp_path / name, tmp_path / "x.npy")


# --- compare


@pytest.fixture
def two(folder):
    return [str(folder / "a/1.png"), str(folder / "b/1.png")]


def run_compare(model, photos, capsys, *more):
    size = ["--image-size", f"{SIDE},{SIDE}", "--aligned"]
    status = compare.main([*photos, "--model", model, *size, *more])
    return status, capsys.readouterr().out.splitlines()


def test_two_faces_are_compared(model, two, capsys):
    images = np.stack([picture(0), picture(2)])
    first, second = expected_embeddings(model, images)
    distance, cosine = np.sum((first - second) ** 2), first @ second
    below, above = f"{distance - 0.01:.4f}", f"{distance + 0.01:.4f}"
    status, lines = run_compare(model, two, capsys, "--threshold", below)
    assert status == compare.DIFFERENT == 1
    assert lines == [
        f"cosine {cosine:.4f}, squared distance {distance:.4f}",
        f"different people: the squared distance is not below {float(below):g} (--threshold)",
    ]
    status, lines = run_compare(model, two, capsys, "--threshold", above)
    assert status == compare.SAME == 0
    assert lines[1].startswith("the same person: the squared distance is below")
    _, lines = run_compare(model, two, capsys)
    assert "1.24 (of 2018's face_model; --results gives your model's own)" in lines[1]


def test_the_threshold_of_a_verification(model, two, capsys, tmp_path):
    path = tmp_path / "results.json"
    row = {"best_threshold": 1.5, "best_threshold_accuracy": 0.9912, "pairs": 600}
    path.write_text(json.dumps({"model": "m", "targets": {"lfw": row, "own": {**row, "pairs": 7}}}))
    _, lines = run_compare(model, two, capsys, "--results", str(path))
    assert lines[1].endswith(f"1.5 (the best for lfw in {path}: 0.9912 of 600 pairs)")
    _, lines = run_compare(model, two, capsys, "--results", str(path), "--target", "own")
    assert lines[1].endswith("of 7 pairs)")
    with pytest.raises(InputError, match="has no set cfp; it has lfw, own"):
        run_compare(model, two, capsys, "--results", str(path), "--target", "cfp")
    for text in ("", "[]", '{"targets": {}}', '{"targets": {"a": {}}}', '{"targets": {"a": 5}}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"is not a file of python -m src\.eval\.verification"):
            run_compare(model, two, capsys, "--results", str(path))


def test_pictures_that_are_no_faces(model, two, tmp_path):
    with pytest.raises(InputError, match=r"height and width \(16, 16\), expected \(112, 112\)"):
        compare.main([*two, "--model", big_model(tmp_path), "--aligned"])
    with pytest.raises(InputError, match=r"a/1\.png: no face of at least 50 pixels found"):
        compare.main([*two, "--model", model, "--image-size", "16,16"])


@pytest.fixture(scope="module")
def published(shared):
    return f"{shared / 'pretrained' / 'model-y1-test2' / 'model'},0"


@pytest.fixture(scope="module")
def faces(shared):
    root = shared / "faces" / "lfw"
    many = [folder for folder in sorted(root.iterdir()) if len(os.listdir(folder)) >= 2][:2]
    return [[str(path) for path in sorted(folder.iterdir())[:2]] for folder in many]


def test_real_photos(published, faces, capsys):
    assert compare.main([*faces[0], "--model", published]) == compare.SAME
    assert compare.main([faces[0][0], faces[1][0], "--model", published]) == compare.DIFFERENT
    assert capsys.readouterr().out.count(": face at ") == 4


def test_embedding_photos_finds_their_faces(published, faces, tmp_path):
    root = tmp_path / "photos"
    for number, paths in enumerate(faces):
        (root / str(number)).mkdir(parents=True)
        for path in paths:
            (root / str(number) / os.path.basename(path)).symlink_to(path)
    output = tmp_path / "photos.npy"
    embed.main(
        ["--input", str(root), "--model", published, "--output", str(output), "--align",
         "--batch-size", "1"]
    )  # fmt: skip
    same, other = np.load(output), np.arange(4) // 2
    cosines = same @ same.T
    assert cosines[other[:, None] == other].min() > 0.5
    assert cosines[other[:, None] != other].max() < 0.35


# --- 2018's deploy


def arguments_of_2018(model, **more):
    return argparse.Namespace(
        image_size="112,112",
        model=model,
        ga_model="",
        gpu=-1,
        det=0,
        flip=0,
        threshold=1.24,
        **more,
    )


def test_face_model_as_in_2018(published, faces):
    model = face_model.FaceModel(arguments_of_2018(published))
    features = []
    for path in [*faces[0], faces[1][0]]:
        aligned = model.get_input(cv2.imread(path))
        assert aligned.shape == (3, 112, 112)
        assert aligned.dtype == np.uint8
        features.append(model.get_feature(aligned))
    assert features[0].shape == (128,)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert np.sum((features[0] - features[1]) ** 2) < model.threshold
    assert np.sum((features[0] - features[2]) ** 2) > model.threshold
    assert model.get_input(np.zeros((100, 100, 3), np.uint8)) is None
    face = cv2.cvtColor(model.get_input(cv2.imread(faces[0][0])).transpose(1, 2, 0), 4)
    model.args.det = 1  # the whole picture is a face
    again = model.get_input(face)
    assert np.dot(model.get_feature(again), features[0]) > 0.6
    model.args.flip = 1
    assert np.dot(model.get_feature(again), features[0]) > 0.6


def test_2018s_demonstration(published, faces, capsys):
    demonstration.main(["--gpu", "-1", "--model", published, *faces[0]])
    lines = capsys.readouterr().out.splitlines()
    distance, cosine = float(lines[-2]), float(lines[-1])
    assert distance == pytest.approx(2 - 2 * cosine, abs=1e-5)
    assert distance < 1.24


def test_a_script_of_2018_imports_face_model_by_its_name(repository, tmp_path):
    script = tmp_path / "own.py"
    script.write_text(
        "import sys\nsys.path.append(sys.argv[1])\nimport face_model\nprint(face_model.FaceModel)\n"
    )
    done = subprocess.run(
        [sys.executable, script, str(repository / "src" / "deploy")],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "FaceModel" in done.stdout, done.stderr


def test_age_and_gender(tmp_path, published):
    """The outputs of 2018's model: two for the gender, then two for each of a hundred ages."""
    symbol = mx.sym.FullyConnected(
        mx.sym.Flatten(mx.sym.var("data")), num_hidden=202, no_bias=False, name="fc1"
    )
    bias = np.zeros(202)
    bias[1] = 1
    bias[2::2] = 0.5
    bias[3 : 2 + 2 * 31 : 2] = 1  # older than 31 of the hundred ages
    arrays = {"fc1_weight": mx.nd.zeros((202, 3 * 112 * 112)), "fc1_bias": mx.nd.array(bias)}
    save_checkpoint(tmp_path / "ga", 0, symbol, arrays, {})
    args = arguments_of_2018("")
    args.ga_model = f"{tmp_path / 'ga'},0"
    model = face_model.FaceModel(args)
    assert model.get_ga(np.zeros((3, 112, 112), np.uint8)) == (1, 31)
    with pytest.raises(InputError, match=r"args\.model is empty"):
        model.get_feature(np.zeros((3, 112, 112), np.uint8))
    model.ga_model = None
    with pytest.raises(InputError, match=r"args\.ga_model is empty"):
        model.get_ga(np.zeros((3, 112, 112), np.uint8))
    with pytest.raises(InputError, match="only fc1"):
        face_model.get_model(mx.cpu(), (112, 112), args.ga_model, "fc5")


@pytest.mark.parametrize("name", ["slim", "compare", "embed", "deploy/test", "deploy/model_slim"])
def test_files_are_used_by_their_path(repository, name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ending:
        runpy.run_path(str(repository / "src" / f"{name}.py"), run_name="__main__")
    assert ending.value.code == 0
    assert "--model" in capsys.readouterr().out


def test_a_photo_turned_by_its_camera(published, faces, tmp_path):
    """`read_photo` turns it upright, so both show the same face."""
    from PIL import Image

    photo = Image.open(faces[0][0])
    exif = photo.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    turned = tmp_path / "turned.jpg"
    photo.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif, quality=95)
    assert read_photo(turned).shape == read_photo(faces[0][0]).shape
    assert compare.main([faces[0][0], str(turned), "--model", published]) == compare.SAME
