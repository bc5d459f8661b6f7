"""A search's own page, in a real browser and without its scripts."""

import csv
import io

import httpx
import pytest
from _booked import book, book_search, new_store
from _browser import browser, page, plain_page  # noqa: F401
from _pages import serving

from skledger.tracking.entities import Metric, RunChange, as_tags


@pytest.fixture
def store(tmp_path_factory):
    store = new_store(tmp_path_factory.mktemp("place"))
    yield store
    store.close()


@pytest.fixture
def at(store):
    with serving(store) as address:
        yield address


GRID = "{'C': [0.1, 1, 10], 'gamma': [0.01, 0.1]}"


def start_search(store, status="RUNNING", grid=GRID, **params):
    """Book a search without candidates."""
    given = {"cv": "3", "estimator": "SVC()", "param_grid": grid, "refit": "True", **params}
    return book(
        store, "0", "grid", given, tags={"estimator_name": "GridSearchCV"}, status=status, seconds=9
    )


def add(store, search, number, params, score=None, status="FINISHED", tags=None, **metrics):
    """Book a candidate."""
    held = {} if score is None else {"mean_test_score": score, "std_test_score": 0.01}
    return book(
        store,
        "0",
        f"SVC-{number}",
        {"kernel": "rbf", **params},
        {**held, "mean_fit_time": 0.25, **metrics},
        {"estimator_name": "SVC", "skledger.candidate": str(number), **(tags or {})},
        status,
        search,
    )


def finished(store):
    """Book a grid of six, of which one failed."""
    search = start_search(store, "FINISHED")
    added = []
    for number, (C, gamma) in enumerate(
        (C, g) for C in ("0.1", "1", "10") for g in ("0.01", "0.1")
    ):
        failed = number == 5
        tags = {"skledger.error.type": "builtins.ValueError"} if failed else {}
        score = None if failed else 0.8 + number / 50
        status = "FAILED" if failed else "FINISHED"
        added.append(add(store, search, number, {"C": C, "gamma": gamma}, score, status, tags))
    store.write(RunChange(search, tags=as_tags({"skledger.best_run": added[4]})))
    return search, added


def drawn(page, name):  # noqa: F811
    """Wait for a chart and return what it says to those who do not see it."""
    page.wait_for_selector(f"#p-{name}[role=img] canvas")
    return page.get_attribute(f"#p-{name}", "aria-label")


def test_a_search_shows_its_candidates_best_first(store, at, page):  # noqa: F811
    """With scores, what failed and why, and the three charts."""
    search, added = finished(store)
    page.goto(f"{at}/runs/{search}/search")
    rows = page.locator("#candidates tr")
    assert rows.locator(".row-link").all_inner_texts()[:2] == ["SVC-4", "SVC-3"]
    assert "chosen" in rows.nth(0).inner_text() and "0.88" in rows.nth(0).inner_text()
    assert "ValueError" in rows.nth(5).inner_text()
    assert "candidates, 1 failed" in page.inner_text("#progress")
    heads = page.locator("#candidates-head th").all_inner_texts()
    assert "C" in heads and "gamma" in heads and "kernel" not in heads
    assert "5 candidates" in drawn(page, "progress")
    assert "Heat map of score over C and gamma" in drawn(page, "heat")
    assert "6 runs" in drawn(page, "parallel")
    page.looks.everywhere("search")
    assert page.locator("[data-live]").count() == 0


def test_what_the_charts_show_is_part_of_the_address(store, at, page):  # noqa: F811
    """So that it can be shared."""
    search, _ = finished(store)
    page.goto(f"{at}/runs/{search}/search")
    drawn(page, "heat")
    page.select_option("#heat-x", "gamma")
    page.select_option("#heat-y", "C")
    page.select_option("#heat-kind", "scatter")
    page.wait_for_selector("#p-heat[aria-label^='Scatter plot of C over gamma']")
    page.goto(page.url)
    page.wait_for_selector("#p-heat[aria-label^='Scatter plot of C over gamma']")


