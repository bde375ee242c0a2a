"""The journal from which a stopped alignment resumes."""

import json

import pytest

from src.align.journal import VERSION, Journal, Key, Outcome

ALIGNED = Outcome(0, "")
NO_FACE = Outcome(None, "no face")
UNREADABLE = Outcome(None, "empty", final=False)
SETTINGS = {"image_size": (112, 112), "face": "first"}


def write(path, *entries, settings=SETTINGS):
    with Journal(path, settings).open() as journal:
        for entry in entries:
            journal.add(*entry)


def outcome(path, key, settings=SETTINGS, defaults=None, target=""):
    return Journal(path, settings, defaults).outcome(key, target)


def key(name, stamp="1", known="", version_1="f"):
    return Key(name, stamp, known, version_1)


def test_outcomes_are_read_back(tmp_path):
    path, target = str(tmp_path / "journal"), tmp_path / "a.jpg"
    target.write_bytes(b"\xff\xd8\xff")
    write(path, (key("s/名.jpg"), ALIGNED), (key("b"), NO_FACE), (key("c"), UNREADABLE))
    assert outcome(path, key("s/名.jpg"), target=str(target)) == ALIGNED
    assert outcome(path, key("b")) == NO_FACE
    assert outcome(path, key("c")) is None, "unreadable photos are tried again"
    assert outcome(path, key("b", stamp="2")) is None
    assert outcome(path, key("b", known="3")) is None
    assert outcome(path, key("unknown")) is None


def test_an_aligned_face_must_still_exist(tmp_path):
    path = str(tmp_path / "journal")
    write(path, (key("a"), ALIGNED))
    assert outcome(path, key("a"), target=str(tmp_path / "a.jpg")) is None


def test_later_lines_win(tmp_path):
    path = str(tmp_path / "journal")
    write(path, (key("a"), NO_FACE))
    write(path, (key("a", stamp="2"), Outcome(None, "other")))
    assert outcome(path, key("a")) is None
    assert outcome(path, key("a", stamp="2")).reason == "other"


def test_a_line_that_was_cut_off_is_ignored(tmp_path):
    path = tmp_path / "journal"
    write(str(path), (key("a"), NO_FACE), (key("b"), NO_FACE))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        write(str(path), (key("c"), NO_FACE))
        assert outcome(str(path), key("c")) == NO_FACE
        assert (outcome(str(path), key("b")) == NO_FACE) == (length >= len(whole) - 1)


# ---------------------------------------------------------------------------------- settings


def test_other_settings_invalidate_an_outcome(tmp_path):
    path = str(tmp_path / "journal")
    write(path, (key("a"), NO_FACE))
    other = {**SETTINGS, "face": "central"}
    assert outcome(path, key("a"), other) is None
    write(path, (key("b"), NO_FACE), settings=other)
    assert outcome(path, key("b"), other) == NO_FACE
    assert outcome(path, key("b")) is None
    assert outcome(path, key("a")) == NO_FACE, "earlier lines still have the old settings"


def test_a_setting_that_a_later_version_adds_invalidates_nothing(tmp_path):
    path = str(tmp_path / "journal")
    write(path, (key("a"), NO_FACE))
    later = {**SETTINGS, "colour": "rgb"}
    assert outcome(path, key("a"), later, {"colour": "rgb"}) == NO_FACE
    assert outcome(path, key("a"), {**later, "colour": "bgr"}, {"colour": "rgb"}) is None


def test_settings_are_recorded_by_name(tmp_path):
    path = tmp_path / "journal"
    write(str(path), (key("a", "1", "2"), NO_FACE))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [
        {"version": VERSION, "settings": {"image_size": [112, 112], "face": "first"}},
        ["a", "1", "2", None, "no face", True],
    ]


# ---------------------------------------------------------------------------------- version 1


@pytest.fixture
def version_1(tmp_path):
    path = tmp_path / "journal"
    path.write_text('["a", "20-3-beef", null, "no face", true]\n["b", "f", null, "", false]\n')
    return str(path)


def test_a_journal_of_version_1_1_0_is_read(version_1):
    assert outcome(version_1, key("a", version_1="20-3-beef")) == NO_FACE
    assert outcome(version_1, key("a", version_1="20-3-dead")) is None
    assert outcome(version_1, key("b")) is None


def test_it_can_be_appended_to(version_1):
    write(version_1, (key("b"), NO_FACE))
    assert outcome(version_1, key("a", version_1="20-3-beef")) == NO_FACE
    assert outcome(version_1, key("b")) == NO_FACE


def test_a_journal_of_version_1_1_0_says_nothing_about_later_settings(version_1):
    a = key("a", version_1="20-3-beef")
    later = {**SETTINGS, "colour": "rgb"}
    assert outcome(version_1, a, later, {"colour": "rgb"}) == NO_FACE
    assert outcome(version_1, a, {**later, "colour": "bgr"}, {"colour": "rgb"}) is None


def test_a_setting_that_this_version_does_not_know_invalidates_an_outcome(tmp_path):
    path = str(tmp_path / "journal")
    write(path, (key("a"), NO_FACE), settings={**SETTINGS, "colour": "bgr"})
    assert outcome(path, key("a")) is None


@pytest.mark.parametrize("damage", ['{"settings": 3}', '{"version": 2, "sett', "[1, 2", "\x00\x00"])
def test_outcomes_after_an_unreadable_line_count_from_the_next_settings_on(tmp_path, damage):
    path = tmp_path / "journal"
    write(str(path), (key("a"), NO_FACE))
    with open(path, "a") as file:
        file.write(damage + "\n" + json.dumps(["b", "1", "", None, "no face", True]) + "\n")
    write(str(path), (key("c"), NO_FACE))
    found = {name: outcome(str(path), key(name)) for name in "abc"}
    assert found == {"a": NO_FACE, "b": None, "c": NO_FACE}


@pytest.mark.parametrize("content", [b"", bytes(999), b"x"])
def test_a_face_that_a_power_failure_left_empty_is_made_again(tmp_path, content):
    path, target = str(tmp_path / "journal"), tmp_path / "a.jpg"
    write(path, (key("a"), ALIGNED))
    target.write_bytes(content)
    assert outcome(path, key("a"), target=str(target)) is None
    target.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert outcome(path, key("a"), target=str(target)) == ALIGNED
