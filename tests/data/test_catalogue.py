"""The catalogue: counts of the real files as published, and every way of getting ml-100k."""

from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sharpap.data import RandomSplit, entries, load, read_interactions
from sharpap.data.catalogue import cache, datasets, loading
from sharpap.data.catalogue.download import download, extract, matches
from sharpap.errors import ConfigError, DataError, DownloadError
from sharpap.folders import claim

COUNTS = {  # name: users, items (id space), items seen, interactions, test
    "ml-100k": (943, 1682, None, None, None),
    "ml-1m": (5950, 3702, 3532, 574_619, 54_770),
    "gowalla": (29_858, 40_981, 40_981, 1_027_370, 217_242),
    "amazon-book": (70_679, 24_915, 24_915, 846_434, 193_920),
    "amazon-book-holdout": (52_643, 91_599, 82_629, 603_378, None),
    "amazon-books-small": (21_965, 20_679, 20_679, 219_690, None),
    "beauty": (22_363, 12_101, 12_101, 198_502, 22_363),
    "lastfm": (None, None, None, None, None),
}


def test_a_threshold_that_the_file_cannot_give_is_refused(data_home):
    with pytest.raises(ConfigError, match="only the pairs of 4 and 5"):
        load("ml-1m", threshold=3.0)
    assert load("ml-1m", threshold=4.0).train.nnz == 465_079


@pytest.mark.parametrize("name", COUNTS)
def test_real_files_have_the_published_counts(name, data_home):
    made = load(name)
    users, items, seen, total, test = COUNTS[name]
    whole = made.train.matrix + made.valid.matrix + made.test.matrix
    read, read_test = made.source["read"], made.source.get("read_test", {"rows": 0, "duplicates_merged": 0})
    if users is not None:
        assert made.train.matrix.shape == (users, items)
    if seen is not None:
        assert (whole.sum(0) > 0).sum() == seen
    if total is not None:
        assert whole.nnz == total
    if test is not None:
        assert made.test.nnz == test
    if name == "ml-100k":
        assert read["rows"] == 100_000
        assert whole.nnz == 100_000 - read["below_threshold"] == 55_375
        assert made.item_label(0) == "Toy Story (1995)"
    if name == "beauty":
        first = (data_home / "beauty" / "sequences.txt").read_text().split("\n", 1)[0].split()
        held = [part.item_ids[part.matrix.indices[:1]].tolist() for part in (made.test, made.valid)]
        assert held == [[int(first[-1])], [int(first[-2])]]
        assert made.train.timestamps[: made.train.user_counts[0]].tolist() == list(range(len(first) - 3))
    if name == "amazon-book":
        assert read["rows"] == 652_514
        assert (made.test.matrix.sum(1) == 0).sum() == 88
        assert made.source["valid"] == "taken out of train"
    if name == "amazon-books-small":
        assert read["rows"] + read_test["rows"] == 225_020
        repeated = read["duplicates_merged"] + read_test["duplicates_merged"]
        assert made.source["test_pairs_also_in_train"] == 801
        assert repeated + 801 == 5_330
    if name == "lastfm":
        assert read["rows"] + read_test["rows"] == 52_668
        assert made.train.matrix.shape == (1880, 4489)


@pytest.mark.parametrize("name", ["gowalla", "amazon-book"])
def test_what_is_downloaded_is_what_was_measured(name, data_home, tmp_path, monkeypatch):
    """The address and the checksum of each file: a download of the file at hand passes, one of anything else does not."""
    asked: dict[str, str] = {}

    def from_disk(url, target, checksum):
        asked[target.name] = url
        assert matches(data_home / name / target.name, checksum)

    monkeypatch.setattr(datasets, "download", from_disk)
    datasets.ENTRIES[name].sources[0](tmp_path / name)
    assert set(asked) == {"train.txt", "test.txt"}
    assert all(url.startswith("https://") and url.endswith(f"/{name}/{file}") for file, url in asked.items())


def test_the_odd_count_in_lastfm_is_read_as_a_number(data_home):
    path = data_home / "lastfm" / "data1.txt"
    user, item, count = path.read_text().splitlines()[6768].split("\t")
    assert count == "3.2466e+05"

    read = read_interactions(path, format="tsv", header=False, threshold=324_660)  # the largest count of the file
    row, column = (np.flatnonzero(ids == int(x))[0] for ids, x in ((read.user_ids, user), (read.item_ids, item)))
    assert read.nnz == 1
    assert read.matrix[row, column] == 1


