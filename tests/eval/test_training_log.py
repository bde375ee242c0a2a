"""Reading training logs, of 2018 and of this project."""

import numpy as np
import pytest

from src.eval.report import write_report
from src.eval.training_log import read_training_log

LOG = """gpu num: 1
INFO:root:Epoch[0] Batch [20]\tSpeed: 990.78 samples/sec\tacc=0.002976\tlossvalue=40.5
INFO:root:Epoch[0] Batch [40]\tSpeed: 1074.50 samples/sec\tacc=0.000684\tlossvalue=3.9e+01
lr-batch-epoch: 0.1 999 0
[lfw][2000]XNorm: 11.25
[lfw][2000]Accuracy-Flip: 0.99483+-0.00418
INFO:root:Epoch[1] Batch [20]\tSpeed: 1.50 samples/sec\tacc=0.5\tlossvalue=nan
[agedb_30][4000]Accuracy-Flip: 0.96000+-0.01
"""


def test_numbers_are_read_by_batch(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(LOG)
    log = read_training_log(path)
    np.testing.assert_array_equal(log.speed[0], [20, 40, 60])
    np.testing.assert_array_equal(log.speed[1], [990.78, 1074.5, 1.5])
    np.testing.assert_array_equal(log.metrics["acc"][1], [0.002976, 0.000684, 0.5])
    np.testing.assert_array_equal(log.metrics["lossvalue"][1], [40.5, 39.0, np.nan])
    np.testing.assert_array_equal(log.verification["lfw"], [[2000], [0.99483]])
    np.testing.assert_array_equal(log.verification["agedb_30"], [[4000], [0.96]])


@pytest.mark.parametrize("word", ["per", "an"])
def test_batches_are_exact_if_the_log_gives_the_length_of_an_epoch(tmp_path, word):
    path = tmp_path / "train.log"
    path.write_text(
        f"INFO:root:280 images, 9 batches of 32 {word} epoch\n"
        "INFO:root:Epoch[2] Batch [2]\tSpeed: 30.0 samples/sec\tacc=0.1\tdata-wait=0.5%\n"
        "INFO:root:Epoch[4] Batch [4]\tSpeed: 30.0 samples/sec\tacc=0.2\tdata-wait=0.5%\n"
    )
    log = read_training_log(path)
    np.testing.assert_array_equal(log.speed[0], [20, 40])
    assert list(log.metrics) == ["acc"]


def test_short_epochs_of_unknown_length_count_as_one_interval(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(
        "INFO:root:Epoch[7] Batch [1]\tSpeed: 30.0 samples/sec\tlossvalue=0.2\n"
        "INFO:root:Epoch[14] Batch [0]\tSpeed: 30.0 samples/sec\tlossvalue=0.1\n"
    )
    np.testing.assert_array_equal(read_training_log(path).metrics["lossvalue"][0], [20, 40])


def test_another_file_gives_an_empty_log(tmp_path):
    path = tmp_path / "train.log"
    path.write_text("nothing\n")
    log = read_training_log(path)
    assert len(log.speed[0]) == 0
    assert not log.metrics
    assert not log.verification


def test_the_published_log_of_2018(shared):
    log = read_training_log(shared / "pretrained" / "model-y1-test2" / "train.log")
    assert len(log.speed[0]) > 1000
    assert max(log.verification["lfw"][1]) == pytest.approx(0.995)


def test_lines_with_other_numbers_are_ignored(tmp_path):
    path = tmp_path / "train.log"
    nines = "9" * 5000
    path.write_text(
        f"Epoch[{nines}] Batch [20]\tSpeed: 1.0 samples/sec\tacc=0.5\n"
        "Epoch[0] Batch [20]\tSpeed: 1.2.3 samples/sec\tacc=0.5\n"
        f"[lfw][{nines}]Accuracy-Flip: 0.9+-0.1\n"
        "Epoch[0] Batch [20]\tSpeed: 1.5 samples/sec\tacc=1.2.3\n"
    )
    log = read_training_log(path)
    assert log.speed[1].tolist() == [1.5]
    assert not log.verification


@pytest.mark.parametrize("batch", ["{}", "{}-{}"])
def test_logs_of_later_mxnet_give_the_same(tmp_path, batch):
    lines = []
    for epoch, start in ((0, 0), (0, 20), (1, 0)):
        where = batch.format(*((start, start + 20) if "-" in batch else (start + 20,)))
        lines.append(
            f"INFO:root:Epoch[{epoch}] Batch [{where}]\tSpeed: 9.5 samples/sec\tacc=nan\t"
            "lossvalue=nan\n"
        )
    lines.append("INFO:root:Epoch[1] Batch [20-40]\tSpeed: inf samples/sec\tlossvalue=1.5\n")
    path = tmp_path / "train.log"
    path.write_text("".join(lines))
    log = read_training_log(path)
    np.testing.assert_array_equal(log.speed, [[20, 40, 60, 80], [9.5, 9.5, 9.5, np.inf]])
    np.testing.assert_array_equal(log.metrics["acc"][1], [np.nan] * 3)
    np.testing.assert_array_equal(log.metrics["lossvalue"][1], [np.nan] * 3 + [1.5])


def test_the_case_of_a_log_of_mxnet_15(shared, tmp_path):
    work = shared / "cases" / "models" / "log_mxnet15"
    log = read_training_log(work / "models" / "r50" / "train.log")
    np.testing.assert_array_equal(log.speed[0][:3], [20, 40, 60])
    assert {"acc", "lossvalue"} <= {*log.metrics}
    assert "Training" in write_report(str(work), "", str(tmp_path / "r.html"), "t", "")
