"""The pages of a run, in a real browser, over runs of real fits."""

import csv
import io
import json
import re
import shlex
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from _booked import book, book_search
from _browser import browser, page, plain_page  # noqa: F401
from _fitted import fitted
from _pages import serving
from playwright.sync_api import expect

from skledger.server.pages.run_data import data_sets
from skledger.stores.artifacts import artifact_store
from skledger.stores.opening import open_store
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Metric,
    RunChange,
    as_params,
    as_tags,
)

REPORT = (
    "<h1>Report</h1><p id='told'>as written</p>"
    "<script>document.getElementById('told').textContent = 'script ran, origin ' + origin;"
    "try { parent.document.title = 'taken' } catch { }"
    "fetch('/').then(() => document.body.append(' reached'), () => document.body.append(' cut'))"
    "</script>"
)
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><rect width="60" height="40" '
    'fill="teal"/><script>document.title = "taken"</script></svg>'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with fits, and the identifiers of its runs."""
    uri, ids = fitted(tmp_path_factory.mktemp("place"))
    store = open_store(uri)
    yield store, ids
    store.close()


@pytest.fixture(scope="module")
def at(made):
    with serving(made[0]) as address:
        yield address


@pytest.fixture
def own(made):
    """A run of somebody's own, with files of many kinds."""
    store, _ = made
    run_id = book(store, "1", "nightly", {"C": "1.0", "long": "x, " * 400}, {"f1": 0.9})
    files = artifact_store(store.get_run(run_id).info.artifact_uri)
    rows = "\n".join(f"{i},name {i},{i / 7:.3f}" for i in range(450))
    for path, content in {
        "report.html": REPORT,
        "drawing.svg": DRAWING,
        "notes/read me.txt": "first line\n<b>second</b> ü\n",
        "notes/README.md": "# Title\n\n* one <script>alert(1)</script>\n",
        "deep/er/config.json": '{"alpha": [1, 2], "names": {"a": null, "b": "text <i>"}}',
        "tables/rows.csv": f"id,name,score\n{rows}\n",
        "tables/logged.json": '{"columns": ["a", "b"], "data": [[1, "x"], [2.5, null]]}',
        "model.pkl": "\x80\x04anything",
        "empty.txt": "",
        "odd name%20 #1?.txt": "odd",
    }.items():
        files.put_bytes(path, content.encode("latin-1" if "pkl" in path else "utf-8"))
    return run_id


def section(page, name):  # noqa: F811
    return page.locator(".card", has=page.locator(f"h2:has-text('{name}')")).first


def test_a_run_shows_what_was_booked(at, made, page):  # noqa: F811
    """Status, duration, where it comes from, metrics in groups, params, data sets, the model."""
    store, ids = made
    page.goto(f"{at}/runs/{ids['tree']}")
    head = page.inner_text(".page-head")
    assert "finished" in head and "took" in head and "DecisionTreeClassifier" in head
    groups = page.locator("#metrics tr.group").all_inner_texts()
    assert groups == ["Training data", "The fit"]
    assert "accuracy_score_X_test" in page.inner_text("#metrics tbody >> nth=0")
    assert "min_samples_split" in page.inner_text("#params")
    about = section(page, "Where it comes from").inner_text()
    assert "train.py" in about and "scikit-learn" in about and ids["tree"] in about
    data = section(page, "Data sets").inner_text()
    assert (
        "X_train" in data and "X_test" in data and "eval" in data and "Rows of each class" in data
    )
    model = section(page, "Model")
    uri = store.search_logged_models(ids["tree"])[0].model_uri
    assert f'skledger.sklearn.load_model("{uri}")' in model.locator("pre").inner_text()
    model.locator("text=Signature").click()
    page.click(".data-set .fold summary >> nth=0")
    page.click("text=technical tag")
    page.looks.right()
    assert "sepal length (cm)" in model.inner_text() and "double" in model.inner_text()
    assert page.locator(".gallery img").count() >= 2
    # Nothing of the tabs sticks out below, where it could be scrolled to.
    assert (
        page.evaluate(
            "(({scrollHeight, clientHeight}) => scrollHeight - clientHeight)(document.querySelector('.tabs'))"
        )
        == 0
    )
    page.looks.everywhere("run")


