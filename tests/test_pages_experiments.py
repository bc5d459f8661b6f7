"""The pages of experiments, in a real browser and without its scripts."""

import csv
import io
from base64 import b64encode
from datetime import datetime

import httpx
import pytest
from _booked import book, new_store
from _browser import browser, page, plain_page  # noqa: F401
from _pages import serving
from _tracking_server import TrackingServer

from skledger.server.security.users import UserFile
from skledger.stores.artifacts import artifact_store
from skledger.tracking.entities import ViewType


@pytest.fixture
def store(tmp_path_factory):
    # Its place stands in the pages: not the name of a test, which has words that are looked for.
    store = new_store(tmp_path_factory.mktemp("place"))
    yield store
    store.close()


@pytest.fixture
def at(store):
    with serving(store) as address:
        yield address


def test_an_empty_store_says_what_to_do_next(at, page):  # noqa: F811
    """Who starts the server first sees the lines that bring the first run, with its address."""
    page.goto(f"{at}/")
    told = page.locator("#first-steps")
    assert f'skledger.set_tracking_uri("{at}")' in told.inner_text()
    page.looks.everywhere("experiments-empty")
    page.click("text=Default")
    assert "No runs yet" in page.inner_text("main")
    page.looks.everywhere("runs-empty")


def test_experiments_are_listed_with_their_runs(store, at, page):  # noqa: F811
    """Names, tags, notes, how many runs there are and which failed; what is odd stays text."""
    odd = "<script>alert(1)</script> & 'co'"
    tags = {"team": "blue", "mlflow.note.content": "First **tries**\nwith churn"}
    experiment_id = store.create_experiment(odd, tags=tags)
    book(store, experiment_id, "one")
    book(store, experiment_id, "two", status="FAILED")
    book(store, experiment_id, "three", status="RUNNING")
    page.goto(f"{at}/")
    page.wait_for_selector("text=1 failed")
    row = page.locator(f"#experiment-{experiment_id}")
    text = row.inner_text()
    assert odd in text and "1 running" in text and "team" in text and "blue" in text
    assert "First tries with churn" in text
    assert row.locator("td.num").inner_text() == "3"
    page.looks.everywhere("experiments")
    row.locator("text=1 failed").click()
    assert page.locator(".runs tbody tr").count() == 1


def test_an_experiment_is_created_renamed_deleted_and_restored(store, at, page):  # noqa: F811
    """Each asks where it should, and leads to where the change is to be seen."""
    page.goto(f"{at}/")
    page.click("summary:has-text('New experiment')")
    page.fill("#new-name", "churn")
    page.looks.shot("experiments-create")
    page.click(".menu-form button")
    page.wait_for_url("**/experiments/1")
    assert page.inner_text("h1") == "churn"

    page.click("button:has-text('Rename')")
    page.looks.shot("experiment-rename")
    page.looks.right()
    page.fill("#rename-experiment-name", "churn 2")
    page.click("dialog[open] >> text=Rename >> nth=-1")
    page.wait_for_selector("h1:has-text('churn 2')")
    assert store.get_experiment("1").name == "churn 2"

    run_id = book(store, "1", "one")
    page.click(".page-head >> text=Delete")
    page.wait_for_selector("dialog[open] >> text=churn 2, 1 run")
    page.looks.shot("experiment-delete")
    page.click("dialog[open] >> text=Cancel")
    assert store.get_experiment("1").lifecycle_stage == "active"
    page.click(".page-head >> text=Delete")
    page.click("#delete-experiment button.btn-danger")
    page.wait_for_url(f"{at}/")
    assert store.get_experiment("1").lifecycle_stage == "deleted"
    assert page.locator("tbody >> text=churn 2").count() == 0
    page.wait_for_selector("[role=status] >> text=churn 2 is deleted, with its runs.")
    page.looks.everywhere("experiment-undo")
    page.click("text=Undo")
    page.wait_for_selector("h1:has-text('churn 2')")
    assert store.get_experiment("1").lifecycle_stage == "active"
    page.click(".page-head >> text=Delete")
    page.click("#delete-experiment button.btn-danger")
    page.wait_for_url(f"{at}/")
    page.reload()  # it is told once

    page.click(".segments >> text=Deleted")
    page.click("text=churn 2")
    assert "This experiment is deleted" in page.inner_text("main")
    assert "No active runs" in page.inner_text("main")
    page.looks.everywhere("experiment-deleted")
    page.click("text=Restore >> nth=0")
    page.wait_for_selector(".page-head >> text=Delete")
    assert store.get_run(run_id).info.lifecycle_stage == "active"


