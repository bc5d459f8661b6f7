"""The pages of registered models and their versions, in a real browser and without its scripts."""

import csv
import io
import os
import shlex
import subprocess
import sys
from datetime import datetime

import httpx
import pytest
from _booked import book, new_store
from _browser import browser, page, plain_page  # noqa: F401
from _fitted import fitted
from _pages import serving

from skledger.errors import NotFoundError
from skledger.stores.opening import open_store
from skledger.tracking.entities import RunTag
from skledger.tracking.registry_entities import (
    ModelVersionChange,
    NewModelVersion,
    RegisteredModelAlias,
    RegisteredModelChange,
)


@pytest.fixture
def store(tmp_path_factory):
    store = new_store(tmp_path_factory.mktemp("place"))
    yield store
    store.close()


@pytest.fixture
def at(store):
    with serving(store) as address:
        yield address


def register(store, name="wine", versions=3, **more):
    """Register versions of a model, each with a run of its own; return the runs."""
    store.write_registry(RegisteredModelChange(name, create=True, exist_ok=True, **more))
    runs = []
    for place in range(1, versions + 1):
        run = book(
            store,
            "0",
            f"fit {place}",
            {"C": place},
            {"accuracy_score_X_test": 0.9 + place / 100, "training_score": 1.0},
        )
        new = NewModelVersion(f"runs:/{run}/model", f"/nowhere/{run}", run_id=run)
        store.write_registry(ModelVersionChange(name, create=new))
        runs.append(run)
    return runs


def alias(store, name, alias, version):
    each = RegisteredModelAlias(alias, str(version))
    store.write_registry(RegisteredModelChange(name, aliases=(each,)))


def test_an_empty_registry_says_what_to_do(at, page):  # noqa: F811
    """It has the code that registers a model, and a form for a name."""
    page.goto(f"{at}/models")
    assert "No registered models yet" in page.inner_text("main")
    assert "register_model" in page.inner_text("main pre")
    page.looks.everywhere("models-empty")
    page.click("text=New model")
    page.fill("#create-name", "wine")
    page.fill("#create-note", "Of **wines**.")
    page.click("text=Create >> visible=true")
    page.wait_for_url("**/models/wine")
    assert page.inner_text("main strong") == "wines"
    assert "No versions yet" in page.inner_text("main")


def test_models_are_listed_searched_and_sorted(store, at, page):  # noqa: F811
    """By a word of the name or by a filter; what is wrong with a filter stands below it."""
    register(store, "wine", 2, description="Tells wines apart", tags=(RunTag("team", "red"),))
    register(store, "churn", 1)
    alias(store, "wine", "champion", 1)
    page.goto(f"{at}/models")
    rows = page.locator("tbody tr")
    assert rows.locator(".row-link").all_inner_texts() == ["churn", "wine"]
    assert "version 2" in rows.nth(1).inner_text() and "champion" in rows.nth(1).inner_text()
    assert "Stages" not in page.inner_text("thead")
    page.looks.everywhere("models")
    page.click("th >> text=Name")
    page.wait_for_url("**order_by=*")
    assert page.get_attribute("th:has-text('Name')", "aria-sort")
    for typed, found in (("WIN", ["wine"]), ("tags.team = 'red'", ["wine"]), ("100%", [])):
        page.goto(f"{at}/models")
        page.keyboard.press("/")
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        page.wait_for_url("**filter=*")
        assert rows.locator(".row-link").all_inner_texts() == found, typed
    page.looks.expected.append("400")
    page.fill("#filter", "flavour = 'red'")
    page.keyboard.press("Enter")
    page.wait_for_selector(".error-text")
    assert "flavour" in page.inner_text(".error-text")
    assert page.get_attribute("#filter", "aria-invalid") == "true"


def test_versions_stand_with_their_runs_and_metrics(store, at, page):  # noqa: F811
    """The last first, the best value marked, and any metric instead of those shown at first."""
    runs = register(store)
    alias(store, "wine", "champion", 2)
    page.goto(f"{at}/models/wine")
    rows = page.locator("tbody tr")
    assert [each.split()[1] for each in rows.locator(".row-link").all_inner_texts()] == list("321")
    assert "accuracy_score_X_test" in page.inner_text("thead")
    assert rows.nth(0).locator(".best").inner_text() == "0.93"
    assert "champion" in rows.nth(1).inner_text()
    page.looks.everywhere("model")
    page.click("summary:has-text('Metrics')")
    for box in page.locator("[name=metric]").all():
        box.uncheck()
    page.check("[name=metric][value=training_score]")
    page.click("text=Show >> visible=true")
    page.wait_for_url("**metric=training_score")
    assert "training_score" in page.inner_text("thead")
    assert "accuracy" not in page.inner_text("thead")
    assert page.is_disabled("text=Compare runs")
    page.locator(".pick input").nth(0).check()
    page.locator(".pick input").nth(2).check()
    page.click("text=Compare runs")
    page.wait_for_url("**/compare?*")
    assert "2 runs compared" in page.inner_text("h1")
    assert runs[2] in page.url and runs[0] in page.url


