"""MegaFace's feature files: read by third-party code, and marked as in 2018."""

import struct

import cv2
import numpy as np
import pytest

from src.checkpoints.files import load_checkpoint, save_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.formats.feature_files import read_feature, write_feature
from src.formats.lists import format_aligned_line
from src.megaface import gen_megaface, remove_noises

SIDE, SIZE = 16, 6
FACESCRUB = ("Ann A/Ann A_1.png", "Ann A/Ann A_2.png", "Bob/Bob_1.png")
MEGAFACE = ("10/1@N/photo.jpg", "10/2@N/photo.jpg")


def third_party_reader(path):
    """A reader of the format that shares no code with the project."""
    content = path.read_bytes()
    rows, columns, stride, kind = struct.unpack("4i", content[:16])
    assert (columns, stride, kind) == (1, 4, 5)
    assert len(content) == 16 + 4 * rows
    return np.array(struct.unpack(f"{rows}f", content[16:]))


def picture(seed):
    coarse = np.random.RandomState(seed).randint(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(coarse, (SIDE, SIDE))


@pytest.fixture
def models(tmp_path):
    """Two tiny models, 'a,1|b,1'."""
    pooled = mx.sym.Pooling(mx.sym.var("data"), kernel=(4, 4), stride=(4, 4), pool_type="avg")
    symbol = mx.sym.FullyConnected(mx.sym.Flatten(pooled), num_hidden=SIZE, name="fc1")
    for seed, name in enumerate("ab"):
        random = np.random.RandomState(seed)
        arrays = {
            "fc1_weight": mx.nd.array(random.randn(SIZE, 3 * (SIDE // 4) ** 2)),
            "fc1_bias": mx.nd.array(random.randn(SIZE)),
        }
        save_checkpoint(tmp_path / name, 1, symbol, arrays, {})
    return f"{tmp_path / 'a'},1|{tmp_path / 'b'},1"


@pytest.fixture
def lists(tmp_path):
    """The photos, a list of paths of FaceScrub, and an aligned .lst of MegaFace."""
    for number, name in enumerate((*FACESCRUB, *MEGAFACE)):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path.with_suffix(".png")), picture(number)[:, :, ::-1])
        path.with_suffix(".png").rename(path)
    (tmp_path / "facescrub_lst").write_text("".join(f"{name}\n" for name in FACESCRUB))
    (tmp_path / "megaface_lst").write_text(
        "".join(format_aligned_line(str(tmp_path / "images" / name), 0) + "\n" for name in MEGAFACE)
    )
    return tmp_path


def generate(folder, models, *more):
    images = str(folder / "images")
    gen_megaface.main(
        ["--model", models, "--gpu", "-1", "--image_size", f"3,{SIDE},{SIDE}", "--algo", "tiny",
         "--facescrub-lst", str(folder / "facescrub_lst"), "--facescrub-root", images,
         "--megaface-lst", str(folder / "megaface_lst"), "--megaface-root", "",
         "--output", str(folder / "out"), *more]
    )  # fmt: skip


def clean(folder, *more):
    (folder / "fs_noise.txt").write_text("# wrong\nAnn A_2.png\n")
    (folder / "mf_noise.txt").write_text("# wrong\n1\t10/2@N/photo.jpg\n")
    remove_noises.main(
        ["--facescrub-noises", str(folder / "fs_noise.txt"), "--algo", "tiny",
         "--megaface-noises", str(folder / "mf_noise.txt"),
         "--facescrub-lst", str(folder / "facescrub_lst"),
         "--megaface-lst", str(folder / "megaface_lst"),
         "--feature-dir-input", str(folder / "out"), "--feature-dir-out", str(folder / "clean"),
         *more]
    )  # fmt: skip


def expected_feature(models, image):
    """Pooling and one product for each model, of image and mirror image."""
    parts = []
    for model in models.split("|"):
        prefix, epoch = model.split(",")
        weights = {n: a.asnumpy() for n, a in load_checkpoint(prefix, int(epoch))[1].items()}
        total = np.zeros(SIZE)
        for each in (image, image[:, ::-1]):
            blocks = each.astype(float).transpose(2, 0, 1).reshape(3, SIDE // 4, 4, SIDE // 4, 4)
            pooled = blocks.mean(axis=(2, 4)).ravel()
            embedding = weights["fc1_weight"] @ pooled + weights["fc1_bias"]
            total += embedding
        parts.append(total / np.linalg.norm(total))
    joined = np.concatenate(parts)
    return joined / np.linalg.norm(joined)


def test_features_of_both_lists(lists, models):
    generate(lists, models)
    written = sorted(path for path in (lists / "out").rglob("*.bin"))
    assert [str(path.relative_to(lists / "out")) for path in written] == sorted(
        [f"facescrub/{name}_tiny.bin" for name in FACESCRUB]
        + [f"megaface/{name}_tiny.bin" for name in MEGAFACE]
    )
    for number, name in enumerate((*FACESCRUB, *MEGAFACE)):
        kind = "facescrub" if name in FACESCRUB else "megaface"
        feature = third_party_reader(lists / "out" / kind / f"{name}_tiny.bin")
        np.testing.assert_allclose(feature, expected_feature(models, picture(number)), atol=1e-5)


def test_a_stopped_run_continues(lists, models):
    generate(lists, models)
    kept = lists / "out" / "facescrub" / f"{FACESCRUB[0]}_tiny.bin"
    removed = lists / "out" / "megaface" / f"{MEGAFACE[1]}_tiny.bin"
    content = removed.read_bytes()
    removed.unlink()
    before = kept.stat().st_mtime_ns
    generate(lists, models)
    assert kept.stat().st_mtime_ns == before
    assert removed.read_bytes() == content


def test_features_of_another_model_are_not_mixed(lists, models):
    generate(lists, models)
    with pytest.raises(InputError, match="of another model for --algo tiny: choose another"):
        generate(lists, models.split("|")[0])


def test_a_photo_that_cannot_be_read_has_no_feature(lists, models, capsys, caplog):
    (lists / "images" / FACESCRUB[0]).write_bytes(b"no picture")
    cv2.imwrite(str(lists / "images" / FACESCRUB[1]), np.zeros((8, 8, 3), np.uint8))
    generate(lists, models)
    assert "facescrub: 1 of 3 photos have a feature" in capsys.readouterr().out
    assert caplog.text.count("read error") == 2
    clean(lists)
    # The only other photo of the wrong one's person is that without a feature.
    assert "facescrub: 2 photos have no feature" in caplog.text
    cleaned = [path.name for path in (lists / "clean" / "facescrub").rglob("*.bin")]
    assert cleaned == ["Bob_1.png_tiny.bin"]


@pytest.mark.parametrize("line", ["photo.png", "a/../photo.png", "//photo.png"])
def test_a_path_without_its_person_is_refused(lists, models, line):
    (lists / "facescrub_lst").write_text(f"Bob/Bob_1.png\n{line}\n")
    with pytest.raises(InputError, match=r"facescrub_lst, line 2: .* ends with 2 names"):
        generate(lists, models)


def test_noise_is_marked(lists, models):
    generate(lists, models)
    clean(lists)
    before, after = (
        {
            str(path.relative_to(lists / folder)).partition("/")[2]: third_party_reader(path)
            for path in (lists / folder).rglob("*.bin")
        }
        for folder in ("out", "clean")
    )
    assert before.keys() == after.keys()
    ann, wrong = (f"{name}_tiny.bin" for name in FACESCRUB[:2])
    for name, feature in after.items():
        assert len(feature) == len(before[name]) + 1 == 2 * SIZE + 1
        if name != wrong:
            np.testing.assert_array_equal(feature[:-1], before[name])
        assert feature[-1] == (100 if name.startswith("10/2@N") else 0)
    # Of the person's other photo, with a little noise.
    moved = np.abs(after[wrong][:-1] - before[ann])
    assert 1e-5 < moved.max() < 0.002
    assert np.linalg.norm(after[wrong]) == pytest.approx(1, abs=1e-6)


def test_features_are_not_replaced_by_the_marked_ones(lists, models):
    generate(lists, models)
    with pytest.raises(InputError, match="features would be replaced"):
        clean(lists, "--feature-dir-out", str(lists / "out"))


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data[:12], lambda data: data + b"1234",
               lambda data: b"\1" + data[1:], lambda data: b""]
)  # fmt: skip
def test_a_damaged_feature_file_is_named(tmp_path, change):
    path = tmp_path / "a.bin"
    write_feature(path, np.arange(5, dtype=np.float32))
    np.testing.assert_array_equal(read_feature(path), np.arange(5))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=r"a\.bin: not a feature file of MegaFace"):
        read_feature(path)


def test_flags_and_defaults_of_2018():
    args = vars(gen_megaface.parse_args(["--model", "m,1"]))
    assert args == {
        "batch_size": 8, "image_size": "3,112,112", "gpu": 0, "algo": "insightface",
        "facescrub_lst": "./data/facescrub_lst", "megaface_lst": "./data/megaface_lst",
        "facescrub_root": "./data/facescrub_images", "megaface_root": "./data/megaface_images",
        "output": "./feature_out", "model": "m,1", "size": (112, 112),
    }  # fmt: skip
    args = vars(remove_noises.parse_args([]))
    args.pop("seed")
    assert args == {
        "facescrub_noises": "./data/facescrub_noises.txt", "algo": "insightface",
        "megaface_noises": "./data/megaface_noises.txt", "facescrub_lst": "./data/facescrub_lst",
        "megaface_lst": "./data/megaface_lst", "feature_dir_input": "./feature_out",
        "feature_dir_out": "./feature_out_clean",
    }  # fmt: skip