def test_a_name_that_is_taken_is_told_beside_the_field(store, at, page):  # noqa: F811
    """What was typed stays, and the words of the store stand below it."""
    book(store, "0", "one")
    page.looks.expected.append("answer: 409")
    page.goto(f"{at}/")
    page.click("summary:has-text('New experiment')")
    page.fill("#new-name", "Default")
    page.click(".menu-form button")
    assert "Default" in page.inner_text("#new-error")
    assert page.input_value("#new-name") == "Default"
    assert page.get_attribute("#new-name", "aria-invalid") == "true"
    page.looks.shot("experiments-taken")
    page.looks.right()
    # The list behind is whole, and its address is that of the list.
    assert page.url == f"{at}/"
    page.wait_for_selector("tbody tr td.num:has-text('1')")
    assert page.is_visible("#new-error")


def test_what_is_refused_is_told_at_its_field(store, at, page):  # noqa: F811
    """Whatever form it is: what was typed stays, and there is no other page to come back from."""
    page.looks.expected += ["answer: 400", "answer: 409", "ERR_CONNECTION_REFUSED"]
    long = "x" * 600
    experiment_id = store.create_experiment("churn")
    page.goto(f"{at}/experiments/{experiment_id}")
    page.click("button:has-text('Rename')")
    page.fill("#rename-experiment-name", long)
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] [role=alert]:has-text('256 is the limit')")
    assert page.input_value("#rename-experiment-name") == long
    page.looks.everywhere("experiment-refused")
    page.fill("#rename-experiment-name", "Default")
    assert page.locator("[role=alert]").count() == 0
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] [role=alert]:has-text('Default')")
    page.keyboard.press("Escape")
    page.click("text=Add a tag")
    page.fill("#tag-key", "  ")
    page.keyboard.press("Enter")
    page.wait_for_selector(".about-tags [role=alert]")
    assert page.input_value("#tag-key") == "  "
    page.looks.shot("experiment-tag-refused")
    # A server that is gone takes nothing away, either.
    page.route("**/tags", lambda route: route.abort("connectionrefused"))
    page.fill("#tag-key", "team")
    page.keyboard.press("Enter")
    page.wait_for_selector(".away")
    assert page.input_value("#tag-key") == "team"


def test_notes_and_tags_are_edited_in_place(store, at, page):  # noqa: F811
    """Notes are Markdown of which nothing can run; tags are set and removed."""
    experiment_id = store.create_experiment("churn")
    page.goto(f"{at}/experiments/{experiment_id}")
    page.click("text=Add notes")
    page.wait_for_selector("#note-text:focus")
    page.keyboard.type("/")
    assert page.input_value("#note-text") == "/"
    page.fill(
        "#note-text", "A **bold** try\n\n<img src=x onerror=alert(1)> [link](javascript:alert(1))"
    )
    page.click("text=Save")
    page.wait_for_selector(".prose strong:has-text('bold')")
    assert page.locator(".prose img, .prose a").count() == 0
    page.click("text=Add a tag")
    page.wait_for_selector("#tag-key:focus")
    page.keyboard.type("team")
    page.fill("#tag-value", "blue & <b>green</b>")
    page.click("text=Set")
    page.wait_for_selector(".chip:has-text('<b>green</b>')")
    assert store.get_experiment(experiment_id).tags["team"] == "blue & <b>green</b>"
    page.looks.everywhere("experiment-notes")
    page.click("[aria-label='Remove the tag team']")
    page.wait_for_selector(".chip", state="detached")
    assert "team" not in store.get_experiment(experiment_id).tags
    page.click("text=Edit the notes")
    page.fill("#note-text", "")
    page.click("text=Save")
    page.wait_for_selector("text=Add notes")


