"""The function `test` and the command, with a small model on synthetic faces."""

import argparse
import json
import os
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from src.checkpoints.binding import bind_embedding
from src.checkpoints.files import save_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.eval import verification
from src.formats.verification_set import write_bin

SIZE = 8
PAIRS = 24


def model(seed):
    """(symbol, arg_params, aux_params) of a random projection of 8×8 images."""
    symbol = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=6, name="fc1", no_bias=True)
    symbol = mx.sym.FullyConnected(symbol, num_hidden=4, name="fc7", no_bias=True)
    symbol = mx.sym.SoftmaxOutput(symbol, name="softmax")
    draw = np.random.RandomState(seed)
    weight = draw.standard_normal((6, 3 * SIZE * SIZE))
    weight -= weight.mean(axis=1, keepdims=True)  # ignores the mean grey level
    arg_params = {"fc1_weight": mx.nd.array(weight), "fc7_weight": mx.nd.zeros((4, 6))}
    return symbol, arg_params, {}


def pictures(seed, noise):
    """Encoded images of 24 pairs; every second pair is the same face with some noise."""
    draw = np.random.RandomState(seed)
    rows = []
    for pair in range(PAIRS):
        faces = draw.randint(0, 256, (2, SIZE, SIZE, 3))
        if pair % 2 == 0:
            faces[1] = np.clip(faces[0] + draw.randint(-noise, noise + 1, faces[0].shape), 0, 255)
        rows += [cv2.imencode(".png", face)[1].tobytes() for face in faces]
    return rows


@pytest.fixture
def data(tmp_path):
    """Folder with a property file, two sets and three checkpoints."""
    (tmp_path / "property").write_text(f"4,{SIZE},{SIZE}")
    same = [pair % 2 == 0 for pair in range(PAIRS)]
    write_bin(str(tmp_path / "lfw.bin"), pictures(1, 30), same)
    write_bin(str(tmp_path / "agedb_30.bin"), pictures(2, 200), same)
    for epoch in (1, 2, 3):
        save_checkpoint(str(tmp_path / "model"), epoch, *model(seed=epoch))
    return tmp_path


def run(data, *flags):
    model_flag = () if "--model" in flags else ("--model", f"{data}/model,1")
    verification.main(
        ["--data-dir", str(data), "--gpu", "-1", "--batch-size", "7", *model_flag, *flags]
    )


def test_results_of_test(data, capsys):
    data_set = verification.load_bin(str(data / "lfw.bin"), [SIZE, SIZE])
    symbol, arg_params, aux_params = model(seed=1)
    module = bind_embedding(symbol, arg_params, aux_params, mx.cpu(), 10, (SIZE, SIZE))
    acc1, std1, acc2, std2, xnorm, embeddings_list = verification.test(data_set, module, 10, 4)
    weight = arg_params["fc1_weight"].asnumpy().astype(float)
    for images, embeddings in zip(data_set[0], embeddings_list, strict=True):
        expected = images.asnumpy().reshape(2 * PAIRS, -1) @ weight.T
        np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-2)
    norms = [np.linalg.norm(row) for embeddings in embeddings_list for row in embeddings]
    assert xnorm == pytest.approx(sum(norms) / len(norms), rel=1e-12)
    flipped = embeddings_list[0] + embeddings_list[1]
    for sums, got in ((embeddings_list[0], (acc1, std1)), (flipped, (acc2, std2))):
        normal = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        *_, accuracy, _, _, _ = verification.evaluate(normal, data_set[1], nrof_folds=4)
        assert got == (np.mean(accuracy), np.std(accuracy))
    assert 0.8 < acc2 <= 1
    out = capsys.readouterr().out
    assert "testing verification..\n(48, 6)\ninfer time " in out


