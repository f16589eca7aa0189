"""What a result was made with."""

import sys

from gfm_utils.provenance import commit_of, environment_versions


def test_what_a_distribution_carries_inside_does_not_count(tmp_path, monkeypatch):
    """Ray puts its own copies on the path when it is imported: a chapter's key must not change with that."""
    before = environment_versions.__wrapped__()
    for holder, name in (("site-packages/ray/thirdparty_files", "carried"), ("packages", "installed")):
        about = tmp_path / holder / f"{name}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path / holder), *sys.path])
    assert environment_versions.__wrapped__() == {**before, "installed": "1.0"}
    assert {"python", "torch", "numpy"} <= set(before)


def test_a_copy_without_git_may_say_which_commit_it_is(tmp_path, monkeypatch):
    for name, root in (("unknown", tmp_path / "one"), ("0123abc", tmp_path / "other")):
        root.mkdir()
        assert commit_of(root) == name
        monkeypatch.setenv("GFM_COMMIT", "0123abc")