def test_experiments_are_searched_and_sorted_by_their_address(store, at, page):  # noqa: F811
    """By words of the name or in the grammar; the back button returns; errors stand in place."""
    for name in ("iris trees", "wine", "iris lines"):
        store.create_experiment(name, tags={"team": name[:4]})
    page.goto(f"{at}/")
    page.keyboard.press("/")
    page.keyboard.type("iris")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=iris")
    names = page.locator("tbody .row-link")
    assert sorted(names.all_inner_texts()) == ["iris lines", "iris trees"]
    page.click("th >> text=Name")
    page.wait_for_url("**order_by=name*")
    assert names.all_inner_texts() == ["iris lines", "iris trees"]
    page.click("th >> text=Name")
    page.wait_for_url("**DESC*")
    assert names.all_inner_texts() == ["iris trees", "iris lines"]
    assert page.get_attribute("th:has-text('Name')", "aria-sort") == "descending"
    page.go_back()
    page.go_back()
    page.wait_for_url("**/?q=iris")
    page.fill("[data-filter]", "tags.team = 'wine'")
    page.keyboard.press("Enter")
    page.wait_for_url("**wine*")
    assert names.all_inner_texts() == ["wine"]
    page.fill("[data-filter]", "tags.team = wine")
    page.keyboard.press("Enter")
    page.wait_for_selector("#q-error")
    assert "wine" in page.inner_text("#q-error")


def test_experiments_are_sorted_by_their_runs(store, at, page):  # noqa: F811
    """By how many they have, and by the start of the last one."""
    busy, late, idle = (store.create_experiment(each) for each in ("busy", "late", "idle"))
    for _ in range(3):
        book(store, busy, "run")
    book(store, late, "run")
    store.update_experiment("0", lifecycle_stage="deleted")
    for head, expected in (("Runs", "busy late idle"), ("Last run", "late busy idle")):
        page.goto(at)
        page.locator("th a.sort").get_by_text(head, exact=True).click()
        page.wait_for_url("**order_by=*")
        assert " ".join(page.locator("tbody .row-link").all_inner_texts()) == expected


def test_runs_of_several_experiments_stand_in_one_table(store, at, page):  # noqa: F811
    """Those that are picked, with the experiment as a column."""
    for name in ("one", "two"):
        book(store, store.create_experiment(name), f"run of {name}")
    page.goto(f"{at}/")
    page.check("[aria-label='Select one']")
    page.check("[aria-label='Select two']")
    assert page.inner_text("[data-selected-count]") == "2 selected"
    page.click("text=Open together")
    page.wait_for_url("**/experiments?ids=*")
    text = page.inner_text("table.runs")
    assert "run of one" in text and "run of two" in text and "Experiment" in text
    page.looks.everywhere("runs-of-two")


def test_the_list_can_be_read_without_scripts(store, at, plain_page):  # noqa: F811
    """Names, times in UTC, searching and creating work in any browser."""
    store.create_experiment("churn")
    plain_page.goto(f"{at}/?q=churn")
    assert "UTC" in plain_page.inner_text("tbody")
    plain_page.click("summary:has-text('New experiment')")
    plain_page.fill("#new-name", "plain")
    plain_page.click(".menu-form button")
    assert plain_page.inner_text("h1") == "plain"


