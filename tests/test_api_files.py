"""Files over the API: streamed both ways, in ranges, and never outside of their place."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
import zipfile
from urllib.parse import quote

import pytest
from _api_server import ApiServer
from test_remote_artifacts import (  # noqa: F401
    test_a_path_stays_below_the_root,
    test_an_upload_that_broke_off_can_be_repeated,
    test_files_go_there_and_come_back,
    test_files_that_are_on_the_server_need_one,
    test_large_files_go_in_pieces,
    test_mlflow_reads_our_files_and_we_read_mlflows,
    test_what_is_not_there,
    test_what_is_there_now_counts,
)

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.server.artifact_access import ServedArtifacts
from skledger.stores.artifacts import artifact_store
from skledger.stores.opening import open_store

FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def server(tmp_path):
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path) as server:
        yield server


@pytest.fixture
def mlflow_server(server, monkeypatch):
    """Stand in for the real one that the tests of remote artifacts ask."""
    from skledger.stores import artifacts

    monkeypatch.setattr(artifacts, "current_server", None)
    return server


@pytest.fixture
def place(mlflow_server):
    return artifact_store("mlflow-artifacts:/a/place", mlflow_server.uri)


def put(server, path, content, **headers):
    return server.http.put(f"{FILES}/{path}", content=content, headers=headers)


def names(server, path):
    answer = server.http.get(FILES, params={"path": path})
    return [each["path"] for each in answer.json().get("files", ())]


def new_run(server, **experiment):
    made = server.post("experiments/create", name=os.urandom(8).hex(), **experiment)
    run = server.post("runs/create", experiment_id=made["experiment_id"])["run"]
    return run["info"]


# What is sent comes back


def test_a_file_goes_there_and_comes_back(server):
    """The file is served as it was sent, as something that no browser runs."""
    assert put(server, "1/r/artifacts/a b/ü.html", b"<script>alert(1)</script>").content == b""
    answer = server.http.get(f"{FILES}/1/r/artifacts/a b/ü.html")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (server.folder / "served/1/r/artifacts/a b/ü.html").read_bytes() == answer.content
    found = server.http.get(FILES, params={"path": "1/r/artifacts"}).json()
    assert found == {"files": [{"path": "a b", "is_dir": True}]}
    found = server.http.get(FILES, params={"path": "1/r/artifacts/a b"}).json()
    assert found == {"files": [{"path": "ü.html", "is_dir": False, "file_size": 25}]}


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=0-0", 206, b"0"),
        ("bytes=10-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=99999999999999999999999-", 416, b""),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=1-2,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
    ],
)
def test_ranges(server, asked, status, content):
    """A range is what was asked for; what is none, or several, is the whole file."""
    put(server, "x/data.bin", b"0123456789")
    answer = server.http.get(f"{FILES}/x/data.bin", headers={"range": asked})
    assert (answer.status_code, answer.content) == (status, content)
    if status == 206:
        start = int(answer.headers["content-range"].split()[1].split("-")[0])
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(content) - 1}/10"
    if status == 416:
        assert answer.headers["content-range"] == "bytes */10"


def test_a_file_that_is_known_is_not_sent_again(server):
    """With its tag only the news that it is the same is sent; ranges of an older one are whole."""
    put(server, "x/a.txt", b"abc")
    tag = server.http.get(f"{FILES}/x/a.txt").headers["etag"]
    again = server.http.get(f"{FILES}/x/a.txt", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    old = {"range": "bytes=1-", "if-range": '"old"'}
    assert server.http.get(f"{FILES}/x/a.txt", headers=old).content == b"abc"
    new = {"range": "bytes=1-", "if-range": tag}
    assert server.http.get(f"{FILES}/x/a.txt", headers=new).content == b"bc"
    head = server.http.head(f"{FILES}/x/a.txt")
    assert (head.content, head.headers["content-length"]) == (b"", "3")


def test_an_upload_that_breaks_off_leaves_nothing(server):
    """A file is there when it is whole; the one before stays until then."""
    put(server, "x/a.txt", b"old")
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(
            f"PUT {FILES}/x/a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n".encode()
            + b"n" * 2_000_000
        )
        time.sleep(0.3)
    end = time.monotonic() + 10
    folder = server.folder / "served/x"
    while len(os.listdir(folder)) > 1 and time.monotonic() < end:
        time.sleep(0.02)
    assert os.listdir(folder) == ["a.txt"]
    assert (folder / "a.txt").read_bytes() == b"old"


def test_a_slow_upload_holds_nobody_up(server):
    """A hundred clients that send a byte now and then leave the server free for others."""
    slow = []
    for at in range(100):
        raw = socket.create_connection(("127.0.0.1", server.port))
        head = f"PUT {FILES}/slow/{at} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx"
        raw.sendall(head.encode())
        slow.append(raw)
    start = time.monotonic()
    for _ in range(5):
        put(server, "quick/a.txt", b"abc")
        server.post("experiments/create", name=os.urandom(8).hex())
    assert time.monotonic() - start < 5
    for raw in slow:
        raw.close()


def test_uploads_have_a_limit(tmp_path):
    """A file that is too long is refused, whether it says so or not."""
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path, max_upload=1000) as server:
        assert put(server, "x/a", b"x" * 1000).status_code == 200
        assert put(server, "x/b", b"x" * 1001).status_code == 413
        assert put(server, "x/c", (b"x" * 500 for _ in range(5))).status_code == 413
        assert names(server, "x") == ["a"]


def test_removing(server):
    """A file goes, then a folder with all that is in it; the root stays."""
    for path in ("x/a", "x/b/c", "x/b/d"):
        put(server, path, b"1")
    assert server.http.delete(f"{FILES}/x/a").json() == {}
    assert server.http.delete(f"{FILES}/x/b").json() == {}
    assert names(server, "x") == []
    assert server.http.delete(f"{FILES}/x/b").status_code == 404
    assert server.http.delete(f"{FILES}/").status_code == 400
    assert server.http.delete(f"{FILES}/%2e").status_code == 400
    assert (server.folder / "served").is_dir()


def test_files_and_folders_of_one_name(server):
    """A file cannot take the place of a folder, nor a folder that of a file."""
    put(server, "x/a", b"1")
    for path in ("x", "x/a/b"):
        answer = put(server, path, b"2")
        assert (answer.status_code, answer.json()["error_code"]) == (
            400,
            "INVALID_PARAMETER_VALUE",
        )
    assert server.http.get(f"{FILES}/x").status_code == 404
    assert put(server, "x/" + "n" * 300, b"2").status_code == 400
    assert server.http.get(f"{FILES}/x/" + "n" * 300).status_code == 404


def test_uploads_in_parts_are_refused(server):
    """A client that asks for parts is told how files are sent here, in MLflow's words."""
    for method, path in (
        ("POST", "mlflow-artifacts/mpu/create/x/a"),
        ("POST", "mlflow-artifacts/mpu/complete/x/a"),
        ("POST", "mlflow-artifacts/mpu/abort/x/a"),
        ("GET", "mlflow-artifacts/presigned/x/a"),
        ("POST", "mlflow/artifacts/presigned-upload-url"),
    ):
        answer = server.http.request(method, f"/api/2.0/{path}")
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")