def test_the_snippet_of_a_model_loads_it(at, made, page):  # noqa: F811
    """What is copied is a program that works."""
    store, ids = made
    page.goto(f"{at}/runs/{ids['tree']}")
    code = section(page, "Model").locator("pre").inner_text()
    names = {"X": [[5.1, 3.5, 1.4, 0.2]]}
    exec(
        code.replace("model.predict(X)", "names['y'] = model.predict(X)"), {"names": names, **names}
    )
    assert list(names["y"]) == [0]


def test_a_failed_run_shows_why(at, made, page):  # noqa: F811
    """The exception, what it says, and its traceback to copy."""
    page.goto(f"{at}/runs/{made[1]['failed']}")
    notice = page.locator(".notice-bad")
    assert "ValueError" in notice.locator("h2").inner_text()
    assert "Input X contains NaN" in notice.inner_text()
    # Its text is said once, whole; above stands how it begins.
    assert notice.inner_text().count("HistGradientBoostingClassifier") == 1
    assert page.locator("#metrics tr.group").all_inner_texts() == ["The fit, until it failed"]
    assert "train.py" in notice.locator("pre").inner_text()
    page.looks.everywhere("run-failed")


def test_warnings_and_checks_come_first(at, made, page):  # noqa: F811
    """A fit that warned says so, with the way to all of it; so does what looks wrong."""
    page.goto(f"{at}/runs/{made[1]['warned']}")
    assert "ConvergenceWarning" in page.inner_text("#run-notices")
    page.click("text=All of it, with places in the code")
    assert "ConvergenceWarning" in page.inner_text(".viewer pre")
    page.goto(f"{at}/runs/{made[1]['boosted']}")
    assert "target in features" in page.inner_text(".notice-warn")
    page.looks.everywhere("run-checked")


def test_curves_are_drawn_over_steps(at, made, page):  # noqa: F811
    """Each metric with steps is a curve, along steps or time, kept in the address."""
    page.goto(f"{at}/runs/{made[1]['boosted']}")
    assert page.locator("#metrics svg.spark").count() >= 1
    page.click(".tabs >> text=Metrics")
    page.wait_for_selector(".curve canvas")
    card = page.locator(".curve[data-key=train_score]")
    assert "over 20 values" in card.locator(".chart").get_attribute("aria-label")
    page.select_option("select[name=smooth]", "0.6")
    page.check("input[name=log]")
    assert "smooth=0.6" in page.url and "log=1" in page.url
    page.reload()
    page.wait_for_selector(".curve canvas")
    assert page.is_checked("input[name=log]")
    page.looks.everywhere("run-metrics")
    card.locator("h3 a").click()
    page.wait_for_selector(".curve-large canvas")
    assert page.locator("#values tbody tr").count() == 20
    page.looks.everywhere("run-metric")


