"""Merging sets whose people are colours: who is kept, who is dropped and why."""

import logging
import os
from types import SimpleNamespace

import numpy as np
import pytest

from src.checkpoints.files import load_checkpoint, save_checkpoint
from src.common.errors import InputError
from src.common.mxnet_backend import mx
from src.data import dataset_merge
from src.data.centre_store import CentreStore
from src.data.class_centres import unit_rows
from src.data.merging import open_face_set
from src.formats.face_layout import open_face_records
from src.formats.face_records import FaceRecordWriter
from src.formats.property import load_property, write_property
from src.formats.records import RecordReader
from src.formats.verification_set import write_bin

RED, GREEN, BLUE, GREY = (250, 120, 120), (120, 250, 120), (120, 120, 250), (200, 200, 200)
PINK = (250, 140, 140)  # cosine to RED 0.98, to GREY 0.72
NEARLY_RED = (240, 120, 130)


def merge(include, output, *flags):
    dataset_merge.main(["--include", ",".join(include), "--output", str(output), *flags])


def read_report(output):
    with open(os.path.join(output, "merge_report.tsv"), encoding="utf-8") as file:
        rows = [line.split("\t") for line in file.read().splitlines()]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def read_labels(output):
    reader, layout = open_face_records(str(output))
    with reader:
        labels = [reader.read(index).label.tolist() for index in layout.image_ids]
    assert load_property(str(output)).num_classes == len(layout.identity_ranges)
    return [label for (label,) in labels]


def test_sets_are_merged_without_a_model(make_set, tmp_path, capsys):
    first, second = make_set("a", [RED, GREEN]), make_set("b", [RED], images=3)
    merge([first, second], tmp_path / "out", "--model", "", "--param1", "0")
    assert read_labels(tmp_path / "out") == [0, 0, 1, 1, 2, 2, 2]
    out = capsys.readouterr().out
    assert "image_size [16, 16]" in out
    assert "header0 label [5. 7.]" in out
    assert "7 images + 3 identities + 1 header" in out
    with (
        RecordReader(tmp_path / "out" / "train.rec") as merged,
        RecordReader(first + "/train.rec") as source,
    ):
        assert merged.read(1).content == source.read(1).content


def test_duplicates_of_earlier_sets_are_dropped(make_set, tmp_path, colour_model, capsys):
    sets = [make_set("a", [RED, GREEN]), make_set("b", [BLUE, NEARLY_RED, PINK]),
            make_set("c", [GREEN, BLUE])]  # fmt: skip
    merge(sets, tmp_path / "out", "--model", colour_model, "--param1", "0.99")
    assert [
        (row["set"][-1], row["label"], row["result"], row["like_set"][-1:], row["like"],
         row["new_label"])
        for row in read_report(tmp_path / "out")
    ] == [
        ("a", "0", "kept", "", "", "0"),
        ("a", "1", "kept", "", "", "1"),
        ("b", "0", "kept", "a", "0", "2"),
        ("b", "1", "duplicate", "a", "0", ""),
        ("b", "2", "kept", "a", "0", "3"),
        ("c", "0", "duplicate", "a", "1", ""),
        ("c", "1", "duplicate", "b", "0", ""),
    ]  # fmt: skip
    assert read_labels(tmp_path / "out") == [0, 0, 1, 1, 2, 2, 3, 3]
    out = capsys.readouterr().out
    for text in ("\n0 2\n", "\n1 3 4\n", "\n2 2 4\n", "b: 3 identities, 2 kept, 1 duplicate",
                 "lowest similarity among the duplicates: 0.99"):  # fmt: skip
        assert text in out
    similarity = float(read_report(tmp_path / "out")[3]["similarity"])
    cosine = unit_rows([np.array(RED) - 128]) @ unit_rows([np.array(NEARLY_RED) - 128]).T
    assert similarity == pytest.approx(cosine.item(), abs=1e-4)
    # The saved centres have been removed.
    assert sorted(os.listdir(tmp_path / "out")) == [
        "merge_report.tsv", "property", "train.idx", "train.rec",
    ]  # fmt: skip