def test_both_forms_of_ml_100k_are_the_same_data(data_home, tmp_path, monkeypatch):
    first = load("ml-100k")
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "ml-100k.inter").symlink_to(data_home / "ml-100k" / "ml-100k.inter")
    monkeypatch.setenv("SHARPAP_DATA_HOME", str(tmp_path))
    assert load("ml-100k").fingerprint == first.fingerprint


def test_a_published_split_can_be_split_anew(data_home):
    made = load("amazon-books-small", split=RandomSplit(valid=0, test=0.5), seed=1)
    assert made.test.nnz == pytest.approx(0.5 * (made.train.nnz + made.test.nnz), rel=0.1)
    assert made.source["split"] == "RandomSplit"


def test_own_files_and_misspelt_names(tmp_path):
    (tmp_path / "mine.csv").write_text(
        "user,item\n" + "".join(f"{u},{i}\n" for u in range(8) for i in range(u % 3, 12))
    )
    assert load(tmp_path / "mine.csv").name == "mine"
    (tmp_path / "tabs").write_text("".join(f"{u}\t{i}\n" for u in range(8) for i in range(9)) + "0\t0\n")
    with pytest.raises(DataError, match=r"tabs:73: User 0 and item 0 stand already in line 1"):
        load(tmp_path / "tabs", format="tsv", header=False, duplicates="refuse")
    (tmp_path / "train.txt").write_text("0 1 2 3\n1 0 2\n")
    (tmp_path / "test.txt").write_text("0 0\n1 1\n")
    assert load(tmp_path).test.nnz == 2
    with pytest.raises(ConfigError, match="Did you mean gowalla"):
        load("gowala")
    with pytest.raises(ConfigError, match="Unknown data option treshold"):
        load("ml-100k", treshold=4)
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path / "none.csv")


def test_synthetic_takes_its_shape():
    made = load("synthetic", users=50, items=60, interactions=500)
    assert made.train.matrix.shape == (50, 60)