def test_a_search_shows_its_candidates_best_first(at, made, page):  # noqa: F811
    """Scores with their spread, what was searched in, the best marked, ways to compare them."""
    store, ids = made
    page.goto(f"{at}/runs/{ids['search']}")
    assert page.locator(".page-head >> text=The search").get_attribute("href").endswith("/search")
    rows = page.locator("#run-children tbody tr")
    assert rows.count() == 6
    scores = [
        float(re.match(r"[\d.]+", text)[0])
        for text in rows.locator("td.num >> nth=0").all_inner_texts()
    ]
    assert scores == sorted(scores, reverse=True)
    assert "best" in rows.first.inner_text()
    heads = page.locator("#run-children thead th").all_inner_texts()
    assert heads == ["Run", "Status", "mean_test_score", "max_depth", "criterion", "Duration"]
    page.looks.everywhere("run-search")
    page.click(".tabs >> text=Candidates")
    assert page.locator("#children-table tbody tr").count() == 6
    page.looks.everywhere("run-children")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".crumbs >> text=GridSearchCV")
    answer = httpx.get(f"{at}/runs/{ids['search']}/children.csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(lines) == 6 and lines[0]["mean_test_score"] >= lines[-1]["mean_test_score"]


def test_tables_of_a_page_are_sorted_in_place(at, made, page):  # noqa: F811
    """By a click or a key on a heading; a third gives the order back; what is live keeps it."""
    store, ids = made
    page.goto(f"{at}/runs/{ids['search']}")

    def sorted_by(name, table="#run-children"):
        page.click(f"{table} thead button:has-text('{name}')")
        column = [each.strip() for each in page.locator(f"{table} th").all_inner_texts()].index(
            name
        )
        cells = page.locator(f"{table} tbody td:nth-child({column + 1})").all_inner_texts()
        return cells, page.locator(f"{table} th").nth(column).get_attribute("aria-sort")

    depths, order = sorted_by("max_depth")
    assert (depths, order) == (sorted(depths, key=int), "ascending")
    assert sorted_by("max_depth") == (depths[::-1], "descending")
    assert sorted_by("max_depth")[1] is None
    scores, order = sorted_by("mean_test_score")
    values = [float(re.match(r"[\d.]+", text)[0]) for text in scores]
    assert (values, order) == (sorted(values, reverse=True), "descending")
    page.locator("#params thead button").first.focus()
    page.keyboard.press("Enter")
    page.looks.right()
    run_id = book(store, "1", "sorted", metrics={"b": 2.0, "a": 10.0, "c": 0.5}, status="RUNNING")
    page.goto(f"{at}/runs/{run_id}")
    assert sorted_by("Value", "#metrics")[0] == ["10", "2", "0.5"]
    store.write(RunChange(run_id, metrics=(Metric("d", 3.0, 1_700_000_000_000, 0),)))
    page.wait_for_selector("#metrics >> text=d")
    cells = page.locator("#metrics tbody td:nth-child(2)").all_inner_texts()
    assert cells == ["10", "3", "2", "0.5"]
    assert page.locator("#metrics th").nth(1).get_attribute("aria-sort") == "descending"


def test_a_run_is_renamed_noted_and_tagged_in_place(at, made, own, page):  # noqa: F811
    """What people change is in the store, and on the page that comes back."""
    store, _ = made
    page.goto(f"{at}/runs/{own}")
    page.click("text=Rename")
    page.fill("#rename-run-name", "weekly <b>")
    page.click("dialog >> text=Rename >> visible=true >> nth=-1")
    expect(page.locator("h1")).to_have_text("weekly <b>")
    page.click("text=Add notes")
    page.fill("#note-text", "**Good** one\n\n<img src=x onerror=alert(1)>")
    page.click("text=Save >> visible=true")
    expect(page.locator(".prose strong")).to_have_text("Good")
    assert page.locator(".prose img").count() == 0
    page.click("text=Add a tag")
    page.fill("#tag-key", "team")
    page.fill("#tag-value", "blue")
    page.click("text=Save >> visible=true")
    page.click(".tag-list >> text=blue")
    page.fill("#tag-1", "red")
    page.looks.right()
    page.click("text=Save >> visible=true")
    page.click(".tag-list >> text=red")
    assert store.get_run(own).data.tags["team"] == "red"
    page.click("text=Remove >> visible=true")
    expect(page.locator(".tag-list")).to_have_count(0)
    run = store.get_run(own)
    assert "team" not in run.data.tags and run.info.run_name == "weekly <b>"


def test_a_run_is_deleted_and_restored_with_its_children(at, made, own, page):  # noqa: F811
    """Deletion asks first, takes the children along when wanted, and can be undone at once."""
    store, _ = made
    child = book(store, "1", "child", parent=own)
    grandchild = book(store, "1", "grandchild", parent=child)
    page.goto(f"{at}/runs/{own}")
    page.click(".page-head >> text=Delete")
    assert page.is_checked("dialog[open] input[name=children]")
    page.looks.shot("run-delete")
    page.looks.right()
    page.click("dialog[open] .btn-danger")
    assert "This run is deleted" in page.inner_text(".notice")
    stages = [store.get_run(each).info.lifecycle_stage for each in (own, child, grandchild)]
    assert stages == ["deleted"] * 3
    page.click("text=Restore")
    page.wait_for_selector(".page-head >> text=Delete")
    stages = [store.get_run(each).info.lifecycle_stage for each in (own, child, grandchild)]
    assert stages == ["active"] * 3


def test_a_model_is_registered(at, made, page):  # noqa: F811
    """The button makes a version of a name, and the run says so from then on."""
    store, ids = made
    page.goto(f"{at}/runs/{ids['tree']}")
    page.click("text=Register >> nth=0")
    page.fill("dialog[open] input[name=name]", "irises")
    page.looks.right()
    page.click("dialog[open] .btn-primary")
    page.wait_for_url(f"{at}/models/irises/versions/1")
    version = store.get_model_version("irises", 1)
    assert version.run_id == ids["tree"] and version.model_id
    page.goto(f"{at}/runs/{ids['tree']}")
    assert "irises, version 1" in section(page, "Model").inner_text()
    assert page.locator("datalist option[value=irises]").count() == 1


def test_a_running_run_updates_itself(at, made, page):  # noqa: F811
    """New metrics appear while the page is open, what one typed stays, the end is noticed."""
    store, _ = made
    run_id = book(store, "1", "going on", metrics={"loss": 1.0}, status="RUNNING")
    page.goto(f"{at}/runs/{run_id}")
    assert "running" in page.inner_text(".page-head")
    page.click("text=Add notes")
    page.fill("#note-text", "half a sent")
    store.write(RunChange(run_id, metrics=(Metric("accuracy", 0.5, 1_700_000_000_000, 0),)))
    page.wait_for_selector("#metrics >> text=accuracy")
    # What the tabs count agrees with what they lead to.
    assert page.inner_text(".tabs a[href$='/metrics'] .count") == "2"
    assert page.input_value("#note-text") == "half a sent"
    page.looks.right()
    start = store.get_run(run_id).info.start_time
    child = book(store, "1", "a child", parent=run_id)
    folder = Path(store.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "roc.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    store.write(RunChange(run_id, status="FINISHED", end_time=start + 4000_000))
    page.wait_for_selector(".page-head .badge-ok")
    page.wait_for_selector("#pictures")
    assert page.inner_text(".tabs a[href$='/children'] .count") == "1" and child
    assert page.input_value("#note-text") == "half a sent"


def test_a_search_that_mlflow_logged_leads_to_its_candidates(at, made, plain_page):  # noqa: F811
    """Though it marks none of them: what has a mean score is one."""
    store, _ = made
    parent, *_ = book_search(store, "1", "of mlflow")
    plain_page.goto(f"{at}/runs/{parent}")
    plain_page.click(".page-head >> text=The search")
    assert plain_page.locator("#candidates tr").count() == 4


def test_the_order_of_a_halving_search_is_explained(at, made, plain_page):  # noqa: F811
    """A higher score stands below another: the rung and its resources are there to see."""
    store, _ = made
    parent = book(store, "1", "halving", {"factor": "3", "param_grid": "{'C': [1, 2]}"})
    for number, (rung, size, score) in enumerate(((0, 20, 0.95), (0, 20, 0.9), (1, 60, 0.85))):
        book(
            store,
            "1",
            f"SVC-{number}",
            {"C": str(number), "iter": str(rung), "n_resources": str(size)},
            {"mean_test_score": score, "std_test_score": 0.012345},
            {"skledger.candidate": str(number)},
            parent=parent,
        )
    for place in ("", "/children"):
        plain_page.goto(f"{at}/runs/{parent}{place}")
        rows = plain_page.locator("#children-table tbody tr")
        assert "SVC-2" in rows.nth(0).inner_text() and "60" in rows.nth(0).inner_text()
        assert "± 0.012" in rows.nth(0).inner_text()
        heads = plain_page.locator("#children-table th").all_inner_texts()
        assert [each.lower() for each in heads[3:6]] == ["rung", "n_resources", "c"]
        assert "The last rung comes first" in plain_page.inner_text("main")


def show(at, run_id, path, **query):
    return str(httpx.URL(f"{at}/runs/{run_id}/artifacts", params={"path": path, **query}))


def test_files_are_shown_by_their_kind(at, own, page):  # noqa: F811
    """Tables, JSON, Markdown, text, pictures; what cannot be shown is offered for download."""
    page.goto(f"{at}/runs/{own}/artifacts")
    page.looks.everywhere("artifacts")
    page.click(".tree >> text=tables")
    page.click(".tree >> text=rows.csv")
    assert page.locator(".viewer tbody tr").count() == 200
    page.looks.everywhere("artifact-table")
    page.click("text=Next page")
    assert page.locator(".viewer tbody tr").first.inner_text().split()[:2] == ["201", "200"]
    page.click("text=Source")
    assert page.inner_text(".viewer pre").startswith("id,name,score")
    page.goto(show(at, own, "tables/logged.json"))
    assert page.locator(".viewer thead th").all_inner_texts() == ["Row", "a", "b"]
    page.goto(show(at, own, "deep/er/config.json"))
    assert '"text <i>"' in page.inner_text(".json")
    page.looks.everywhere("artifact-json")
    page.goto(show(at, own, "notes/README.md"))
    assert page.inner_text(".viewer .prose h1") == "Title"
    page.goto(show(at, own, "notes/read me.txt"))
    assert "<b>second</b> ü" in page.inner_text(".viewer pre")
    page.goto(show(at, own, "drawing.svg"))
    assert page.evaluate("document.querySelector('.picture img').naturalWidth") == 60
    page.looks.everywhere("artifact-picture")
    for path, told in {"model.pkl": "No view", "empty.txt": "is empty"}.items():
        page.goto(show(at, own, path))
        assert told in page.inner_text(".viewer")
    page.goto(f"{at}/runs/{own}/artifacts")
    page.click(".viewer >> text=odd name%20 #1?.txt")
    assert page.inner_text(".viewer pre") == "odd"


def test_a_page_among_the_files_has_no_rights(at, own, page):  # noqa: F811
    """HTML is shown without scripts; with them, on request, in an origin of its own, cut off."""
    page.looks.expected += ["Blocked script execution", "Content Security Policy", "CORS policy"]
    page.goto(show(at, own, "report.html"))
    inside = page.frame_locator("iframe")
    assert inside.locator("#told").inner_text() == "as written"
    page.looks.everywhere("artifact-html")
    page.click("text=Run them")
    inside = page.frame_locator("iframe")
    inside.locator("text=script ran, origin null").wait_for()
    inside.locator("text=cut").wait_for()
    assert "taken" not in page.title()
    page.goto(f"{at}/artifacts/run/{own}/report.html")
    assert page.inner_text("#told") == "as written"
    page.goto(f"{at}/artifacts/run/{own}/drawing.svg")
    assert page.title() != "taken"


def test_files_of_a_run_come_with_headers_that_disarm_them(at, own):
    """Nothing is guessed, everything is sandboxed, and what is no picture is to be saved."""
    for path, inline in {"report.html": True, "drawing.svg": True, "model.pkl": False}.items():
        answer = httpx.get(f"{at}/artifacts/run/{own}/{path}")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox;") and "script-src" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"].startswith("inline" if inline else "attach")
    running = f"{at}/artifacts/run/{own}/report.html?scripts=1"
    for where, start in {"iframe": "sandbox allow-scripts;", "document": "sandbox;"}.items():
        policy = httpx.get(running, headers={"Sec-Fetch-Dest": where}).headers[
            "content-security-policy"
        ]
        assert policy.startswith(start) and "same-origin" not in policy
    answer = httpx.get(f"{at}/artifacts/run/{own}/report.html?download=1")
    assert answer.headers["content-disposition"].startswith("attachment")
    part = httpx.get(f"{at}/artifacts/run/{own}/tables/rows.csv", headers={"Range": "bytes=0-1"})
    assert part.status_code == 206 and part.content == b"id"


@pytest.mark.parametrize(
    "path", ["..%2Fsecret", "..%2F..%2Fplace", "%2Fetc%2Fpasswd", "a/..%2f..%2fx", "C:%5Cx", "%00"]
)
def test_paths_do_not_leave_the_files_of_a_run(at, own, path):
    """Whatever way a path is written, it ends in the run's own files."""
    for address in (f"/artifacts/run/{own}/{path}", f"/runs/{own}/artifacts?path={path}"):
        assert httpx.get(at + address).status_code in (400, 404)


def test_folders_come_as_archives(at, made, own):
    """A folder, all files of a run, or a model is one ZIP."""
    answer = httpx.get(f"{at}/runs/{own}/artifacts.zip", params={"path": "tables"})
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert sorted(names) == ["tables/logged.json", "tables/rows.csv"]
    answer = httpx.get(f"{at}/runs/{own}/artifacts.zip", params={"path": "nope"})
    assert answer.status_code == 404
    everything = zipfile.ZipFile(io.BytesIO(httpx.get(f"{at}/runs/{own}/artifacts.zip").content))
    assert everything.read("notes/read me.txt").startswith(b"first")
    model = made[0].search_logged_models(made[1]["tree"])[0]
    answer = httpx.get(
        f"{at}/runs/{made[1]['tree']}/artifacts.zip", params={"model": model.model_id}
    )
    assert "MLmodel" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()


def test_the_files_of_a_model_are_in_the_tree(at, made, page):  # noqa: F811
    """A logged model is a folder among the others, wherever its files are."""
    page.goto(f"{at}/runs/{made[1]['tree']}/artifacts")
    page.click(".tree >> text=model >> nth=0")
    page.click(".tree >> text=MLmodel")
    assert "flavors:" in page.inner_text(".viewer pre")
    page.looks.right()


def test_metrics_and_params_come_as_csv(at, made):
    """Last values, all values of a metric, and params."""
    here = f"{at}/runs/{made[1]['boosted']}"
    last = list(csv.DictReader(io.StringIO(httpx.get(f"{here}/metrics.csv").text)))
    assert {"metric", "value", "lowest", "highest", "values", "first_step", "last_step"} == set(
        last[0]
    )
    curve = next(each for each in last if each["metric"] == "train_score")
    assert (curve["values"], curve["first_step"], curve["last_step"]) == ("20", "0", "19")
    assert float(curve["lowest"]) == float(curve["value"]) < float(curve["highest"])
    every = httpx.get(f"{here}/metrics.csv", params={"key": "train_score"}).text
    assert len(list(csv.DictReader(io.StringIO(every)))) == 20
    params = dict(csv.reader(io.StringIO(httpx.get(f"{here}/params.csv").text)))
    assert params["n_estimators"] == "20"


def test_the_tables_are_readable_without_scripts(at, made, own, plain_page):  # noqa: F811
    """Records, curves' values, files and changes work in a browser without JavaScript."""
    plain_page.goto(f"{at}/runs/{made[1]['boosted']}")
    assert plain_page.locator("[data-copy]").count() > 0
    assert not plain_page.locator("[data-copy]:visible").count()  # a script copies
    assert "train_score" in plain_page.inner_text("#metrics")
    plain_page.click("#metrics >> text=train_score")
    assert plain_page.locator("#values tbody tr").count() == 20
    plain_page.goto(f"{at}/runs/{own}")
    plain_page.click("text=Add a tag")
    plain_page.fill("#tag-key", "plain")
    plain_page.fill("#tag-value", "yes")
    plain_page.click("text=Save >> visible=true")
    assert "plain" in plain_page.inner_text(".tag-list")
    plain_page.goto(f"{at}/runs/{own}/artifacts")
    plain_page.click(".viewer >> text=tables/")
    plain_page.click(".viewer >> text=rows.csv")
    assert plain_page.locator(".viewer tbody tr").count() == 200


def test_what_is_not_there_is_a_page_that_says_so(at, own):
    """Unknown runs, metrics, files and models are 404, not a broken page."""
    for path in (
        "/runs/ffffffffffffffffffffffffffffffff",
        f"/runs/{own}/metrics/nothing",
        f"/runs/{own}/artifacts?path=nothing",
        f"/runs/{own}/artifacts?model=m-1",
        f"/artifacts/run/{own}/nothing",
    ):
        answer = httpx.get(at + path)
        assert answer.status_code == 404 and "<h1>" in answer.text
        if own in path:
            assert f'href="/runs/{own}"' in answer.text
    # What is known of the run stands around a file that is gone.
    assert "nightly" in httpx.get(f"{at}/runs/{own}/artifacts?path=nothing").text


def test_files_out_of_reach_do_not_hide_the_run(at, made, page):  # noqa: F811
    """A location that some client made up is not read; the page says so and shows the rest."""
    store, _ = made
    run_id, info = "e" * 32, store.get_run(made[1]["tree"]).info
    moved = replace(info, run_id=run_id, artifact_uri="file:///etc")
    store.write(RunChange(run_id, create=moved, params=as_params({"C": 1})))
    page.goto(f"{at}/runs/{run_id}")
    assert "C" in page.inner_text("#params")
    page.click(".tabs >> text=Artifacts")
    assert "not served here" in page.inner_text(".notice-bad")
    page.looks.right()
    for path in ("passwd", "hostname"):
        assert httpx.get(f"{at}/artifacts/run/{run_id}/{path}").status_code == 404


def test_odd_records_are_shown_as_they_are(at, made, page):  # noqa: F811
    """Names with slashes and markup, no values that are finite, texts of many lines."""
    store, _ = made
    odd = "val/<b>loss</b> 100%"
    run_id = book(store, "1", "", {"text": "one\ntwo"}, {"nan": float("nan"), "inf": float("inf")})
    key = "val/loss a.csv"
    values = tuple(
        Metric(key, v, 1_700_000_000_000 + s, s) for s, v in enumerate([1, float("nan"), 3])
    )
    store.write(RunChange(run_id, metrics=values, tags=as_tags({odd: odd})))
    page.goto(f"{at}/runs/{run_id}")
    assert page.inner_text("h1") == run_id[:8]
    assert odd in page.inner_text(".tag-list")
    page.click(f"#metrics >> text={key}")
    page.wait_for_selector(".curve-large canvas")
    assert "NaN" in page.inner_text("#values")
    page.looks.right()


def test_pictures_that_were_left_undrawn_are_told_and_drawn(at, made, page):  # noqa: F811
    """The line that is given draws them from their numbers; then they are shown."""
    store, ids = made
    run_id = book(store, "1", "no pictures", {"C": "1"}, {"training_score": 1.0})
    of_tree = artifact_store(store.get_run(ids["tree"]).info.artifact_uri)
    files = artifact_store(store.get_run(run_id).info.artifact_uri)
    with of_tree.open("training_plots.json") as numbers:
        files.put_bytes("training_plots.json", numbers.read())
    page.goto(f"{at}/runs/{run_id}")
    told = page.locator("#undrawn")
    assert "training_confusion_matrix.png" in told.inner_text()
    page.looks.right()
    command = shlex.split(told.locator("pre").inner_text())
    assert command[0] == "skledger"
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    page.reload()
    assert page.locator("#undrawn").count() == 0
    assert "training_confusion_matrix.png" in page.inner_text("#pictures")
    page.goto(f"{at}/runs/{ids['tree']}")
    assert page.locator("#undrawn").count() == 0


def test_what_is_wide_fits(at, made, page):  # noqa: F811
    """Long names leave room for values; numbers of files have the digits that count."""
    store, ids = made
    run_id = book(store, "1", "wide", {f"columntransformer__{'long_' * 12}name": "in sight"})
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{at}/runs/{run_id}")
    box = page.locator("#params td:has-text('in sight')").bounding_box()
    assert box["x"] + 60 < 390
    page.looks.right()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{at}/runs/{ids['search']}/artifacts?path=cv_results.csv")
    rows = page.locator(".viewer tbody tr")
    assert not re.search(r"\d\.\d{9}", rows.nth(0).inner_text())
    assert rows.nth(0).bounding_box()["height"] < 80
    page.looks.shot("cv-results")
    page.looks.right()


def test_data_are_told_in_their_own_terms():
    """Arrays are no columns, bars are shares of all rows, a sample says what it was of."""
    tensors = {"features": '[{"type": "tensor", "tensor-spec": {"dtype": "f8", "shape": [-1, 4]}}]'}
    profile = {"n_rows": 9, "n_missing": 2, "n_rows_sampled": 5, "class_counts": {"a": 6, "b": 3}}
    data = Dataset(
        "X", "0" * 8, "code", "{}", json.dumps({"mlflow_tensorspec": tensors}), json.dumps(profile)
    )
    run = SimpleNamespace(inputs=SimpleNamespace(dataset_inputs=[DatasetInput(data, ())]))
    view = data_sets(run)[0]
    assert view.has_tensors
    assert [share for _, _, share in view.classes] == pytest.approx([2 / 3, 1 / 3])
    assert dict(view.facts)["Missing values"] == "2 in the 5 rows looked at"
    assert "Rows looked at" not in dict(view.facts)


def test_finding_counts_what_is_found(at, made, page):  # noqa: F811
    """A table in which nothing is found is not shown empty below the number of all."""
    page.goto(f"{at}/runs/{made[1]['tree']}")
    everything = page.inner_text("#metrics h2 .count")
    page.keyboard.press("/")
    page.keyboard.type("min_samples_split")
    page.wait_for_function("document.querySelector('#metrics h2 .count').textContent[0] === '0'")
    assert page.inner_text("#metrics h2 .count") == f"0 of {everything}"
    assert not page.is_visible("#metrics .table-wrap")
    assert page.inner_text("#params h2 .count").startswith("1 of ")
    page.keyboard.press("Escape")
    assert page.is_visible("#metrics .table-wrap")
    assert page.inner_text("#metrics h2 .count") == everything


def test_arrows_go_from_picture_to_picture(at, made, page):  # noqa: F811
    """Pictures of a folder are leafed through by key or link."""
    page.goto(f"{at}/runs/{made[1]['tree']}")
    page.click(".gallery a >> nth=0")
    page.wait_for_selector(".picture img")
    first = page.inner_text(".viewer h2")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda address: first.split()[0] not in address)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(lambda address: first.split()[0] in address)


