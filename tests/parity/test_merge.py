"""dataset_merge against the sets that the 2018 script wrote (shared/reference/merge)."""

from src.data import dataset_merge


def assert_same_files(folder, reference):
    for name in ("train.rec", "train.idx", "property"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name


def test_without_a_model_the_bytes_are_the_same(shared, tmp_path):
    reference = shared / "reference" / "merge"
    include = f"{reference}/mA,{reference}/mB"
    dataset_merge.main(
        ["--include", include, "--output", str(tmp_path), "--model", "", "--param1", "0"]
    )
    assert_same_files(tmp_path, reference / "m_nomodel")


def test_with_the_published_model_the_same_identities_are_kept(shared, tmp_path):
    reference = shared / "reference" / "merge"
    model = f"{shared}/pretrained/model-y1-test2/model,0"
    include = f"{reference}/mA,{reference}/mB"
    dataset_merge.main(
        ["--include", include, "--output", str(tmp_path), "--model", model, "--param1", "0.3"]
    )
    # The same identities in the same order give the same bytes, because images are not re-encoded.
    assert_same_files(tmp_path, reference / "m_model")
    results = (tmp_path / "merge_report.tsv").read_text().split()
    assert (results.count("kept"), results.count("duplicate")) == (51, 9)