def test_a_running_search_is_followed(store, at, page):  # noqa: F811
    """Candidates, the best so far and the charts come without a reload, until it ends."""
    search = start_search(store)
    page.goto(f"{at}/runs/{search}/search")
    assert "None yet" in page.inner_text("#candidates")
    first = add(store, search, 0, {"C": "0.1", "gamma": "0.01"}, 0.7)
    page.wait_for_selector(f"#c-{first}")
    page.wait_for_selector("#progress:has-text('best score so far')")
    assert "of 6" in page.inner_text("#progress")
    add(store, search, 1, {"C": "1", "gamma": "0.01"}, 0.9)
    add(store, search, 2, {"C": "10", "gamma": "0.01"}, status="RUNNING")
    page.wait_for_selector("#progress:has-text('1 running')")
    page.wait_for_selector("#candidates tr:first-child:has-text('SVC-1')")
    page.wait_for_selector("#p-progress[aria-label*='2 candidates'][aria-label*='0.9']")
    page.looks.everywhere("search-running")
    store.write(RunChange(search, status="FINISHED", end_time=2_000_000_000_000))
    page.wait_for_selector("#progress:has-text('finished')")


def test_what_a_running_search_shows_agrees(store, at, page):  # noqa: F811
    """The best, the table and the charts are of one reading; axes keep their order."""
    search = start_search(store, grid="{'C': [1, 2], 'gamma': [0.1, 0.2, 0.3]}")
    add(store, search, 0, {"C": "1", "gamma": "0.1"}, 0.7)
    add(store, search, 1, {"C": "2", "gamma": "0.1"}, 0.71)
    page.goto(f"{at}/runs/{search}/search")
    assert page.locator("text=Compare the best").count() == 1
    page.evaluate(
        """() => {
            window.disagreed = [];
            const look = () => {
                const best = document.querySelector("#progress-stats a")?.innerText;
                const first = document.querySelector("#candidates .row-link")?.innerText;
                if (best !== first) window.disagreed.push([best, first]);
            };
            window.looking = setInterval(look, 5);
        }"""
    )
    for number, (C, gamma) in enumerate((("2", "0.2"), ("1", "0.2"), ("1", "0.3")), 2):
        add(store, search, number, {"C": C, "gamma": gamma}, 0.7 + number / 20)
        page.wait_for_selector(f"#progress:has-text('SVC-{number}')")
        assert f"SVC-{number}" in page.inner_text("#candidates tr:first-child")
    page.wait_for_selector(
        "#p-parallel[aria-label^='Parallel coordinates of 5 runs over C, gamma']"
    )
    assert page.evaluate("disagreed") == []
    store.write(RunChange(search, status="FINISHED", end_time=2_000_000_000_000))
    page.wait_for_selector("text=Compare the best 5")
    assert "so far" not in page.inner_text("#candidates")


def test_a_server_that_is_gone_is_told(store, at, page):  # noqa: F811
    """On top of a page that is followed, until it is back; forms keep what was typed."""
    page.looks.expected.append("ERR_INTERNET_DISCONNECTED")
    search = start_search(store)
    add(store, search, 0, {"C": "0.1"}, 0.7)
    page.goto(f"{at}/runs/{search}/search")
    page.context.set_offline(True)
    page.wait_for_selector(
        ".away:has-text('The server does not answer. What stands here is as it')"
    )
    assert not page.is_visible(".to-go")
    page.looks.right()
    page.looks.shot("search-away")
    page.context.set_offline(False)
    page.wait_for_selector(".away", state="detached")
    page.goto(f"{at}/runs/{search}")
    page.click("text=Add notes")
    page.fill("#note-text", "# A long story")
    page.context.set_offline(True)
    page.wait_for_selector(".away")
    page.click(".run-side >> text=Save")
    page.wait_for_selector(".away:has-text('Nothing was sent')")
    assert page.input_value("#note-text") == "# A long story"
    page.context.set_offline(False)
    page.click(".run-side >> text=Save")
    page.wait_for_selector(".run-side h1:has-text('A long story'), .run-side :text('A long story')")
    assert store.get_run(search).data.tags["mlflow.note.content"] == "# A long story"