def test_people_of_one_set_are_not_compared(make_set, tmp_path, colour_model):
    sets = [make_set("a", [RED, RED]), make_set("b", [GREEN, GREEN])]
    merge(sets, tmp_path / "out", "--model", colour_model)
    assert [row["result"] for row in read_report(tmp_path / "out")] == ["kept"] * 4


@pytest.mark.parametrize("kind", ["folder", "bin"])
def test_excluded_people_are_dropped(make_set, make_picture, tmp_path, colour_model, capsys, kind):
    folder = make_set("a", [RED, GREEN, BLUE])
    if kind == "folder":
        exclude = make_set("test", [BLUE, NEARLY_RED])
    else:
        exclude = str(tmp_path / "test.bin")
        write_bin(exclude, [make_picture(BLUE), make_picture(NEARLY_RED)], [False])
    flags = ("--model", colour_model, "--exclude", exclude, "--param2", "0.9")
    merge([folder], tmp_path / "out", *flags)
    assert [(row["result"], row["like"]) for row in read_report(tmp_path / "out")] == [
        ("excluded", "1"), ("kept", ""), ("excluded", "0"),
    ]  # fmt: skip
    assert read_labels(tmp_path / "out") == [0, 0]
    assert "exclude 2" in capsys.readouterr().out


def test_a_prefix_without_epoch_means_the_newest_checkpoint(
    make_set, tmp_path, colour_model, caplog
):
    prefix = colour_model.partition(",")[0]
    symbol, arg_params, aux_params = load_checkpoint(prefix, 0)
    save_checkpoint(prefix, 3, symbol, arg_params, aux_params)
    blind = {name: array * 0 + 1 for name, array in arg_params.items()}
    save_checkpoint(prefix, 0, symbol, blind, aux_params)
    caplog.set_level(logging.INFO)
    sets = [make_set("a", [RED]), make_set("b", [NEARLY_RED, BLUE])]
    merge(sets, tmp_path / "out", "--model", prefix)
    assert f"the newest checkpoint is taken, {prefix},3" in caplog.text
    assert [row["result"] for row in read_report(tmp_path / "out")] == ["kept", "duplicate", "kept"]


def test_an_included_set_can_also_be_excluded(make_set, tmp_path, colour_model):
    a, b = make_set("a", [RED]), make_set("b", [BLUE])
    merge([a, b], tmp_path / "out", "--model", colour_model, "--exclude", b)
    assert [row["result"] for row in read_report(tmp_path / "out")] == ["kept", "excluded"]
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith("centres")]


def test_a_test_run_writes_only_the_report(make_set, tmp_path):
    merge([make_set("a", [RED])], tmp_path / "out", "--model", "", "--param1", "0", "--test", "1")
    assert os.listdir(tmp_path / "out") == ["merge_report.tsv"]


def test_undecodable_images_are_skipped(make_set, make_picture, tmp_path, colour_model, caplog):
    folder = tmp_path / "b"
    folder.mkdir()
    with FaceRecordWriter(folder / "train.rec") as writer:
        for label, content in [(0, make_picture(BLUE)), (0, b"x"), (1, b"y")]:
            writer.add_image([label, 1], content)
    write_property(str(folder / "property"), 2, (16, 16))
    merge([make_set("a", [RED]), str(folder)], tmp_path / "out", "--model", colour_model)
    assert [row["result"] for row in read_report(tmp_path / "out")] == [
        "kept", "kept", "unreadable",
    ]  # fmt: skip
    assert read_labels(tmp_path / "out") == [0, 0, 1]
    assert "image 2 cannot be decoded" in caplog.text


