import json
import sys

import pytest

from lumina_core import LuminaError
from lumina_core.data.manifests import list_manifest, manifests_at, told_by


def write_lines(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def found(path):
    return {(item.name, item.caption) for item in list_manifest(path).items}


@pytest.fixture
def several(tmp_path):
    """A list of two manifests, one below it and one with a root."""
    write_lines(tmp_path / "a" / "one.jsonl", {"path": "1.png", "prompt": "one"})
    write_lines(tmp_path / "two.jsonl", {"image": "2.png", "caption": "two"})
    root = tmp_path / "elsewhere"
    entries = f"META: [{{path: a/one.jsonl, type: x}}, {{path: two.jsonl, root: {root}}}]"
    (tmp_path / "all.yaml").write_text(entries)
    return tmp_path / "all.yaml"


def test_a_list_of_manifests_is_read_as_one(several):
    root = several.parent / "elsewhere"
    assert found(several) == {("a/1.png", "one"), (f"{root}/2.png", "two")}
    paths = {item.path for item in list_manifest(several).items}
    assert paths == {several.parent / "a/1.png", root / "2.png"}


def test_a_ratio_is_a_share_of_the_records_and_always_the_same(tmp_path):
    records = [{"path": f"{number}.png", "text": f"{number}"} for number in range(1000)]
    write_lines(tmp_path / "set.jsonl", *records)
    shares = []
    for ratio in (0.2, 0.2, 0.6, 1):
        (tmp_path / "all.yaml").write_text(f"META: [{{path: set.jsonl, ratio: {ratio}}}]")
        shares.append(found(tmp_path / "all.yaml"))
    assert shares[0] == shares[1] < shares[2] < shares[3]
    assert [len(share) for share in shares[2:]] == [pytest.approx(600, abs=60), 1000]
    assert len(shares[0]) == pytest.approx(200, abs=60)


def test_a_record_may_have_several_captions(tmp_path):
    records = {"path": "1.png", "captions": ["a  dog", "an animal"]}, {"path": "1.png", "text": "x"}
    write_lines(tmp_path / "set.jsonl", *records, {"path": "2.png", "text": []})
    assert found(tmp_path / "set.jsonl") == {
        ("1.png", each) for each in ("a dog", "an animal", "x")
    }
    (manifest,) = manifests_at(tmp_path / "set.jsonl")
    empty, together = told_by(manifest, tmp_path)
    assert together.captions == ("a dog", "an animal", "x")
    assert empty == ("2.png", "its caption is no text but list")


def write_parquet(file, **columns):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(pyarrow.table(columns), file)


def test_parquet_tells_captions_by_column(tmp_path):
    names = [f"{number}.png" for number in range(10_000)]
    write_parquet(tmp_path / "set.parquet", path=names, caption=names, other=[1] * 10_000)
    assert found(tmp_path / "set.parquet") == {(name, name) for name in names}
    write_parquet(tmp_path / "set.parquet", path=["1.png", None], captions=[["a", "b"], ["c"]])
    assert found(tmp_path / "set.parquet") == {("1.png", "a"), ("1.png", "b")}
    assert list_manifest(tmp_path / "set.parquet").skipped == {
        "set.parquet:2": "it names no file; one of path, image, image_path, image_url, file_name "
        "is wanted"
    }


def test_parquet_with_media_inside_is_one_line(tmp_path):
    write_parquet(tmp_path / "set.parquet", image=[b"\x89PNG"], text=["a"])
    with pytest.raises(LuminaError, match=r"has the columns image, text; .* as tar shards"):
        list_manifest(tmp_path / "set.parquet")


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LuminaError, match=r"pip install 'lumina-core\[parquet\]'"):
        list_manifest(tmp_path / "set.parquet")