# --- getting files: a loopback server and a local wheel stand in for the network ---


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; understands ranges; can break a transfer off after some bytes."""

    cut: int | None = None
    ranges: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        if start and start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        stop = len(data) if type(self).cut is None else start + type(self).cut
        self.wfile.write(data[start:stop])

    def log_message(self, *args) -> None: ...


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    Handler.cut, Handler.ranges = None, []
    made = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *args, **kwargs: Handler(*args, directory=str(folder), **kwargs)
    )
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()
    thread.join()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_a_download_that_broke_off_is_resumed(server, tmp_path):
    folder, url = server
    data = bytes(range(256)) * 2000
    (folder / "file.bin").write_bytes(data)
    target = tmp_path / "cache" / "file.bin"
    Handler.cut = 100_000
    with pytest.raises(DownloadError, match=r"closed early|IncompleteRead"):
        download(f"{url}/file.bin", target, sha256(data))
    assert not target.exists()
    Handler.cut = None
    download(f"{url}/file.bin", target, sha256(data))
    assert target.read_bytes() == data
    assert Handler.ranges[-1] is not None
    assert list(target.parent.iterdir()) == [target]


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    folder, url = server
    (folder / "file.bin").write_bytes(b"something else")
    with pytest.raises(DownloadError, match="checksum"):
        download(f"{url}/file.bin", tmp_path / "cache" / "file.bin", sha256(b"the real thing"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_404_and_no_server_are_one_line(server, tmp_path):
    _, url = server
    with pytest.raises(DownloadError, match="HTTP 404"):
        download(f"{url}/nothing", tmp_path / "x", "sha256:0")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DownloadError, match="refused"):
        download(f"http://127.0.0.1:{port}/nothing", tmp_path / "x", "sha256:0", timeout=2)


def test_a_partial_file_longer_than_the_whole_is_dropped(server, tmp_path):
    folder, url = server
    (folder / "file.bin").write_bytes(b"abc")
    (tmp_path / ".sharpap-file.bin.part").write_bytes(b"much longer")
    assert download(f"{url}/file.bin", tmp_path / "file.bin", sha256(b"abc")).read_bytes() == b"abc"


def grouplens_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("ml-100k/u.data", "1\t1\t5\t10\n1\t2\t4\t11\n2\t1\t5\t12\n2\t2\t3\t13\n")
        made.writestr("ml-100k/u.item", "1|Toy & Story (1995)|x\n2|Café (1996)|x\n".encode("latin-1"))


def test_official_archive(server, tmp_path):
    folder, url = server
    grouplens_zip(folder / "ml-100k.zip")
    data = (folder / "ml-100k.zip").read_bytes()
    archive = (f"{url}/ml-100k.zip", "md5:" + hashlib.md5(data).hexdigest())
    members = {"ml-100k/u.data": ("u.data", ""), "ml-100k/u.item": ("u.item", "")}
    target = tmp_path / "cache" / "ml-100k"
    datasets.from_grouplens(target, archive=archive, members=members)
    assert sorted(file.name for file in target.iterdir()) == ["u.data", "u.item"]
    assert [entry.name for entry in target.parent.iterdir()] == ["ml-100k"]
    made = datasets.ENTRIES["ml-100k"].prepare(target, datasets.Options())
    assert made.item_titles == ("Toy & Story (1995)", "Café (1996)")
    with pytest.raises(DownloadError, match=r"checksum of ml-100k/u.data"):
        datasets.from_grouplens(tmp_path / "other" / "ml-100k", archive=archive)
    assert not (tmp_path / "other" / "ml-100k").exists()


def recbole_wheel(folder: Path, content: bytes = b"x") -> Path:
    path = folder / "recbole-1.2.1-py3-none-any.whl"
    inside = "recbole/dataset_example/ml-100k/ml-100k"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{inside}.inter", content)
        made.writestr(f"{inside}.item", content)
        made.writestr("recbole/__init__.py", "raise RuntimeError('imported')")
        made.writestr("recbole-1.2.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n")
        made.writestr("recbole-1.2.1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr("recbole-1.2.1.dist-info/RECORD", "")
    return path


def test_wheel_of_recbole(tmp_path, monkeypatch):
    recbole_wheel(tmp_path)
    options = ("--no-index", "--find-links", str(tmp_path))
    target = tmp_path / "cache" / "ml-100k"
    with pytest.raises(DownloadError, match="checksum"):
        datasets.from_recbole_wheel(target, pip_options=options)
    assert not target.exists()
    for name in ("INTER", "ITEM"):
        monkeypatch.setattr(datasets, name, sha256(b"x"))
    datasets.from_recbole_wheel(target, pip_options=options)
    assert sorted(file.name for file in target.iterdir()) == ["ml-100k.inter", "ml-100k.item"]
    with pytest.raises(DownloadError, match="pip could not fetch"):
        datasets.from_recbole_wheel(target, pip_options=("--no-index", "--find-links", str(target)))


def test_the_order_of_sources_and_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("SHARPAP_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(loading, "cache_home", lambda: tmp_path / "cache")
    asked = []

    def failing(name):
        def source(folder):
            asked.append(name)
            raise DownloadError(f"{name} is down.")

        return source

    def working(folder):
        asked.append("wheel")
        (folder / "u.data").write_text("1\t1\t5\t10\n")

    entry = datasets.ENTRIES["ml-100k"]
    broken = datasets.replace(entry, sources=(failing("archive"), failing("wheel")))
    with pytest.raises(DownloadError, match=r"archive is down.*wheel is down.*--data synthetic"):
        loading.locate(broken)
    assert asked == ["archive", "wheel"]
    asked.clear()
    assert loading.locate(datasets.replace(entry, sources=(failing("archive"), working))) == tmp_path / "cache/ml-100k"
    assert asked == ["archive", "wheel"]
    asked.clear()
    loading.locate(broken)  # now in the cache
    (tmp_path / "home" / "ml-100k").mkdir(parents=True)
    (tmp_path / "home" / "ml-100k" / "u.data").write_text("1\t1\t5\t10\n")
    assert loading.locate(broken) == tmp_path / "home" / "ml-100k"
    assert asked == []


DAMAGE = {
    "a flipped bit": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-4]),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("case", DAMAGE)
@pytest.mark.parametrize("name", ["u.data", "u.item"])
def test_a_damaged_cache_is_told_put_aside_and_fetched_again(name, case, tmp_path, monkeypatch):
    """A cut or changed `u.data` reads as well as a whole one: without a checksum other data would be used in silence."""
    monkeypatch.delenv("SHARPAP_DATA_HOME", raising=False)
    monkeypatch.setattr(loading, "cache_home", lambda: tmp_path)
    said: list[str] = []
    monkeypatch.setattr(loading.progress, "event", lambda kind, **fields: said.append(fields["message"]))
    texts = {"u.data": "1\t1\t5\t10\n2\t2\t5\t10\n", "u.item": "1|Toy Story|x\n"}

    def fetch(folder):
        for name, text in texts.items():
            (folder / name).write_text(text)

    def down(folder):
        raise DownloadError("The server is down.")

    entry = datasets.replace(datasets.ENTRIES["ml-100k"], sources=(fetch,))
    folder = loading.locate(entry)
    assert loading.locate(datasets.replace(entry, sources=(down,))) == folder
    assert said == []
    DAMAGE[case](folder / name)
    with pytest.raises(DownloadError, match=rf"{name} in .* is no longer what was downloaded; The server is down"):
        loading.locate(datasets.replace(entry, sources=(down,)))
    assert case == "gone" or (folder / f"{name}.damaged").is_file()
    assert [line for line in said if name in line and "fetched again" in line]
    assert loading.locate(entry) == folder
    assert {name: (folder / name).read_text() for name in texts} == texts
    assert loading.locate(datasets.replace(entry, sources=(down,))) == folder


def test_a_cache_folder_without_checksums_is_sealed_if_ours_and_else_left_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("SHARPAP_DATA_HOME", raising=False)
    monkeypatch.setattr(loading, "cache_home", lambda: tmp_path)
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "u.data").write_text("1\t1\t5\t10\n")
    entry = datasets.replace(datasets.ENTRIES["ml-100k"], sources=())
    assert loading.locate(entry) == folder
    assert [path.name for path in folder.iterdir()] == ["u.data"]
    (folder / "u.data").rename(tmp_path / "u.data")
    claim(folder, "dataset")
    (tmp_path / "u.data").rename(folder / "u.data")
    assert loading.locate(entry) == folder
    (folder / "SHA256SUMS").write_text("nonsense")
    with pytest.raises(DownloadError, match="SHA256SUMS in"):
        loading.locate(entry)
    assert (folder / "u.data").is_file()


def test_a_file_in_the_way_of_a_download_is_never_replaced(server, tmp_path):
    folder, url = server
    (folder / "file.bin").write_bytes(b"the real thing")
    target = tmp_path / "file.bin"
    target.write_bytes(b"somebody's own")
    for checksum in (sha256(b"the real thing"), sha256(b"else")):
        with pytest.raises(DownloadError, match=r"file\.bin is there, and is not the file that belongs there"):
            download(f"{url}/file.bin", target, checksum)
    assert target.read_bytes() == b"somebody's own"
    assert download(f"{url}/file.bin", target, sha256(b"somebody's own")) == target  # it is that file: nothing to fetch
    assert Handler.ranges == []


def test_a_file_that_somebody_put_into_a_cache_folder_is_not_taken_for_a_damaged_one(tmp_path, monkeypatch):
    monkeypatch.delenv("SHARPAP_DATA_HOME", raising=False)
    monkeypatch.setattr(loading, "cache_home", lambda: tmp_path)
    entry = datasets.replace(
        datasets.ENTRIES["ml-100k"], sources=(lambda folder: (folder / "u.data").write_text("1\t1\t5\t10\n"),)
    )
    folder = tmp_path / "ml-100k"
    claim(folder, "dataset")
    for text in ("my notes", "my notes, longer"):
        (folder / "notes.txt").write_text(text)
        assert loading.locate(entry) == folder
        (folder / "u.data").write_text("damaged")
        assert loading.locate(entry) == folder
        assert (folder / "notes.txt").read_text() == text


def test_a_second_damaged_file_does_not_replace_the_first(tmp_path):
    for text in ("one", "two", "three"):
        (tmp_path / "u.data").write_text(text)
        cache.put_aside(tmp_path, ["u.data"])
    held = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert held == {"u.data.damaged": "one", "u.data.2.damaged": "two", "u.data.3.damaged": "three"}


def test_extract_refuses_what_is_no_archive(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(DownloadError, match="not the archive"):
        extract(tmp_path / "x.zip", {"a": ("a", "")}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert matches(tmp_path / "x.zip", sha256(b"no zip"))


def test_every_entry_says_what_it_is():
    assert all(entry.summary and entry.terms for entry in entries())