def test_an_interrupted_merge_resumes_from_saved_centres(
    make_set, tmp_path, colour_model, monkeypatch
):
    sets = [make_set("a", [RED, GREEN]), make_set("b", [BLUE])]
    computed = []
    compute = dataset_merge.class_centres

    def counted(reader, *arguments):
        if len(computed) == 1:
            computed.append("stopped")
            raise KeyboardInterrupt
        computed.append(reader.path)
        return compute(reader, *arguments)

    monkeypatch.setattr(dataset_merge, "class_centres", counted)
    with pytest.raises(KeyboardInterrupt):
        merge(sets, tmp_path / "out", "--model", colour_model)
    merge(sets, tmp_path / "out", "--model", colour_model)
    assert computed == [sets[0] + "/train.rec", "stopped", sets[1] + "/train.rec"]
    assert len(read_report(tmp_path / "out")) == 3


def test_saved_centres_depend_on_the_batch_size(make_set, tmp_path, colour_model):
    """With the GNAP head, an embedding depends on its batch."""
    face_set = open_face_set(make_set("a", [RED]))
    stores = [CentreStore(str(tmp_path), colour_model, ((16, 16), size)) for size in (4, 8)]
    stores[0].save(face_set, np.eye(1, 3), [])
    np.testing.assert_array_equal(stores[0].load(face_set)[0], np.eye(1, 3))
    assert stores[1].load(face_set) is None


def test_get_embedding_works_with_either_reader(make_set, colour_model):
    folder = make_set("a", [RED, GREEN])
    module = dataset_merge.load_model(colour_model, 4, (16, 16))
    args = SimpleNamespace(batch_size=4)
    expected = unit_rows([np.array(GREEN) - 128])[0]
    mxnet_reader = mx.recordio.MXIndexedRecordIO(f"{folder}/train.idx", f"{folder}/train.rec", "r")
    with RecordReader(f"{folder}/train.rec") as reader:
        for source in (reader, mxnet_reader):
            found = dataset_merge.get_embedding(args, source, 6, [16, 16], module)
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_wrong_class_count_is_logged(make_set, tmp_path, caplog):
    folder = make_set("a", [RED])
    write_property(f"{folder}/property", 7, (16, 16))
    merge([folder], tmp_path / "out", "--model", "", "--param1", "0")
    assert "property gives 7 classes, but the records have 1 identities" in caplog.text


def test_wrong_arguments_are_errors(make_set, tmp_path, colour_model):
    a, large = make_set("a", [RED]), make_set("large", [RED], size=(20, 20))
    out = str(tmp_path / "out")
    plain = ["--model", "", "--param1", "0"]
    for flags, message in [
        (["--output", out], "--include is missing: list the data set folders"),
        (["--include", a], "--output is missing: name the folder"),
        (["--include", a, "--output", out, "--model", ""], "--param1 0.3 needs a model"),
        (["--include", a, "--output", out, *plain, "--exclude", a], "--exclude needs a model"),
        (["--include", a, "--output", a, *plain], "is also in --include"),
        (["--include", f"{a},{a}", "--output", out, *plain], "lists a folder twice"),
        (["--include", f"{a},{large}", "--output", out, *plain],
         "large/property gives images of 20×20 pixels, but .*a/property 16×16"),
        (["--include", a, "--output", out, "--batch-size", "0"],
         "--batch-size 0: expected at least 1"),
        (["--include", a, "--output", out, "--model", f"{colour_model}|0"], "name one epoch"),
        (["--include", a, "--output", out, "--model", "none,1"], "none-0001"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=message):
            dataset_merge.main(flags)
    for flags, message in [
        (["--include", str(tmp_path / "x"), "--output", out, *plain], "x: no such folder"),
        (["--include", a, "--output", out, "--model", colour_model, "--exclude", "x"],
         "--exclude x: neither a data set folder nor a .bin"),
    ]:  # fmt: skip
        with pytest.raises(FileNotFoundError, match=message):
            dataset_merge.main(flags)
    assert not (tmp_path / "out" / "train.rec").exists()