def test_candidates_are_found_and_sorted(store, at, page):  # noqa: F811
    """By any column, numbers as numbers; `/` goes to the field; both are in the address."""
    search, _ = finished(store)
    page.goto(f"{at}/runs/{search}/search")
    page.keyboard.press("/")
    page.keyboard.type("C=10 gamma=0.1")
    page.keyboard.press("Enter")
    page.wait_for_url("**find=C*")
    assert page.locator("#candidates .row-link").all_inner_texts() == ["SVC-5"]
    assert page.inner_text("#candidates .rank") == "6"
    page.click("text=Show all")
    page.click("#candidates-head a:has-text('C')  >> nth=1")
    page.wait_for_url("**sort=params.C")
    values = page.locator("#candidates td:nth-child(3)").all_inner_texts()
    assert values == ["0.1", "0.1", "1", "1", "10", "10"]
    page.click("#candidates-head a:has-text('score')")
    page.wait_for_url("**sort=scores.score&desc=1")
    names = page.locator("#candidates .row-link").all_inner_texts()
    assert names == ["SVC-4", "SVC-3", "SVC-2", "SVC-1", "SVC-0", "SVC-5"]
    page.looks.everywhere("search-sorted")
    assert httpx.get(f"{at}/runs/{search}/search?sort=nothing").status_code == 400


def test_the_frame_of_the_chosen_cell_is_whole(store, at, page):  # noqa: F811
    """No cell beside it is painted later."""
    search, added = finished(store)
    page.goto(f"{at}/runs/{search}/search")
    drawn(page, "heat")
    last = page.evaluate(
        """async () => {
            const { heat } = await import("/static/plots_fields.js");
            const data = JSON.parse(document.getElementById("data").textContent);
            const column = (key, values) => ({ key, values: data.candidates.map(values) });
            const [x, y] = [0, 1].map((place) => column(data.params[place], (row) => row.params[place]));
            const model = { rows: data.candidates, best: data.candidates[1].id };
            const plot = heat(model, x, y, column("score", (row) => row.scores[0]), "best", document.body);
            const { themeColors } = await import("/static/charts.js");
            return [plot.options(themeColors()).series[0].data.at(-1).id, model.best];
        }"""
    )
    assert last[0] == last[1]


