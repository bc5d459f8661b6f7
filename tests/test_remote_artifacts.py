"""Files of runs and models that are not on this machine."""

from __future__ import annotations

import importlib
import io
import os
import sys
import threading
import uuid
from pathlib import Path

import pytest
from _http_servers import HttpServer, LosingProxy
from _mlflow_server import free_port, mlflow_server  # noqa: F401 - a fixture

from skledger.errors import (
    InvalidParameterError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores import artifacts
from skledger.stores.artifacts import artifact_store
from skledger.stores.rest import RestStore
from skledger.tracking.entities import FileInfo

SERVED = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(autouse=True)
def _nothing_in_use(monkeypatch):
    """No server in use, nobody known to it, and no credentials of AWS but the tests'."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "MLFLOW_", "SKLEDGER_TRACKING_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(artifacts, "current_server", None)


@pytest.fixture(scope="module")
def object_store():
    """An object store that speaks S3, with the bucket ``bucket``."""
    import boto3
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    uri = f"http://127.0.0.1:{port}"
    login = {"aws_access_key_id": "me", "aws_secret_access_key": "secret"}
    boto3.client("s3", endpoint_url=uri, region_name="us-east-1", **login).create_bucket(
        Bucket="bucket"
    )
    yield uri
    server.stop()


@pytest.fixture
def s3(object_store, monkeypatch):
    """Who asks the object store, as the variables say it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", object_store)
    return object_store


def new_place(kind, request):
    name = uuid.uuid4().hex
    if kind == "memory":
        return artifact_store(f"memory://root/{name}/artifacts")
    if kind == "s3":
        request.getfixturevalue("s3")
        return artifact_store(f"s3://bucket/{name}/artifacts")
    server = request.getfixturevalue("mlflow_server").uri
    if kind == "served":
        return artifact_store(f"mlflow-artifacts:/{name}/artifacts", server)
    return artifact_store(f"{server}{SERVED}/{name}/artifacts")


@pytest.fixture(params=["served", "http", "s3", "memory"])
def place(request):
    return new_place(request.param, request)


def test_files_go_there_and_come_back(place, tmp_path):
    """Bytes, files and folders are listed with their sizes, opened, and brought to this machine."""
    folder = tmp_path / "folder" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a" * 3)
    (tmp_path / "folder" / "empty").write_bytes(b"")
    assert place.list() == []
    place.put_bytes("one.txt", b"one")
    place.put_bytes("plots/roc curve+ü&=~.png", memoryview(bytearray(b"png")))
    place.put_file("plots/two.txt", folder / "a.bin")
    place.put_folder("f", tmp_path / "folder")
    assert place.list() == ["f", "one.txt", "plots"]
    assert place.list("plots") == ["plots/roc curve+ü&=~.png", "plots/two.txt"]
    assert place.list("f") == ["f/deep", "f/empty"]
    assert place.list("one.txt") == place.list("nothing") == []
    assert place.list_infos()[:2] == [FileInfo("f", True), FileInfo("one.txt", False, 3)]
    with place.open("plots/roc curve+ü&=~.png") as file:
        assert file.read() == b"png"
        assert file.seek(1) == 1 and file.read() == b"ng"
    assert place.open("f/empty").read() == b""
    assert Path(place.local_path("one.txt")).read_bytes() == b"one"
    local = Path(place.local_path())
    files = sorted(str(each.relative_to(local)) for each in local.rglob("*") if each.is_file())
    assert files == ["f/deep/a.bin", "f/empty", "one.txt", *place.list("plots")]
    assert Path(place.local_path("f/deep")) == local / "f" / "deep"


def test_what_is_there_now_counts(place, tmp_path):
    """A file that was written again is downloaded again; what is gone goes from the copy too."""
    place.put_bytes("a/x", b"old")
    local = Path(place.local_path("a"))
    (local / "stale").write_bytes(b"")
    (local / "stale.tmp").write_bytes(b"")
    (local / "folder").mkdir()
    place.put_bytes("a/x", b"new!")
    with (local / "x").open("rb") as held:
        assert Path(place.local_path("a")) == local
        assert held.read() == b"old"
    assert (local / "x").read_bytes() == b"new!"
    assert sorted(each.name for each in local.iterdir()) == ["x"]


def test_what_is_not_there(place, tmp_path):
    """It is a NotFoundError to open it, to bring it, and to send it."""
    place.put_bytes("folder/x", b"")
    for call in (
        lambda: place.open("nothing"),
        lambda: place.open("folder"),
        lambda: place.local_path("nothing"),
        lambda: place.put_file("x", tmp_path / "nothing"),
        lambda: place.put_folder("x", tmp_path / "nothing"),
    ):
        with pytest.raises(NotFoundError, match="there is no"):
            call()
    assert Path(place.local_path()).is_dir()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a\\b", "C:/x", "a\0b", "", None])
def test_a_path_stays_below_the_root(place, path):
    """A path that leads out is refused before anything is sent."""
    for call in (lambda: place.put_bytes(path, b""), lambda: place.open(path)):
        with pytest.raises(InvalidParameterError, match="artifact path"):
            call()


def test_large_files_go_in_pieces(place, tmp_path):
    """Neither sending nor opening holds a file in memory."""
    import tracemalloc

    size = 48 << 20
    source = tmp_path / "large"
    with source.open("wb") as file:
        for n in range(size >> 20):
            file.write(bytes([n]) * (1 << 20))
    # A file system in memory holds what it has, and so does the tests' object store.
    limit = size // 2 if "mlflow-artifacts" in place.uri else 6 * size
    place.put_bytes("warm", b"up")
    place.open("warm").close()
    tracemalloc.start()
    place.put_file("large", source)
    with place.open("large") as file:
        file.seek(7 << 20)
        assert file.read(2) == b"\7\7"
        assert file.seek(0, io.SEEK_END) == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < limit, f"{peak >> 20} MiB"


def test_mlflow_reads_our_files_and_we_read_mlflows(mlflow_server, tmp_path):  # noqa: F811
    """Files of a run go both ways through the server."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=mlflow_server.uri)
    run = client.create_run(client.create_experiment(uuid.uuid4().hex))
    RestStore(mlflow_server.uri)
    place = artifact_store(run.info.artifact_uri)
    place.put_bytes("ours/ü x.txt", b"ours")
    (tmp_path / "theirs.txt").write_bytes(b"theirs")
    client.log_artifact(run.info.run_id, str(tmp_path / "theirs.txt"), "their folder")
    listed = client.list_artifacts(run.info.run_id, "ours")
    assert [(each.path, each.file_size) for each in listed] == [("ours/ü x.txt", 4)]
    local = client.download_artifacts(run.info.run_id, "ours/ü x.txt", str(tmp_path))
    assert Path(local).read_bytes() == b"ours"
    assert place.list("their folder") == ["their folder/theirs.txt"]
    assert place.open("their folder/theirs.txt").read() == b"theirs"


def test_files_that_are_on_the_server_need_one(mlflow_server):  # noqa: F811
    """Without a server in use they are refused with what to set; a host in the URI is one."""
    with pytest.raises(InvalidParameterError, match="set the tracking URI"):
        artifact_store("mlflow-artifacts:/1/x")
    port = mlflow_server.uri.rpartition(":")[2]
    name = uuid.uuid4().hex
    place = artifact_store(f"mlflow-artifacts://localhost:{port}/{name}", "http://elsewhere")
    place.put_bytes("x", b"1")
    assert artifact_store(f"mlflow-artifacts:/{name}", mlflow_server.uri).list() == ["x"]
    for bad in ("http://host/x", f"http://host{SERVED}more", f"http://host{SERVED}?x=1"):
        with pytest.raises(InvalidParameterError, match="tracking server"):
            artifact_store(bad)


@pytest.fixture
def server():
    opened = []

    def serve(answer):
        opened.append(HttpServer(answer).__enter__())
        return opened[-1]

    yield serve
    for each in opened:
        each.__exit__()


def test_only_the_host_of_the_server_is_told_who_asks(server, monkeypatch):
    """An artifact location on another host, which a user of the server wrote, gets no token."""
    monkeypatch.setenv("SKLEDGER_TRACKING_TOKEN", "secret")
    there = server(lambda h: h.reply(200, {}))
    elsewhere = there.uri.replace("localhost", "127.0.0.1")
    for uri, told in ((there.uri, "Bearer secret"), (elsewhere, None)):
        place = artifact_store(f"{uri}{SERVED}/x", there.uri)
        place.list()
        place.put_bytes("x", b"1")
        place.open("x")
        assert [each[2].get("Authorization") for each in there.seen[-3:]] == [told] * 3
    assert artifact_store(f"{elsewhere}{SERVED}/x").list() == []
    assert there.seen[-1][2]["Authorization"] == "Bearer secret"


def test_names_of_a_server_do_not_lead_out(server):
    """Whatever a listing says, copies stay in their folder."""
    listing = [{"path": name} for name in ("../../evil", "..", "/etc/evil", "a\\b", "", "good")]

    def answer(handler):
        if "?path=root" in handler.path:
            handler.reply(200, {"files": listing})
        else:
            handler.reply(200, b"content")

    place = artifact_store("mlflow-artifacts:/root", server(answer).uri)
    assert place.list() == ["evil", "good"]
    local = Path(place.local_path())
    assert sorted(each.name for each in local.iterdir()) == ["evil", "good"]


def test_a_server_that_serves_no_files(server):
    """What it says is passed on; no answer is a StoreUnavailableError."""
    said = b"Endpoint disabled: the server runs in --no-serve-artifacts mode"
    place = artifact_store("mlflow-artifacts:/1/x", server(lambda h: h.reply(503, said)).uri)
    for call in (
        lambda: place.put_bytes("x", b""),
        lambda: place.open("x"),
        place.list,
        place.local_path,
    ):
        with pytest.raises(StoreUnavailableError, match="--no-serve-artifacts"):
            call()
    place = artifact_store("mlflow-artifacts:/1/x", f"http://localhost:{free_port()}")
    with pytest.raises(StoreUnavailableError, match="no connection"):
        place.put_bytes("x", b"")


def test_an_upload_that_broke_off_can_be_repeated(mlflow_server, tmp_path):  # noqa: F811
    """Through a line that loses things, a file arrives whole or not at all."""
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    with LosingProxy(mlflow_server.uri, 1, share=0.6) as proxy:
        name = uuid.uuid4().hex
        place = artifact_store(f"mlflow-artifacts:/{name}", proxy.uri)
        for n in range(5):
            for _ in range(50):
                try:
                    place.put_file(f"file{n}", tmp_path / "file")
                    break
                except StoreUnavailableError:
                    pass
        assert proxy.mishaps
    straight = artifact_store(f"mlflow-artifacts:/{name}", mlflow_server.uri)
    assert straight.list() == [f"file{n}" for n in range(5)]
    assert {straight.open(each).read() for each in straight.list()} == {content}


def test_an_object_store_refuses(s3, monkeypatch):
    """No such bucket, nobody known, nobody there: each says what it was, and nothing is made."""
    place = artifact_store("s3://none/x")
    assert place.list() == []
    with pytest.raises(StoreError, match="s3://none/x/y.*bucket") as caught:
        place.put_bytes("y", b"")
    assert not isinstance(caught.value, StoreUnavailableError)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError, match="s3://bucket/x"):
        artifact_store("s3://bucket/x").put_bytes("y", b"")
    monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", "nonsense")
    with pytest.raises(InvalidParameterError, match="MLFLOW_S3_UPLOAD_EXTRA_ARGS"):
        artifact_store("s3://bucket/x")


def test_an_object_store_is_used_from_many_threads(s3):
    """Eight threads write and read at once."""
    place = artifact_store(f"s3://bucket/{uuid.uuid4().hex}")
    failures = []

    def work(n):
        try:
            place.put_bytes(f"{n}/x", b"%d" % n)
            assert place.open(f"{n}/x").read() == b"%d" % n
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(place.list()) == 8


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [
        ("s3://b/x", "s3fs", "skledger[s3]"),
        ("gs://b/x", "gcsfs", "skledger[gs]"),
        ("abfss://c@account.dfs.core.windows.net/x", "adlfs", "skledger[azure]"),
    ],
)
def test_a_library_that_is_not_there_is_named(uri, module, extra, monkeypatch):
    """The error says what to install."""
    known = importlib.import_module("fsspec.registry")._registry
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(known, uri.partition(":")[0], raising=False)
    with pytest.raises(StoreError, match="pip install") as caught:
        artifact_store(uri)
    assert extra in str(caught.value)


def test_a_location_of_no_known_kind_is_refused():
    """The error says what is known."""
    for bad in ("nope://x", "relative/path", "nope:x"):
        with pytest.raises(InvalidParameterError, match="expected an absolute path"):
            artifact_store(bad)


def test_local_files_need_none_of_it(run_python, tmp_path):
    """What is on this machine is found without fsspec and httpx."""
    run_python(
        f"""
        import sys
        from skledger.stores.artifacts import artifact_store
        for uri in ({str(tmp_path)!r}, "file://{tmp_path}"):
            artifact_store(uri).put_bytes("x", b"1")
            assert artifact_store(uri).list() == ["x"]
        loaded = [n for n in ("httpx", "fsspec") if n in sys.modules]
        loaded += [n for n in sys.modules if n.startswith("skledger.stores.rest")]
        assert not loaded, loaded
        """
    )


def test_copies_go_with_the_process(run_python, tmp_path):
    """The folder for copies is removed at the end, and not by a child of a fork."""
    run_python(
        """
        import os
        from pathlib import Path
        from skledger.stores.artifacts import artifact_store
        place = artifact_store("memory://a")
        place.put_bytes("x", b"1")
        local = place.local_path("x")
        if not os.fork():
            raise SystemExit
        os.wait()
        assert Path(local).read_bytes() == b"1"
        Path("told").write_text(local)
        """,
        env={"TMPDIR": str(tmp_path)},
    )
    local = Path((tmp_path / "told").read_text())
    assert str(local).startswith(str(tmp_path))
    assert not local.parent.parent.exists()