def test_a_set_smaller_than_the_batch_gives_the_same(data):
    data_set = verification.load_pairs(str(data / "lfw.bin"), [SIZE, SIZE])
    rows = []
    for batch_size in (5, 64):
        module = bind_embedding(*model(1), mx.cpu(), batch_size, (SIZE, SIZE))
        rows.append(verification.test(data_set, module, batch_size, 2)[5][0])
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-5, atol=1e-3)


def test_command_prints_the_lines_of_2018(data, capsys, caplog):
    run(data, "--target", "lfw,cfp_ff,agedb_30", "--nfolds", "3", "--model", f"{data}/model,1|2")
    lines = capsys.readouterr().out.splitlines()
    assert f"image_size [{SIZE}, {SIZE}]" in lines
    assert "model number 2" in lines
    assert "loading..  lfw" in lines
    assert f"(48, 3, {SIZE}, {SIZE})" in lines
    for name in ("lfw", "agedb_30"):
        accuracies = [line for line in lines if line.startswith(f"[{name}]Accuracy-Flip: ")]
        assert len(accuracies) == 2
        best = max(line.split()[1][:7] for line in accuracies)
        assert f"Max of [{name}] is {best}" in lines
        for label in ("XNorm: ", "Accuracy: ", "Best threshold: ", "TAR@FAR=0.1: "):
            assert sum(line.startswith(f"[{name}]{label}") for line in lines) == 2
    assert f"{data}/cfp_ff.bin is missing" in caplog.text
    assert not any("cfp_ff" in line for line in lines)


def test_output_has_the_results_of_each_model(data, capsys):
    output = data / "out" / "results.json"
    run(
        data,
        "--target",
        "lfw",
        "--nfolds",
        "3",
        "--model",
        f"{data}/model,3|1",
        "--output",
        str(output),
    )
    results = json.loads(output.read_text())
    assert results["model"] == f"{data}/model,3|1"
    figures = results["targets"]["lfw"]
    assert [row["epoch"] for row in figures["models"]] == [3, 1]
    best = max(figures["models"], key=lambda row: row["accuracy_flip"])
    assert figures["epoch"] == best["epoch"]
    assert figures["accuracy_flip"] == best["accuracy_flip"]
    assert (figures["pairs"], figures["same_pairs"], figures["folds"]) == (24, 12, 3)
    assert f"[lfw]XNorm: {figures['xnorm']:f}" in capsys.readouterr().out
    assert figures["tar_at_far"][0]["far"] == 0.1
    assert len(figures["roc"]["fpr"]) == len(figures["roc"]["tpr"])
    assert 0.8 < figures["roc"]["auc"] <= 1
    assert figures["images_per_second"] > 0
    assert 0 < figures["best_threshold"] < 4


def test_a_prefix_means_all_epochs_newest_first(data):
    prefix = f"{data}/model"
    assert verification.choose_epochs(prefix, "") == (prefix, [3, 2, 1])
    assert verification.choose_epochs(prefix, "0,2") == (prefix, [3, 2])
    assert verification.choose_epochs(prefix, "1,2") == (prefix, [2])
    assert verification.choose_epochs(prefix, "1,3") == (prefix, [3, 2, 1])  # not more than 3
    assert verification.choose_epochs(f"{prefix},1|3", "0,1") == (prefix, [1, 3])
    for wrong in ("1", "1,2,3", "a,b", "2,2"):
        with pytest.raises(InputError, match=f"--max {wrong}"):
            verification.choose_epochs(prefix, wrong)


def test_mode_1_writes_pictures(data, monkeypatch, caplog, capsys):
    monkeypatch.chdir(data)
    run(data, "--target", "agedb_30,lfw", "--mode", "1", "--nfolds", "4")
    names = sorted(os.listdir(data / "badcases"))
    assert "agedb_30_badcases.csv" in names
    assert any(name.endswith(".png") for name in names)
    assert "uses one set and one model: agedb_30 and epoch 1" in caplog.text
    run(data, "--target", "agedb_30", "--mode", "1", "--nfolds", "4", "--output", "elsewhere")
    assert sorted(os.listdir(data / "elsewhere")) == names
    assert "written: elsewhere/agedb_30_badcases.csv" in capsys.readouterr().out


