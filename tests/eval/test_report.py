"""The report: its counts, pictures and sections."""

import base64
import json
import re

import cv2
import numpy as np
import pytest

from src.common.errors import InputError
from src.eval.report import count_records, main, skipped_photos, step_counts
from src.eval.report_pictures import contact_sheet
from src.formats.face_records import FaceRecordWriter

LOG = "".join(
    f"INFO:root:Epoch[0] Batch [{batch}]\tSpeed: 30.0 samples/sec\tacc={batch / 200}"
    f"\tlossvalue={40 - batch / 10}\n"
    for batch in range(20, 120, 20)
) + "[heldout][100]Accuracy-Flip: 0.87500+-0.02\n"  # fmt: skip


def results(accuracy):
    return {
        "model": "models/y1/model,1",
        "targets": {
            "held<out>": {
                "pairs": 40,
                "accuracy_flip": accuracy,
                "accuracy_flip_std": 0.01,
                "best_threshold": 1.25,
                "roc": {"fpr": [0, 0.1, 1], "tpr": [0, 0.9, 1], "auc": 0.9},
            }
        },
    }


@pytest.fixture
def work(tmp_path):
    """A working folder as the recipes leave it: 3 people with 4 faces, person k grey 60·(k+1)."""
    work = tmp_path / "work"
    lines = []
    for person in range(3):
        folder = work / "aligned" / "photos_jpg" / f"p{person}"
        folder.mkdir(parents=True)
        for number in range(4):
            face = np.full((112, 112, 3), 60 * (person + 1), np.uint8)
            cv2.imwrite(str(folder / f"{number}.jpg"), face)
            lines.append(f"1\t{folder / f'{number}.jpg'}\t{person}\n")
    (work / "all.lst").write_text("".join(lines))
    (work / "aligned" / "lst.skipped").write_text("/x/photos_jpg/p1/0009.jpg\tno face\n")
    (work / "photos_jpg").mkdir()
    (work / "photos_jpg" / "names.tsv").write_text(
        "old\tnew\tstate\n人/a.png\tp0/0001.jpg\tdone\n"
        "人/b.txt\tp0/0002.jpg\tskipped: /x/人/b.txt: not a photo\n"
    )
    (work / "part_1").mkdir()
    (work / "part_1" / "train.lst").write_text("".join(lines[:4]))
    (work / "merged").mkdir()
    with FaceRecordWriter(str(work / "merged" / "train.rec")) as writer:
        for label in (0, 0, 1):
            writer.add_image(label, b"jpeg")
    (work / "models" / "y1").mkdir(parents=True)
    (work / "models" / "y1" / "train.log").write_text(LOG)
    (work / "results.json").write_text(json.dumps(results(0.8125)))
    (work / "commands.txt").write_text("python -m src.data.x 'a & b'\n")
    return work


def test_counts_are_those_of_the_files(work):
    rows = step_counts(str(work), "")
    assert ("align", 12, "faces found and aligned") in rows
    assert ("list", 12, "faces listed") in rows
    assert ("hold out", 8, "faces of people held out for verification") in rows
    assert ("merge", 3, "images of 2 people in merged/train.rec") in rows
    assert count_records(str(work / "merged")) == (3, 2)


def test_skipped_photos_are_listed_with_the_reason(work):
    assert skipped_photos(str(work)) == [
        ("rename", "人/b.txt", "not a photo"),
        ("align", "p1/0009.jpg", "no face"),
    ]


def test_the_contact_sheet_has_one_row_per_person(work):
    sheet = contact_sheet(str(work / "all.lst"))
    side = sheet.shape[0] // 3
    for person in range(3):
        face = sheet[person * side : (person + 1) * side, : 4 * side]
        assert abs(face.astype(int) - 60 * (person + 1)).max() <= 2
    assert (sheet[:, 4 * side :] == 255).all()


def test_a_missing_face_is_blank_in_the_contact_sheet(work):
    (work / "aligned" / "photos_jpg" / "p1" / "0.jpg").unlink()
    sheet = contact_sheet(str(work / "all.lst"))
    side = sheet.shape[0] // 3
    assert (sheet[side : 2 * side, :side] == 255).all()
    assert (sheet[side : 2 * side, side : 2 * side] < 200).all()


def test_the_page_has_all_sections_and_is_self_contained(work, tmp_path, capsys):
    page_path = tmp_path / "report.html"
    main(["--work", str(work), "--output", str(page_path), "--warning", "only a test"])
    page = page_path.read_text()
    for text in ("0.81250 ± 0.01000", "held&lt;out&gt;", "a &amp; b", "only a test", "人/b.txt"):
        assert text in page
    assert page.count("<svg") == 2
    picture = base64.b64decode(re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)[1])
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) is not None
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert str(page_path) in capsys.readouterr().out


def test_sections_without_files_are_left_out(work, tmp_path):
    (work / "results.json").unlink()
    (work / "models" / "y1" / "train.log").unlink()
    main(["--work", str(work), "--output", str(tmp_path / "report.html")])
    page = (tmp_path / "report.html").read_text()
    assert "Verification" not in page
    assert "Aligned faces" in page


def test_the_error_names_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match=r"--work .*nowhere: no such folder"):
        main(["--work", str(tmp_path / "nowhere"), "--output", str(tmp_path / "r.html")])
