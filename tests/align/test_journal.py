"""What a stopped alignment remembers."""

from src.align.journal import Journal, Outcome

ALIGNED = Outcome(0, "")
NO_FACE = Outcome(None, "no face")
UNREADABLE = Outcome(None, "empty", final=False)


def write(path, *entries):
    with Journal(path).open() as journal:
        for entry in entries:
            journal.add(*entry)


def test_outcomes_come_back(tmp_path):
    path, target = str(tmp_path / "journal"), tmp_path / "a.jpg"
    target.write_bytes(b"x")
    write(path, ("s/名.jpg", "1", ALIGNED), ("b", "2", NO_FACE), ("c", "3", UNREADABLE))
    journal = Journal(path)
    assert journal.outcome("s/名.jpg", "1", str(target)) == ALIGNED
    assert journal.outcome("b", "2", "") == NO_FACE
    assert journal.outcome("c", "3", "") is None, "unreadable photos are tried again"
    assert journal.outcome("b", "other fingerprint", "") is None
    assert journal.outcome("unknown", "1", "") is None


def test_an_aligned_face_must_still_be_there(tmp_path):
    write(str(tmp_path / "journal"), ("a", "1", ALIGNED))
    assert Journal(str(tmp_path / "journal")).outcome("a", "1", str(tmp_path / "a.jpg")) is None


def test_later_lines_win(tmp_path):
    path = str(tmp_path / "journal")
    write(path, ("a", "1", NO_FACE))
    write(path, ("a", "2", Outcome(None, "other")))
    assert Journal(path).outcome("a", "1", "") is None
    assert Journal(path).outcome("a", "2", "").reason == "other"


def test_a_line_that_was_cut_off_is_passed_over(tmp_path):
    path = tmp_path / "journal"
    write(str(path), ("a", "1", NO_FACE), ("b", "1", NO_FACE))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        write(str(path), ("c", "1", NO_FACE))
        journal = Journal(str(path))
        assert journal.outcome("c", "1", "") == NO_FACE
        assert (journal.outcome("b", "1", "") == NO_FACE) == (length >= len(whole) - 1)