def test_the_list_as_csv(store, at):
    """Every experiment, not only those of the page."""
    for index in range(120):
        store.create_experiment(f"e, {index}")
    answer = httpx.get(f"{at}/experiments.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["name"] for row in rows} >= {f"e, {index}" for index in range(120)}


def test_the_list_as_csv_has_its_columns(store, at):
    """What the page shows of an experiment: its runs, the last of them, its tags."""
    experiment_id = store.create_experiment("churn", tags={"team": "blue"})
    run_id = book(store, experiment_id, "one")
    rows = list(csv.DictReader(io.StringIO(httpx.get(f"{at}/experiments.csv").text)))
    row = next(each for each in rows if each["name"] == "churn")
    assert (row["runs"], row["tags"]) == ("1", "team=blue")
    last = datetime.fromisoformat(row["last_run"])
    assert last.timestamp() * 1000 == pytest.approx(store.get_run(run_id).info.start_time)
    assert datetime.fromisoformat(row["creation_time"]).year > 2000


def test_a_server_that_is_only_read_offers_no_change(store, page):  # noqa: F811
    """No buttons, and a form that comes all the same is refused."""
    experiment_id = store.create_experiment("churn")
    book(store, experiment_id, "one")
    with serving(store, read_only=True) as at:
        page.goto(f"{at}/experiments/{experiment_id}")
        assert page.locator("text=Rename").count() == page.locator("text=Delete runs").count() == 0
        assert "read only" in page.inner_text("header")
        answer = httpx.post(f"{at}/experiments/{experiment_id}/delete", headers={"Origin": at})
        assert answer.status_code == 403
    found = store.search_experiments(ViewType.ACTIVE_ONLY)
    assert experiment_id in [each.experiment_id for each in found]


def test_what_is_not_there_is_told(at, page):  # noqa: F811
    """A page with a way on, and the right status."""
    page.looks.expected.append("answer: 404")
    answer = page.goto(f"{at}/experiments/12345")
    assert answer.status == 404
    assert "12345" in page.inner_text("main")
    page.looks.shot("not-found")
    page.looks.right()
    assert page.goto(f"{at}/no/such/page").status == 404
    page.looks.right()
    # In words of the page, with the list that is nearest.
    assert page.goto(f"{at}/experiments/churn").status == 404
    text = page.inner_text("main")
    assert "'churn'" in text
    assert "get_experiment" not in text
    page.goto(f"{at}/models/churn/versions/3")
    assert page.locator("main .actions a").all_inner_texts() == ["The model", "All models"]
    assert page.get_attribute("nav a:has-text('Models')", "aria-current") == "true"
    page.goto(f"{at}/compare?runs=abc")
    assert "not in this store" in page.inner_text("main")
    assert "The others" not in page.inner_text("main")


def test_who_is_signed_in_is_told(tmp_path, page):  # noqa: F811
    """By the name that the server knows."""
    UserFile(tmp_path / "users.json").set_password("alice", "correct horse")
    with TrackingServer("s.db", "--auth", "users.json", folder=tmp_path) as server:
        page.set_extra_http_headers(
            {"Authorization": f"Basic {b64encode(b'alice:correct horse').decode()}"}
        )
        page.goto(server.uri)
        assert "alice" in page.inner_text("header")
        page.looks.right()


def test_old_addresses_of_mlflow_lead_on(store, at, page):  # noqa: F811
    """Links that people kept, with everything behind the `#`."""
    experiment_id = store.create_experiment("churn")
    page.goto(f"{at}/#/experiments/{experiment_id}")
    page.wait_for_url(f"{at}/experiments/{experiment_id}")
    for score in (1, 2, 3):
        run_id = book(store, experiment_id, f"run {score}", metrics={"score": score})
    place = artifact_store(store.get_run(run_id).info.artifact_uri)
    place.put_bytes("deep/note.txt", b"as written")
    asked = "searchFilter=metrics.score%20%3E%201&orderByKey=metrics.%60score%60&orderByAsc=true"
    for path in ("", "/runs"):
        page.goto(f"{at}/models")
        page.goto(f"{at}/#/experiments/{experiment_id}{path}?{asked}")
        page.wait_for_url(f"{at}/experiments/{experiment_id}?*")
        assert page.locator(".runs tbody .row-link").all_inner_texts() == ["run 2", "run 3"]
    page.goto(f"{at}/#/experiments/{experiment_id}/runs/{run_id}/artifacts/deep/note.txt")
    page.wait_for_url("**/artifacts?path=*")
    assert "as written" in page.inner_text(".viewer")
    page.goto(f"{at}/models")
    page.goto(f"{at}/#/experiments/{experiment_id}/runs/{run_id}/artifacts")
    page.wait_for_url(f"{at}/runs/{run_id}/artifacts")
    page.goto(f"{at}/#/experiments/{experiment_id}/runs/{run_id}")
    page.wait_for_url(f"{at}/runs/{run_id}")


def test_files_are_kept_for_ever_under_the_digest_of_their_content(at):
    """And asked for again without it; nothing outside their folder is served."""
    text = httpx.get(f"{at}/").text
    address = text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = httpx.get(at + address)
    assert "immutable" in answer.headers["cache-control"]
    assert "no-cache" in httpx.get(f"{at}/static/app.css").headers["cache-control"]
    digest = address.split("/")[2]
    for path in ("../rendering.py", "%2e%2e/rendering.py", f"{digest}/..%2f..%2frendering.py"):
        assert httpx.get(f"{at}/static/{path}").status_code == 404