def test_mlflow_sends_large_files_that_it_would_send_in_parts(server, tmp_path, monkeypatch):
    """MLflow's client that is told to use parts sends the file whole when it is told no."""
    import mlflow

    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000")
    (tmp_path / "large.bin").write_bytes(os.urandom(3_000_000))
    client = mlflow.MlflowClient(tracking_uri=server.uri)
    run_id = new_run(server)["run_id"]
    client.log_artifact(run_id, str(tmp_path / "large.bin"))
    back = client.download_artifacts(run_id, "large.bin", str(tmp_path / "back"))
    assert open(back, "rb").read() == (tmp_path / "large.bin").read_bytes()


def test_an_archive_of_a_folder(server):
    """A folder is streamed as an archive, piece by piece, with what is in it."""
    large = os.urandom(3_000_000)
    for path, content in (("a.txt", b"a"), ("sub/b.bin", large), ("sub/deep/c", b"c")):
        put(server, f"r/{path}", content)
    pieces = list(server.artifacts.zip("mlflow-artifacts:/r"))
    assert max(map(len, pieces)) < 2_500_000
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["a.txt", "sub/b.bin", "sub/deep/c"]
        assert archive.read("sub/b.bin") == large
    whole = b"".join(server.artifacts.zip("mlflow-artifacts:/r", "sub"))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert sorted(archive.namelist()) == ["sub/b.bin", "sub/deep/c"]
    whole = b"".join(server.artifacts.zip("mlflow-artifacts:/r", "sub/b.bin"))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.namelist() == ["b.bin"]