def test_a_server_that_is_read_only_offers_no_changes(made, page):  # noqa: F811
    """No buttons that would be refused; a form that is sent all the same is."""
    store, ids = made
    with serving(store, read_only=True) as address:
        page.goto(f"{address}/runs/{ids['tree']}")
        assert page.locator("main form, main [command=show-modal]").count() == 0
        page.looks.right()
        sent = httpx.post(f"{address}/runs/{ids['tree']}/rename", data={"name": "x"})
        assert sent.status_code == 403


def test_a_model_among_the_files_of_its_run_is_a_model(at, made, page):  # noqa: F811
    """As MLflow 2 logs them: no record of its own, a folder and a tag of the run."""
    store, ids = made
    logged = store.search_logged_models(ids["tree"])[0]
    source, history = artifact_store(logged.artifact_location), '[{"artifact_path": "kept"}]'
    run_id = book(store, "1", "older", tags={"mlflow.log-model.history": history})
    target = artifact_store(store.get_run(run_id).info.artifact_uri)
    for name in source.list():
        target.put_file(f"kept/{name}", source.local_path(name))
    page.goto(f"{at}/runs/{run_id}")
    text = section(page, "Model").inner_text()
    assert f'load_model("runs:/{run_id}/kept")' in text and "Signature: 4 inputs" in text
    page.click("text=Register >> nth=0")
    page.fill("dialog[open] input[name=name]", "older")
    page.click("dialog[open] .btn-primary")
    page.wait_for_url(f"{at}/models/older/versions/1")
    assert store.get_model_version("older", 1).run_id == run_id