def test_a_model_is_described_tagged_renamed_and_deleted(store, at, page):  # noqa: F811
    """Each in place, the last after a question."""
    register(store, versions=1)
    page.goto(f"{at}/models/wine")
    page.click("summary:has-text('Add a description')")
    page.fill("#note-text", "Made of *grapes*.")
    page.click("text=Save")
    page.wait_for_selector("main em")
    page.click("text=Add a tag")
    long = "organisation.department/responsible-for-it"
    page.fill("#tag-key", long)
    page.fill("#tag-value", "wine" * 20)
    page.click("form:has(#tag-key) >> text=Set")
    page.wait_for_selector(f".chip:has-text('{long}')")
    inside = (
        "e => e.lastElementChild.getBoundingClientRect().right < e.getBoundingClientRect().right"
    )
    assert page.eval_on_selector(".chip", f"e => e.offsetHeight < 30 && ({inside})(e)")
    page.looks.shot("long-tag")
    page.click(f"[aria-label='Remove the tag {long}']")
    page.wait_for_selector(".chip", state="detached")
    page.click("text=Add a tag")
    page.fill("#tag-key", "team")
    page.fill("#tag-value", "red")
    page.click("form:has(#tag-key) >> text=Set")
    page.wait_for_selector(".chip:has-text('team')")
    assert store.get_registered_model("wine").tags == {"team": "red"}
    page.click("[aria-label='Remove the tag team']")
    page.wait_for_selector(".chip:has-text('team')", state="detached")
    page.click("text=Rename >> visible=true")
    page.fill("#rename-name", "red wine & more?")
    page.click("#rename >> text=Rename >> nth=-1")
    page.wait_for_url("**/models/red%20wine*")
    assert page.inner_text("h1") == "red wine & more?"
    page.click("text=Delete >> visible=true")
    page.looks.everywhere("model-delete")
    page.click("text=Cancel >> visible=true")
    assert store.get_registered_model("red wine & more?").description == "Made of *grapes*."
    page.click("text=Delete >> visible=true")
    page.click("text=Delete the model")
    page.wait_for_url("**/models")
    with pytest.raises(NotFoundError):
        store.get_registered_model("red wine & more?")


def test_a_version_has_aliases_and_a_stage(store, at, page):  # noqa: F811
    """An alias that another version has moves; others of a stage are archived when asked to."""
    runs = register(store)
    alias(store, "wine", "champion", 1)
    store.write_registry(ModelVersionChange("wine", "1", stage="Production"))
    page.goto(f"{at}/models/wine/versions/3")
    assert "fit 3" in page.inner_text("main")
    assert page.get_attribute("dd a:has-text('fit 3')", "href").endswith(f"/runs/{runs[2]}")
    assert "models:/wine/3" in page.inner_text("#load")
    page.click("text=Add an alias")
    page.fill("#alias", "champion")
    page.click("form:has(#alias) >> text=Set")
    page.wait_for_selector(".alias")
    assert store.get_registered_model("wine").aliases == {"champion": "3"}
    assert "models:/wine@champion" in page.inner_text("#load")
    page.click("text=Move to a stage")
    page.select_option("#stage-name", "Production")
    page.check("text=archive the others")
    page.click("text=Move >> nth=-1")
    page.wait_for_selector(".meta .badge")
    assert store.get_model_version("wine", 1).current_stage == "Archived"
    page.looks.everywhere("version")
    page.click("[aria-label='Remove the alias champion']")
    page.wait_for_selector(".alias", state="detached")
    page.click("text=Delete >> visible=true")
    page.click("text=Delete the version")
    page.wait_for_url("**/models/wine")
    assert page.locator("tbody tr").count() == 2


def test_what_cannot_be_is_told(store, at):
    """Names that are taken or cannot be, aliases that mean something, versions that are not."""
    register(store, versions=1)
    told = httpx.post(f"{at}/models/create", data={"name": "wine"})
    assert told.status_code == 409 and "already" in told.text
    told = httpx.post(f"{at}/models/create", data={"name": "a/b"})
    assert told.status_code == 400
    place = f"{at}/models/wine/versions"
    assert httpx.post(f"{place}/1/aliases", data={"alias": "latest"}).status_code == 400
    assert httpx.post(f"{place}/7/aliases", data={"alias": "champion"}).status_code == 404
    assert httpx.post(f"{place}/1/stage", data={"stage": "Cellar"}).status_code == 400
    assert httpx.get(f"{place}/7").status_code == 404
    assert httpx.get(f"{place}/one").status_code == 400
    assert httpx.get(f"{at}/models/beer").status_code == 404
    assert httpx.get(f"{at}/models", params={"order_by": "colour"}).status_code == 400
    assert store.get_registered_model("wine").aliases == {}