def test_files_of_runs_models_and_versions(server):
    """They are found by what they belong to, too."""
    run = new_run(server)
    put(server, run["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/sub/a.txt", b"of run")
    found = server.get("artifacts/list", run_id=run["run_id"], path="sub")
    assert found["root_uri"] == run["artifact_uri"]
    assert found["files"] == [{"path": "sub/a.txt", "is_dir": False, "file_size": 6}]
    query = {"run_id": run["run_id"], "path": "sub/a.txt"}
    assert server.http.get("/get-artifact", params=query).content == b"of run"
    body = {"experiment_id": run["experiment_id"], "source_run_id": run["run_id"], "name": "m"}
    model = server.post("logged-models", **body)["model"]["info"]
    put(server, model["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/MLmodel", b"of model")
    path = f"logged-models/{model['model_id']}/artifacts"
    found = server.get(f"{path}/directories")
    assert found["files"] == [{"path": "MLmodel", "is_dir": False, "file_size": 8}]
    answer = server.http.get(
        f"/ajax-api/2.0/mlflow/{path}/files", params={"artifact_file_path": "MLmodel"}
    )
    assert answer.content == b"of model"
    server.post("registered-models/create", name="reg")
    server.post("model-versions/create", name="reg", source=f"models:/{model['model_id']}")
    query = {"name": "reg", "version": "1", "path": "MLmodel"}
    assert server.http.get("/model-versions/get-artifact", params=query).content == b"of model"


# What nobody may do

LEAVING = [
    "../secret",
    "x/../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "..\\secret",
    "x\\..\\..\\secret",
    "C:/secret",
    "C:\\secret",
    "x/..",
    "%2e%2e/secret",
    "%252e%252e/secret",
    "%25252e%25252e/secret",
    "..%2fsecret",
    "..%5csecret",
    "x%00y",
    "x\0y",
    "%2fetc/passwd",
]


@pytest.mark.parametrize("path", LEAVING)
def test_a_path_cannot_leave(server, path):
    """Whatever its form, and however often it is encoded, it is refused, and nothing is touched."""
    (server.folder / "secret").write_text("secret")
    put(server, "x/a", b"1")
    before = sorted(server.folder.rglob("*"))
    target = f"{FILES}/{quote(path, safe='')}"
    for answer in (
        server.http.get(target),
        server.http.put(target, content=b"mine"),
        server.http.delete(target),
        server.http.get(FILES, params={"path": path}),
    ):
        assert answer.status_code in (400, 404), (answer.request.url, answer.text)
        assert "secret" not in answer.json().get("files", ())
    for ask in (server.artifacts.open, server.artifacts.list, server.artifacts.delete):
        with pytest.raises((InvalidParameterError, NotFoundError)):
            ask("mlflow-artifacts:/", path)
        if ".." in path:
            with pytest.raises((InvalidParameterError, NotFoundError)):
                ask(f"mlflow-artifacts:/x/{path}", "a")
    assert sorted(server.folder.rglob("*")) == before
    assert (server.folder / "secret").read_text() == "secret"


@pytest.mark.parametrize(
    "path",
    ["../../../../../../etc/passwd", "..%2f..%2f..%2fetc/passwd", "%2e%2e/%2e%2e/etc/passwd"],
)
def test_a_raw_path_cannot_leave(server, path):
    """A client that sends what others would put right gets nothing by it."""
    for base in (FILES, "/ajax-api/2.0/mlflow-artifacts/artifacts", "/api/2.0/mlflow"):
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(f"GET {base}/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = b""
            while chunk := raw.recv(65536):
                answer += chunk
        assert answer.split()[1] in (b"400", b"404", b"405"), answer
        assert b"root:" not in answer


def test_a_link_cannot_leave(server):
    """A link that leads out is neither followed nor listed nor written through, nor archived."""
    outside = server.folder / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    put(server, "r/a.txt", b"1")
    root = server.folder / "served/r"
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    (root / "inside").symlink_to(root / "a.txt")
    for path in ("r/file", "r/folder/secret"):
        assert server.http.get(f"{FILES}/{path}").status_code == 400
    assert put(server, "r/folder/new", b"x").status_code == 400
    assert put(server, "r/file", b"x").status_code == 400
    assert server.http.get(FILES, params={"path": "r/folder"}).status_code == 400
    assert names(server, "r") == ["a.txt", "inside"]
    assert server.http.get(f"{FILES}/r/inside").content == b"1"
    with zipfile.ZipFile(
        io.BytesIO(b"".join(server.artifacts.zip("mlflow-artifacts:/r")))
    ) as archive:
        assert sorted(archive.namelist()) == ["a.txt", "inside"]
    assert server.http.delete(f"{FILES}/r/folder").json() == {}
    assert (outside / "secret").read_text() == "secret"
    assert os.listdir(outside) == ["secret"]


def names_listed(artifacts, root, path):
    return [each.path for each in artifacts.list(root, path)]


def names_archived(artifacts, root, path):
    with zipfile.ZipFile(io.BytesIO(b"".join(artifacts.zip(root, path)))) as archive:
        return archive.namelist()


PLANTED = ["{run}/artifacts", "{run}", "{run}/artifacts/sub", "{run}/artifacts/id_rsa"]


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("kind", ["run", "model"])
def test_a_link_below_a_named_location_is_not_followed(server, tmp_path, planted, kind):
    """Whoever names a folder for files, and puts a link there, reads nothing by way of it."""
    secret = tmp_path / "secret"
    for folder in (secret, secret / "artifacts", secret / "sub", secret / "artifacts/sub"):
        folder.mkdir()
        (folder / "id_rsa").write_text("the treasure")
    evil = tmp_path / "evil"
    run = new_run(server, artifact_location=str(evil))
    run_id, root, name = run["run_id"], run["artifact_uri"], run["run_id"]
    if kind == "model":
        body = {"experiment_id": run["experiment_id"], "source_run_id": run_id, "name": "m"}
        model = server.post("logged-models", **body)["model"]["info"]
        root, name = model["artifact_uri"], f"models/{model['model_id']}"
    link = evil / planted.format(run=name)
    link.parent.mkdir(parents=True)
    link.symlink_to(secret / "id_rsa" if link.name == "id_rsa" else secret)
    for path in ("id_rsa", "sub/id_rsa", "sub", ""):
        with pytest.raises((InvalidParameterError, NotFoundError)):
            server.artifacts.open(root, path)
        for names_of in (names_listed, names_archived):
            try:
                assert "id_rsa" not in str(names_of(server.artifacts, root, path))
            except (InvalidParameterError, NotFoundError):
                pass
        if kind == "run":
            query = {"run_id": run_id, "path": path}
            answer = server.http.get("/get-artifact", params=query)
            assert answer.status_code in (400, 404)
            answer = server.http.get("/api/2.0/mlflow/artifacts/list", params=query)
            assert "id_rsa" not in str(answer.json().get("files"))
    path = "sub/id_rsa" if planted.endswith("sub") else "id_rsa"
    with pytest.raises(InvalidParameterError, match="link"):
        server.artifacts.open(root, path)


def test_a_link_that_comes_in_between_is_not_followed(server, tmp_path, monkeypatch):
    """A folder that turns into a link after it was looked at leads nowhere."""
    from skledger.server import artifact_access

    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a.txt").write_text("the treasure")
    put(server, "r/sub/a.txt", b"mine")
    sub = server.folder / "served/r/sub"
    look = artifact_access.safe_path

    def swap(top, path):
        found = look(top, path)
        if not sub.is_symlink():
            sub.rename(sub.with_name("aside"))
            sub.symlink_to(secret)
        return found

    monkeypatch.setattr(artifact_access, "safe_path", swap)
    with pytest.raises(InvalidParameterError, match="link"):
        server.artifacts.open("mlflow-artifacts:/r", "sub/a.txt")


def test_files_of_a_named_location_are_read(server, tmp_path):
    """What a client has written itself below the folder that it named is shown, and not changed."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "disk")  # where the folder is, is its owner's
    run = new_run(server, artifact_location=f"file://{tmp_path}/linked/a%20b")
    folder = tmp_path / "disk/a b" / run["run_id"] / "artifacts"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/a.txt").write_text("abc")
    query = {"run_id": run["run_id"], "path": "sub/a.txt"}
    assert server.http.get("/get-artifact", params=query).content == b"abc"
    found = server.get("artifacts/list", run_id=run["run_id"], path="sub")["files"]
    assert found == [{"path": "sub/a.txt", "is_dir": False, "file_size": 3}]
    assert names_archived(server.artifacts, run["artifact_uri"], "") == ["sub/a.txt"]
    for change in (
        lambda: server.artifacts.put(run["artifact_uri"], "new", [b"x"]),
        lambda: server.artifacts.delete(run["artifact_uri"], "sub"),
    ):
        with pytest.raises(InvalidParameterError, match="only read"):
            change()
    assert (folder / "sub/a.txt").exists()


@pytest.mark.parametrize(
    "location",
    [
        "sftp://host/x",
        "smb://host/x",
        "zip:///x.zip",
        "dbfs:/x",
        "models:/m/1",
        "runs:/0/x",
        "hdfs://127.0.0.1:1/x",
        "memory://x",
        "s3://me@host/x",
        "file://elsewhere/x",
        "C:/x",
        "javascript:alert(1)",
    ],
)
def test_locations_that_would_never_be_served_are_refused(server, location):
    """An experiment whose files nobody could fetch is refused when it is made."""
    body = {"name": "x", "artifact_location": location}
    answer = server.http.post("/api/2.0/mlflow/experiments/create", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "artifact location" in answer.json()["message"]


@pytest.mark.parametrize(
    "source",
    [
        "/etc",
        "file:///etc",
        "file://elsewhere/etc",
        "http://169.254.169.254/",
        "../x",
        "x",
        "mlflow-artifacts:/x/../y",
        "mlflow-artifacts:/{path}/../../y",
        "mlflow-artifacts:/{path}/%2e%2e/y",
        "mlflow-artifacts:/{path}/%252e%252e/y",
        "mlflow-artifacts://elsewhere/{path}/m",
        "mlflow-artifacts:/x",
        "s3://bucket/x/../y",
        "javascript:alert(1)",
        "data:text/html,x",
        "{uri}\0y",
        "simplecache::file:///etc",
        "runs:/{other}/m",
        "models://elsewhere/m/1",
    ],
)
def test_sources_that_lead_elsewhere_are_refused(server, source):
    """No version sends whoever loads it to a place that is none of a run's or a model's."""
    run = new_run(server)
    uri = run["artifact_uri"]
    source = source.format(path=uri.partition(":/")[2], uri=uri, other="0" * 32)
    server.post("registered-models/create", name="reg")
    for more in ({}, {"run_id": run["run_id"]}):
        if source.startswith("runs:") and not more:
            continue  # as with MLflow, the run may be another store's
        body = {"name": "reg", "source": source, **more}
        answer = server.http.post("/api/2.0/mlflow/model-versions/create", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert server.get("model-versions/search") == {}


def test_sources_that_are_taken(server, tmp_path):
    """Those that name files of a run, of a model, of a version, or an object store."""
    here = new_run(server, artifact_location=str(tmp_path / "named"))
    run = new_run(server)
    body = {"experiment_id": run["experiment_id"], "source_run_id": run["run_id"], "name": "m"}
    model = server.post("logged-models", **body)["model"]["info"]
    server.post("registered-models/create", name="reg")
    for source in (
        f"models:/{model['model_id']}",
        "models:/reg/1",
        model["artifact_uri"],
        f"{run['artifact_uri']}/m",
        f"runs:/{run['run_id']}/m",
        f"{here['artifact_uri']}/m",
        "s3://bucket/m",
    ):
        server.post("model-versions/create", name="reg", source=source)


def test_locations_of_the_servers_own_kind_are_taken(tmp_path):
    """Object stores are taken; one at a machine of its own name only where uploads go there."""
    artifacts = ServedArtifacts(open_store("memory:"), "abfs://box@mine.example/runs")
    mine = "abfs://box@mine.example/x"
    for location in (mine, "abfs://box/x", "s3://box/x", "mlflow-artifacts:/x", "/x"):
        artifacts.check_location(location)
    for location in ("abfs://box@theirs.example/x", "s3://me@box/x"):
        with pytest.raises(InvalidParameterError):
            artifacts.check_location(location)


def test_an_archive_of_nothing(server):
    """What is not there is told before the first piece; a folder that is empty is an archive."""
    put(server, "r/a.txt", b"1")
    (server.folder / "served/r/empty").mkdir()
    with pytest.raises(NotFoundError):
        server.artifacts.zip("mlflow-artifacts:/r", "nope")
    assert names_archived(server.artifacts, "mlflow-artifacts:/r", "empty") == []


def test_names_that_look_temporary(server):
    """A file that was sent is listed; a name that would not be is refused."""
    for name in (".x.tmp", "x.tmp", ".tmp", f"{'0' * 32}.tmp"):
        assert put(server, f"r/{name}", b"1").status_code == 200
        assert name in names(server, "r")
    assert put(server, f"r/.{'0' * 32}.tmp", b"1").status_code == 400


def test_what_is_no_file_is_not_opened(server):
    """A pipe that nobody writes to would keep a thread for ever."""
    put(server, "r/a.txt", b"1")
    os.mkfifo(server.folder / "served/r/pipe")
    assert server.http.get(f"{FILES}/r/pipe").status_code == 404


@pytest.mark.parametrize("form", ["{}", "file://{}", "file:{}"])
def test_a_location_that_a_client_made_up_is_not_read(tmp_path, form):
    """A version that says its files are somewhere on the server's machine does not show them."""
    secret = tmp_path / "etc"
    secret.mkdir()
    (secret / "passwd").write_text("root:")
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path) as server:
        server.post("registered-models/create", name="reg")
        run = new_run(server, artifact_location=form.format(secret))
        for source in (
            form.format(secret),
            form.format(f"{secret}/{run['run_id']}/artifacts/../.."),
            form.format(f"{secret}/{'0' * 32}/artifacts"),
            form.format(f"{secret}/{run['run_id']}"),
            "http://127.0.0.1:1/api/2.0/mlflow-artifacts/artifacts/x",
            "local:///etc",
            "ftp://127.0.0.1/x",
            f"simplecache::file://{secret}",
        ):
            made = server.http.post(
                "/api/2.0/mlflow/model-versions/create", json={"name": "reg", "source": source}
            )
            if made.status_code == 200:
                version = made.json()["model_version"]["version"]
                query = {"name": "reg", "version": version, "path": "passwd"}
                answer = server.http.get("/model-versions/get-artifact", params=query)
                assert answer.status_code in (400, 404), source
                assert "root:" not in answer.text
            for ask in (server.artifacts.list, server.artifacts.zip):
                with pytest.raises((InvalidParameterError, NotFoundError)):
                    ask(source, "")
        # The run's own folder, which is below that place, may be read.
        own = secret / run["run_id"] / "artifacts"
        own.mkdir(parents=True)
        (own / "mine").write_text("mine")
        (own / "link").symlink_to(secret / "passwd")
        query = {"run_id": run["run_id"], "path": "mine"}
        assert server.http.get("/get-artifact", params=query).text == "mine"
        query["path"] = "link"
        assert server.http.get("/get-artifact", params=query).status_code == 400


@pytest.mark.parametrize(
    "location", ["/a/../../etc", "s3://bucket/%2e%2e/x", "http://h/x", "/x\0y", "a::file:///etc"]
)
def test_locations_that_no_experiment_can_have(server, location):
    """They are refused when the experiment is made."""
    body = {"name": "x", "artifact_location": location}
    answer = server.http.post("/api/2.0/mlflow/experiments/create", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_a_server_without_a_destination_shows_what_is_on_the_machine(tmp_path):
    """Runs of one's own are shown; nothing is taken, and the answer says why."""
    with ApiServer(f"sqlite:///{tmp_path}/runs.db", tmp_path, proxied=False) as server:
        run = new_run(server)
        folder = tmp_path / "runs-artifacts" / run["experiment_id"] / run["run_id"] / "artifacts"
        assert run["artifact_uri"] == str(folder)
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("abc")
        assert [
            each["path"] for each in server.get("artifacts/list", run_id=run["run_id"])["files"]
        ]
        answer = put(server, "x/a", b"1")
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert server.http.get(f"{FILES}/x/a").status_code == 404


def test_files_of_a_folder_store(tmp_path):
    """A folder of files has runs, models and their files in one place."""
    store = open_store(str(tmp_path / "mlruns"))
    artifacts = ServedArtifacts(store)
    location = store.get_experiment("0").artifact_location
    folder = f"{location}/{'1' * 32}/artifacts"
    os.makedirs(folder)
    with open(f"{folder}/a", "w") as file:
        file.write("1")
    assert [each.path for each in artifacts.list(folder)] == ["a"]
    with artifacts.open(folder, "a") as file:
        assert (file.size, file.read()) == (1, b"1")


def test_an_object_store_behind_the_server():
    """Files go on to where the destination says, and come back from there."""
    import fsspec

    files = fsspec.filesystem("memory")
    store = open_store("memory:")
    artifacts = ServedArtifacts(store, "memory://bucket/place")
    artifacts.put("mlflow-artifacts:/1/r/artifacts", "sub/a.txt", [b"ab", b"c"])
    assert files.cat("/bucket/place/1/r/artifacts/sub/a.txt") == b"abc"
    found = artifacts.list("mlflow-artifacts:/1/r/artifacts", "sub")
    assert [(each.path, each.file_size) for each in found] == [("sub/a.txt", 3)]
    with artifacts.open("mlflow-artifacts:/1", "r/artifacts/sub/a.txt") as file:
        assert (file.size, file.read_range(1, 9)) == (3, b"bc")
    with pytest.raises(NotFoundError):
        artifacts.open("mlflow-artifacts:/1", "r/artifacts/nothing")


def test_many_at_once(server):
    """Uploads of many threads to one folder are all there."""

    def send(at):
        assert put(server, f"many/{at % 3}/{at}", b"x" * at).status_code == 200

    threads = [threading.Thread(target=send, args=(at,)) for at in range(30)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(len(names(server, f"many/{at}")) for at in range(3)) == 30
