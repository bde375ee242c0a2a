"""Lists of aligned folders, and of photos with landmark files."""

import os

import pytest

from src.align.merge_shards import main as merge_shards
from src.common.errors import InputError
from src.data.glint2lst import main
from src.formats.lists import parse_lst_line

NUMBERS = "30.5 51.25 65.0 51.0 48.1 71.7 33.5 92.3 62.7 104.626648"


def fill(folder, names, content):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def tree(tmp_path, make_picture):
    face = make_picture((9, 9, 9), (112, 112))
    fill(tmp_path / "aligned", ["b/1.jpg", "a/2.jpg", "a/1.jpg"], face)
    return tmp_path / "aligned"


def test_a_folder_tree_is_listed_in_order_with_property(tree, tmp_path, capsys, caplog):
    output = tmp_path / "train" / "train.lst"
    main([str(tree), "--output", str(output)])
    assert output.read_text() == (
        f"1\t{tree}/a/1.jpg\t0\n1\t{tree}/a/2.jpg\t0\n1\t{tree}/b/1.jpg\t1\n"
    )
    assert (tmp_path / "train" / "property").read_text() == "2,112,112"
    assert "3 photos of 2 people" in capsys.readouterr().out
    assert not caplog.records


def test_without_output_the_list_is_printed(tree, tmp_path, capsysbinary):
    main([str(tmp_path), "aligned"])
    assert capsysbinary.readouterr().out.decode().splitlines() == [
        f"1\t{tree}/a/1.jpg\t0", f"1\t{tree}/a/2.jpg\t0", f"1\t{tree}/b/1.jpg\t1",
    ]  # fmt: skip


def test_labels_continue_from_target_to_target(tree, tmp_path, make_picture):
    fill(tmp_path / "more", ["a/1.jpg"], make_picture((9, 9, 9), (112, 112)))
    main([str(tmp_path), "aligned,more", "--output", str(tmp_path / "l.lst")])
    lines = (tmp_path / "l.lst").read_text().splitlines()
    assert [line.split("\t")[2] for line in lines] == ["0", "0", "1", "2"]


def test_empty_folders_other_files_and_sizes_are_logged(tree, tmp_path, make_picture, caplog):
    fill(tree, ["b/notes.txt", "loose"], b"x")
    fill(tree, ["c/1.jpg"], make_picture((1, 1, 1), (20, 20)))
    (tree / "aa").mkdir()
    main([str(tree), "--output", str(tmp_path / "l.lst")])
    for text in (
        f"2 files in {tree} are not images and are skipped",
        "loose, b/notes.txt",
        "1 person folders contain no image: aa",
        "the first image of 1 of 3 people is not 112×112 pixels",
        "c/1.jpg",
    ):
        assert text in caplog.text
    # The empty folder gets no label.
    assert (tmp_path / "property").read_text() == "3,112,112"
    assert (tmp_path / "l.lst").read_text().splitlines()[-1].endswith("\t2")


@pytest.mark.parametrize("ending", ["_lmk", "_lmk.txt"])
def test_a_landmark_file_gives_unaligned_lines(tmp_path, ending, capsysbinary):
    (tmp_path / f"x{ending}").write_text(f"x/a.jpg 77 {NUMBERS}\nx/b.jpg 5 {NUMBERS}\n")
    (tmp_path / "y_lmk").write_text(f"y/c.jpg 77 {NUMBERS}\n")
    main([str(tmp_path), "x,y"])
    lines = capsysbinary.readouterr().out.decode().splitlines()
    # five x, then five y; the shortest decimals of float32, as Python 2 printed them
    coordinates = "30.5 65.0 48.1 33.5 62.7 51.25 51.0 71.7 92.3 104.62665".replace(" ", "\t")
    assert lines == [
        f"0\t{tmp_path}/x/a.jpg\t0\t0\t0\t0\t0\t{coordinates}",
        f"0\t{tmp_path}/x/b.jpg\t1\t0\t0\t0\t0\t{coordinates}",
        f"0\t{tmp_path}/y/c.jpg\t0\t0\t0\t0\t0\t{coordinates}",
    ]
    assert parse_lst_line(lines[0])[3][1].tolist() == [65.0, 51.0]


def test_photos_without_labels_get_minus_one(tmp_path):
    (tmp_path / "x_lmk").write_text(f"x/a.jpg {NUMBERS}\n\n")
    main([str(tmp_path), "x", "--output", str(tmp_path / "l.lst")])
    assert (tmp_path / "l.lst").read_text().split("\t")[2] == "-1"
    assert not (tmp_path / "property").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg 1 2 3", "expected `photo label 10 numbers`.*got 4 fields"),
        (f"a.jpg x {NUMBERS}", "invalid literal"),
        (f"a.jpg 1 {NUMBERS[:-10]}nan", "not a finite number"),
    ],
)
def test_a_wrong_landmark_line_is_reported_by_number(tmp_path, line, message):
    (tmp_path / "x_lmk").write_text(f"b.jpg 0 {NUMBERS}\n{line}\n")
    with pytest.raises(InputError, match=rf"x_lmk: line 2: .*{message}"):
        main([str(tmp_path), "x"])


def test_wrong_targets_are_errors(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nobody: no such folder, nor a landmark file"):
        main([str(tmp_path), "nobody"])
    (tmp_path / "x_lmk").write_text("")
    with pytest.raises(InputError, match="the landmark file is empty"):
        main([str(tmp_path), "x"])
    with pytest.raises(InputError, match=r"no aligned_lmk or aligned_lmk\.txt"):
        main([str(tmp_path), "x,aligned"])
    fill(tmp_path / "none", ["a/notes.txt"], b"x")
    with pytest.raises(InputError, match="none: no image in 1 person folders"):
        main([str(tmp_path / "none")])
    with pytest.raises(FileNotFoundError):
        main([str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="image size '12,x'"):
        main([str(tree), "--image-size", "12,x"])


def test_a_name_that_is_not_utf8_is_listed_unchanged(tree, tmp_path, make_picture, capsysbinary):
    odd = os.fsencode(tree) + b"/a/\xff.jpg"
    with open(odd, "wb") as file:
        file.write(make_picture((1, 1, 1), (112, 112)))
    main([str(tree)])
    assert b"/a/\xff.jpg\t0\n" in capsysbinary.readouterr().out


def test_parts_of_a_list_are_put_together(tree, tmp_path):
    whole, parts = tmp_path / "whole" / "train.lst", tmp_path / "parts" / "train.lst"
    main([str(tree), "--output", str(whole)])
    for part in range(2):
        main([str(tree), "--output", str(parts), "--shard", f"{part}/2"])
    assert not parts.exists()
    merge_shards([str(parts.parent)])
    assert parts.read_text() == whole.read_text()
    assert sorted(path.name for path in parts.parent.iterdir()) == ["property", "train.lst"]
    assert (parts.parent / "property").read_text() == (whole.parent / "property").read_text()