def test_an_alias_that_moved_on_is_not_removed(store, at):
    """The page of its old version may still be open."""
    register(store, versions=2)
    alias(store, "wine", "champion", 2)
    httpx.post(f"{at}/models/wine/versions/1/aliases", data={"delete": "champion"})
    assert store.get_registered_model("wine").aliases == {"champion": "2"}


def test_versions_of_runs_that_are_not_here(store, at, plain_page):  # noqa: F811
    """A registry may tell of runs of another store; their pages have no link."""
    store.write_registry(RegisteredModelChange("wine", create=True))
    new = NewModelVersion("s3://models/wine", run_id="0" * 32, run_link="javascript:alert(1)")
    store.write_registry(ModelVersionChange("wine", create=new))
    plain_page.goto(f"{at}/models/wine")
    assert "not in this store" in plain_page.inner_text("tbody")
    plain_page.goto(f"{at}/models/wine/versions/1")
    assert "not in this store" in plain_page.inner_text("main")
    assert plain_page.locator("a[href^='javascript']").count() == 0


def test_tables_as_csv(store, at):
    """Models as they are filtered, and versions with all metrics."""
    runs = register(store, versions=2)
    register(store, "churn", 1)
    models = list(csv.DictReader(io.StringIO(httpx.get(f"{at}/models.csv?filter=win").text)))
    assert [(each["name"], each["last_version"]) for each in models] == [("wine", "2")]
    answer = httpx.get(f"{at}/models/wine/versions.csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [each["run_id"] for each in rows] == [runs[1], runs[0]]
    assert rows[0]["accuracy_score_X_test"] == "0.92" and rows[0]["training_score"] == "1"
    assert datetime.fromisoformat(rows[0]["created"]).year > 2000


def test_a_version_is_loaded_served_and_measured_from_its_page(tmp_path, plain_page):  # noqa: F811
    """The lines work in a program that knows nothing yet; signature and metrics are those it has."""
    uri, ids = fitted(tmp_path)
    store = open_store(uri)
    logged = store.search_logged_models(ids["tree"])[0]
    new = NewModelVersion(logged.model_uri, logged.artifact_location, ids["tree"])
    store.write_registry(RegisteredModelChange("iris", create=True))
    store.write_registry(ModelVersionChange("iris", create=new))
    with serving(store) as at:
        plain_page.goto(f"{at}/models/iris/versions/1")
        code = plain_page.inner_text("#load")
        script = code.replace("model.predict(X)", "print(model.predict([[5.1, 3.5, 1.4, 0.2]]))")
        # Somewhere else, where no environment names the store.
        environment = {k: v for k, v in os.environ.items() if "TRACKING_URI" not in k}
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        ran = subprocess.run(
            [sys.executable, "-c", script],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.stdout.strip() == "[0]", ran.stderr
        words = shlex.split(plain_page.inner_text("#serve"))
        # The port of this server is taken, and so is the one that is proposed for it.
        assert words[3:] == ["--uri", uri, "-m", "models:/iris/1", "-p", "5001"]
        assert "pip install 'skledger[serve]'" in plain_page.inner_text("main")
        assert "petal width (cm)" in plain_page.inner_text("section[aria-labelledby=signature]")
        groups = plain_page.locator("tr.group").all_inner_texts()
        assert groups == ["Training data", "The fit"]
        value = plain_page.locator("tr:has-text('accuracy_score_X_test') td")
        assert value.get_attribute("title") == "measured on X_test"
        plain_page.click("th a:has-text('accuracy_score_X_test')")
        assert f"/runs/{ids['tree']}/metrics/accuracy_score_X_test" in plain_page.url
        answer = httpx.get(f"{at}/models/iris/versions/1/metrics.csv")
        rows = {each["metric"]: each["value"] for each in csv.DictReader(io.StringIO(answer.text))}
        assert float(rows["accuracy_score_X_test"]) > 0.9
    store.close()


def test_help_and_descriptions_are_read_in_words(store, at, page):  # noqa: F811
    """Markdown stands in lists as its words, and the help has room for its own."""
    register(store, "wine", 1, description="Tells **wines** apart, see [here](/x).\n\nMore.")
    page.goto(f"{at}/models")
    assert "Tells wines apart, see here. More." in page.inner_text("tbody")
    page.click("summary:has-text('Help')")
    assert page.locator(".menu[open] .menu-body").bounding_box()["width"] > 400
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{at}/models/wine/versions/1")
    button = page.locator("#serve ~ button").bounding_box()
    text = page.locator("#serve code").bounding_box()
    assert button["y"] + button["height"] <= text["y"] + 2
    page.looks.right()


def test_a_server_that_is_read_only_offers_no_changes(store, plain_page):  # noqa: F811
    """There are no buttons, and forms are refused."""
    register(store, versions=1)
    with serving(store, read_only=True) as at:
        for path in ("/models", "/models/wine", "/models/wine/versions/1"):
            plain_page.goto(at + path)
            assert plain_page.locator("form[method=post]:not([hidden])").count() == 0
        assert httpx.post(f"{at}/models/wine/delete").status_code == 403