def test_nothing_new_costs_nothing(store, at):
    """An answer is known by its tag; the last one says that it is."""
    search = start_search(store)
    add(store, search, 0, {"C": "0.1"}, 0.7)
    place = f"{at}/runs/{search}/search/live"
    answer = httpx.get(place)
    assert answer.status_code == 200 and "x-live" not in answer.headers
    again = httpx.get(place, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    store.write(RunChange(search, status="FINISHED", end_time=2_000_000_000_000))
    again = httpx.get(place, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 200 and again.headers["x-live"] == "done"


def test_the_later_rungs_of_a_halving_search_come_first(store, at, plain_page):  # noqa: F811
    """A higher score of an earlier rung was of less data."""
    search = start_search(store, "FINISHED", factor="3", resource="n_samples")
    add(store, search, 0, {"C": "1", "iter": "0", "n_resources": "20"}, 0.95)
    add(store, search, 1, {"C": "10", "iter": "0", "n_resources": "20"}, 0.90)
    add(store, search, 2, {"C": "10", "iter": "1", "n_resources": "60"}, 0.85)
    plain_page.goto(f"{at}/runs/{search}/search")
    names = plain_page.locator("#candidates .row-link").all_inner_texts()
    assert names == ["SVC-2", "SVC-0", "SVC-1"]
    assert "n_resources" in plain_page.inner_text("#candidates-head")
    words = "The last rung comes first: its candidates were scored with more n_samples"
    assert words in plain_page.inner_text("main")
    plain_page.click("#candidates-head >> text=score")
    names = plain_page.locator("#candidates .row-link").all_inner_texts()
    assert names == ["SVC-0", "SVC-1", "SVC-2"]
    assert "compare within a rung" in plain_page.inner_text("main")


def test_each_search_of_a_users_run_has_its_page(store, at, plain_page):  # noqa: F811
    """The last one is shown; the others are a click away."""
    run = book(
        store,
        "0",
        "nightly",
        {"param_grid": "{'C': [1]}", "param_grid-2": "{'alpha': [2]}"},
        {"fit_seconds": 1.0, "fit_seconds-2": 1.0},
        {"estimator_name": "GridSearchCV", "skledger.fits": "2"},
    )
    add(store, run, 0, {"C": "1"}, 0.7, tags={"skledger.fit": "1"})
    add(store, run, 0, {"alpha": "2"}, 0.8, tags={"skledger.fit": "2"})
    plain_page.goto(f"{at}/runs/{run}/search")
    assert "alpha" in plain_page.inner_text("#candidates-head")
    plain_page.click("text=fit 1")
    assert "alpha" not in plain_page.inner_text("#candidates-head")
    assert plain_page.locator("#candidates tr").count() == 1


def test_a_search_that_mlflow_logged(store, at, plain_page):  # noqa: F811
    """Its candidates have no mark of ours, but mean scores."""
    parent, *_ = book_search(store, "0")
    book(store, "0", "a note", parent=parent)
    plain_page.goto(f"{at}/runs/{parent}/search")
    names = plain_page.locator("#candidates .row-link").all_inner_texts()
    assert names == ["candidate-3", "candidate-2", "candidate-1", "candidate-0"]


def test_a_run_that_is_no_search_says_so(store, at, plain_page):  # noqa: F811
    """And leads back to the run."""
    run = book(store, "0", "ridge")
    plain_page.goto(f"{at}/runs/{run}/search")
    assert "No candidates" in plain_page.inner_text("main")
    assert "This run is not a search" in plain_page.inner_text("main")
    assert plain_page.locator("#progress").count() == 0
    assert httpx.get(f"{at}/runs/{run}/search").status_code == 404
    assert httpx.get(f"{at}/runs/{'f' * 32}/search").status_code == 404


def test_many_candidates_are_shown_in_parts(store, at, plain_page):  # noqa: F811
    """The best fifty, then all."""
    search = start_search(store, "FINISHED")
    for number in range(60):
        add(store, search, number, {"C": str(number)}, number / 100)
    plain_page.goto(f"{at}/runs/{search}/search")
    rows = plain_page.locator("#candidates tr")
    assert rows.count() == 50 and "SVC-59" in rows.nth(0).inner_text()
    plain_page.click("text=All 60")
    assert rows.count() == 60
    assert httpx.get(f"{at}/runs/{search}/search?rows=some").status_code == 400


def test_candidates_as_csv(store, at):
    """Every one, with all its metrics and its error."""
    search, added = finished(store)
    rows = list(csv.DictReader(io.StringIO(httpx.get(f"{at}/runs/{search}/search.csv").text)))
    assert [each["run_id"] for each in rows][:2] == [added[4], added[3]]
    assert rows[0]["C"] == "10" and rows[0]["mean_test_score"] == "0.88"
    assert rows[-1]["status"] == "FAILED" and "ValueError" in rows[-1]["error"]


def test_names_are_not_taken_for_html(store, at, page):  # noqa: F811
    """Neither in the table nor in the data of the charts."""
    search = start_search(store, "FINISHED")
    evil = "</script><img src=x onerror=alert(1)>"
    for number in range(2):
        run = add(store, search, number, {"C": f"{evil}{number}"}, number / 2)
        store.write(
            RunChange(run, run_name=f"{evil}{number}", metrics=(Metric(evil[:8], 1.0, 1, 0),))
        )
    page.goto(f"{at}/runs/{search}/search")
    drawn(page, "progress")
    assert page.locator("main img").count() == 0
    assert "<img" in page.inner_text("#candidates")