def test_mode_2_dumps_embeddings(data, monkeypatch):
    monkeypatch.chdir(data)
    run(data, "--target", "lfw", "--mode", "2")
    embeddings, same = pickle.loads((data / "temp.bin").read_bytes())
    assert embeddings.shape == (48, 6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1)
    assert same == [pair % 2 == 0 for pair in range(PAIRS)]


def test_a_namespace_of_2018(data, capsys):
    verification.main(
        argparse.Namespace(
            data_dir=str(data),
            model=f"{data}/model,1",
            target="lfw",
            gpu=-1,
            batch_size=32,
            max="",
            mode=0,
            nfolds=2,
        )
    )
    assert "[lfw]Accuracy-Flip: " in capsys.readouterr().out


def test_wrong_input(data, tmp_path):
    with pytest.raises(InputError, match=r"none of .*cfp_fp.bin exists; .* are: agedb_30, lfw$"):
        run(data, "--target", "cfp_fp")
    with pytest.raises(InputError, match=r"no .*model-0009.params; checkpoints in .*model,1, "):
        run(data, "--model", f"{data}/model,9")
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        run(data / "nowhere")
    (data / "property").write_text("4,16,8")
    with pytest.raises(InputError, match=r"image 0 is 8×8 .* 16×8 in property"):
        run(data, "--target", "lfw")


def test_a_model_for_another_image_size(data):
    (data / "property").write_text("4,16,16")
    with pytest.raises(InputError, match=r"does not fit images of shape \(3, 16, 16\)"):
        run(data, "--target", "lfw")


def test_folds_with_one_kind_of_pair_raise_an_error_before_the_work(data, capsys):
    write_bin(str(data / "blocks.bin"), pictures(3, 30), [pair < 12 for pair in range(PAIRS)])
    with pytest.raises(InputError, match=r"blocks.bin: fold 1 of 10 .*src.data.lfw2pack"):
        run(data, "--target", "blocks")
    assert "testing verification" not in capsys.readouterr().out


def test_a_pickle_that_runs_code_is_rejected(data):
    (data / "evil.bin").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(InputError, match=r"evil.bin"):
        run(data, "--target", "evil")


def test_a_diverged_model(data):
    symbol, arg_params, _ = model(1)
    arg_params["fc1_weight"][:] = np.nan
    save_checkpoint(str(data / "diverged"), 1, symbol, arg_params, {})
    with pytest.raises(InputError, match="not finite for 48 of 48"):
        run(data, "--target", "lfw", "--model", f"{data}/diverged,1")


@pytest.mark.parametrize("flags", [("--mode", "3"), ("--batch-size", "0"), ("--nfolds", "0")])
def test_wrong_flags(data, flags, capsys):
    with pytest.raises(SystemExit) as exit_info:
        run(data, *flags)
    assert exit_info.value.code == 2
    assert flags[0] in capsys.readouterr().err


def test_the_process_ends_with_one_line_on_wrong_input(data):
    command = [sys.executable, "-m", "src.eval.verification", "--data-dir", str(data)]
    done = subprocess.run([*command, "--model", f"{data}/none,1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: no ")
    assert "Traceback" not in done.stderr


def test_the_page_of_all_models_and_sets(data):
    run(data, "--model", f"{data}/model", "--nfolds", "4", "--report", f"{data}/page.html")
    text = (data / "page.html").read_text()
    assert [text.count(f"ROC of {name}") >= 1 for name in ("lfw", "agedb_30")] == [True, True]
    assert all(f"model,{epoch}</td>" in text for epoch in (1, 2, 3))


def test_a_page_that_cannot_be_written_is_refused_before_the_work(data, capsys):
    with pytest.raises(InputError, match="--report"):
        run(data, "--report", f"{data}/property/page.html")
    assert "testing verification" not in capsys.readouterr().out
