"""The run table, in a real browser and without its scripts."""

import csv
import io
import time

import httpx
import pytest
from _booked import book, book_search, new_store
from _browser import browser, page, plain_page  # noqa: F401
from _pages import serving

from skledger.tracking.entities import Metric, RunChange, ViewType


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


@pytest.fixture
def table(store, at):
    """The address of the run table of an experiment that the runs of a test go to."""
    return f"{at}/experiments/{store.create_experiment('churn')}"


ROWS = ".runs tbody tr"
NAMES = ".runs tbody .row-link"


def names(page):  # noqa: F811
    """The names of the runs that are shown, from the top."""
    return page.locator(NAMES).all_inner_texts()


def test_a_table_shows_what_differs(store, table, page):  # noqa: F811
    """Params that are the same in all runs have no column until they are chosen."""
    for alpha in (0.1, 1.0):
        book(
            store,
            "1",
            f"ridge {alpha}",
            {"alpha": alpha, "solver": "auto"},
            {"training_r2_score": alpha / 3, "n_samples": 100.0, "test_score": 0.5},
            {"estimator_name": "Ridge"},
            data="churn.csv",
        )
    book(store, "1", "broken", {"alpha": 5, "solver": "auto"}, status="FAILED")
    page.goto(table)
    heads = page.locator(".runs thead th").all_inner_texts()
    assert "alpha" in heads and "solver" not in heads
    assert heads.index("test_score") < heads.index("training_r2_score") < heads.index("n_samples")
    assert names(page) == ["broken", "ridge 1.0", "ridge 0.1"]
    assert "0.3333" in page.inner_text(ROWS + ":nth-child(2)")
    page.looks.everywhere("runs")


def test_runs_are_sorted_by_any_column(store, table, page):  # noqa: F811
    """Once the best first, twice the other way, three times as before; NaN and nothing are last."""
    for name, value in (("low", 0.1), ("nan", float("nan")), ("high", 0.9), ("none", None)):
        book(store, "1", name, {"C": name}, {} if value is None else {"score, of f1": value})
    page.goto(table)
    page.click("th >> text=score, of f1")
    page.wait_for_url("**order_by=*")
    assert names(page) == ["high", "low", "nan", "none"]
    assert page.get_attribute("th:has-text('score, of f1')", "aria-sort") == "descending"
    page.click("th >> text=score, of f1")
    page.wait_for_url("**ASC*")
    assert names(page) == ["low", "high", "nan", "none"]
    page.click("th >> text=score, of f1")
    page.wait_for_url(table)
    assert names(page) == ["none", "high", "nan", "low"]
    for head, first in (("Name", "high"), ("C", "high"), ("Status", "none"), ("Started", "low")):
        page.goto(table)
        page.locator(".runs th a.sort").get_by_text(head, exact=True).click()
        page.wait_for_url("**order_by=*")
        assert names(page)[0] == first, head
    page.go_back()
    assert page.url == table


def test_params_that_are_numbers_are_sorted_as_numbers(store, table, page):  # noqa: F811
    """2 before 10, in a table of one page; what has no value is last."""
    for value in ("10", "2", "None", "0.5", "1e3"):
        book(store, "1", f"C {value}", {"C": value})
    book(store, "1", "none")
    page.goto(f"{table}?order_by=params.C+ASC")
    assert names(page)[:4] == ["C 0.5", "C 2", "C 10", "C 1e3"]
    page.goto(f"{table}?order_by=params.C+DESC")
    assert names(page)[:4] == ["C 1e3", "C 10", "C 2", "C 0.5"]
    assert "numbers by their value" in page.inner_text("main")


def test_params_are_sorted_as_numbers_on_every_page(store, table, page):  # noqa: F811
    """Also where there are more runs than the page shows, and in the CSV."""
    for number in range(120):
        book(store, "1", f"run {number}", {"depth": number * 7 % 120})
    page.goto(f"{table}?order_by=params.depth+ASC&columns=params.depth")
    found = [each.inner_text() for each in page.locator(f"{ROWS} td:last-child").all()]
    page.click("text=Next")
    page.wait_for_url("**page_token=*")
    found += [each.inner_text() for each in page.locator(f"{ROWS} td:last-child").all()]
    assert found == [str(each) for each in range(100)]
    text = httpx.get(f"{table}/runs.csv?order_by=params.depth+DESC&columns=params.depth").text
    assert text.splitlines()[1].endswith(",119") and text.splitlines()[-1].endswith(",0")


def test_runs_are_sorted_by_duration_data_and_experiment(store, at, page):  # noqa: F811
    """What is worked out is sorted by a click on its head, as any other column."""
    ids = [store.create_experiment(each) for each in ("zeta", "alpha")]
    book(store, ids[0], "short", seconds=2, data="wine")
    book(store, ids[1], "long", seconds=100, data="iris")
    book(store, ids[0], "middle", seconds=10, data="digits")
    for head, first, last in (
        ("Duration", "long", "short"),
        ("Data", "middle", "short"),
        ("Experiment", "long", "short"),
    ):
        page.goto(f"{at}/experiments?ids={','.join(ids)}")
        page.locator(".runs th a.sort").get_by_text(head, exact=True).click()
        page.wait_for_url("**order_by=*")
        assert (names(page)[0], names(page)[-1]) == (first, last), head


def test_runs_are_filtered_with_the_search_grammar(store, table, page):  # noqa: F811
    """The filter is part of the address; an error stands below the field, with help beside it."""
    book(store, "1", "ridge a", {"alpha": "1"}, {"r2": 0.5})
    book(store, "1", "ridge b", {"alpha": "2"}, {"r2": 0.9})
    page.goto(table)
    page.keyboard.press("/")
    page.keyboard.type("metrics.r2 > 0.8 and params.alpha = '2'")
    page.keyboard.press("Enter")
    page.wait_for_url("**filter=*")
    assert names(page) == ["ridge b"]
    shared = page.url
    page.fill("#filter", "metrics.r2 > 'high'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#filter-error")
    assert "high" in page.inner_text("#filter-error")
    assert page.input_value("#filter") == "metrics.r2 > 'high'"
    page.looks.everywhere("runs-filter-error")
    page.go_back()
    assert names(page) == ["ridge b"]
    page.goto(shared)
    assert names(page) == ["ridge b"]
    page.click("text=Clear")
    page.wait_for_url(table)
    page.fill("#filter", "RIDGE A")
    page.keyboard.press("Enter")
    page.wait_for_url("**filter=*")
    assert names(page) == ["ridge a"]
    page.goto(f"{table}?filter=params.alpha+%3D+%2777%27")
    assert "No run matches" in page.inner_text("main")
    page.looks.shot("runs-no-match")
    page.looks.right()


def test_every_example_of_the_help_is_a_filter(store, table, page):  # noqa: F811
    """Each can be clicked and leads to a table without an error."""
    book(store, "1", "one")
    page.goto(table)
    page.click("text=How to filter")
    page.looks.shot("runs-filter-help")
    page.looks.right()
    examples = page.locator(".filter-words a")
    addresses = [each.get_attribute("href") for each in examples.all()]
    assert len(addresses) > 5
    for address in addresses:
        text = httpx.get(table.partition("/experiments")[0] + address).text
        assert "filter-error" not in text, address


def test_columns_are_chosen_and_remembered_in_the_address(store, table, page):  # noqa: F811
    """Also names with commas and quotes; a link shows the same columns to everybody."""
    odd = "of 'classes', `f1` \"x\""
    book(store, "1", "one", {"alpha": 1, odd: "5"}, {"r2": 0.5}, {"team": "blue"})
    page.goto(table)
    page.click("#choose-columns summary")
    page.fill("[data-narrows]", "tea")
    assert page.locator("#column-list label:visible").all_inner_texts() == ["team"]
    page.keyboard.press("Enter")  # what was found is what is meant
    page.wait_for_url("**columns=tags.team*")
    assert "team" in page.locator(".runs thead th").all_inner_texts()
    page.click("#choose-columns summary")
    page.uncheck("#column-list [value=status]")
    page.looks.shot("runs-columns")
    page.looks.right()
    page.click("text=Apply")
    page.wait_for_url("**columns=*")
    heads = page.locator(".runs thead th").all_inner_texts()
    assert "team" in heads and odd in heads and "Status" not in heads
    assert "blue" in page.inner_text(ROWS)
    page.locator(".runs th a.sort").get_by_text(odd, exact=True).click()
    page.wait_for_url("**order_by=*")
    assert "team" in page.locator(".runs thead th").all_inner_texts()
    page.click("#choose-columns summary")
    page.click("text=Usual columns")
    page.wait_for_url(lambda url: "columns" not in url)


def test_children_stand_below_their_parents(store, table, page):  # noqa: F811
    """Opened in place, by click and by arrow; the address and the back button know it."""
    parent, *_ = book_search(store, "1")
    book(store, "1", "alone")
    page.goto(table)
    assert names(page) == ["alone", "search"]
    page.click("[data-toggle]")
    page.wait_for_selector("text=candidate-3")
    assert names(page)[2:] == ["candidate-3", "candidate-2", "candidate-1", "candidate-0"]
    assert "mean_test_score" in page.inner_text(".runs thead")
    assert page.url.endswith(f"open={parent}")
    assert page.get_attribute("[data-toggle]", "aria-expanded") == "true"
    page.looks.everywhere("runs-open")
    page.reload()
    assert len(names(page)) == 6
    page.focus(f"#run-{parent} .row-link")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("text=candidate-3", state="detached")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=candidate-3")
    page.click("text=Flat")
    page.wait_for_url("**show=all*")
    assert len(names(page)) == 6 and page.locator("text=parent").count() == 4
    # What is filtered is looked for among children, too.
    page.goto(f"{table}?filter=metrics.mean_test_score+%3E+0.83")
    assert names(page) == ["candidate-3", "candidate-2"]


def test_running_runs_are_followed(store, table, page):  # noqa: F811
    """New runs appear, states and numbers change, and what was picked stays picked."""
    first = book(store, "1", "first", metrics={"loss": 1.0}, status="RUNNING")
    page.goto(table)
    assert "running" in page.inner_text(ROWS)
    page.check("[aria-label='Select first']")
    page.focus(f"#run-{first} .row-link")
    second = book(store, "1", "second", metrics={"loss": 3.0}, status="RUNNING")
    store.write(RunChange(first, metrics=(Metric("loss", 0.25, int(time.time() * 1000), 1),)))
    page.wait_for_selector(f"#run-{second}")
    page.wait_for_selector(f"#run-{first} >> text=0.25")
    assert names(page) == ["second", "first"]
    assert page.is_checked("[aria-label='Select first']")
    assert page.evaluate("document.activeElement.textContent") == "first"
    page.looks.shot("runs-live")
    now = int(time.time() * 1000)
    store.write(*(RunChange(each, status="FINISHED", end_time=now) for each in (first, second)))
    page.wait_for_selector(f"#run-{first} >> text=finished")
    assert page.locator("main >> text=running").count() == 0


def test_a_table_of_finished_runs_tells_that_the_server_is_gone(store, table, page):  # noqa: F811
    """Who comes back to it hears so at once, and that it is back."""
    book(store, "1", "one")
    page.looks.expected.append("ERR_CONNECTION_REFUSED")
    page.goto(table)
    page.wait_for_selector(ROWS)
    page.route("**/rows*", lambda route: route.abort("connectionrefused"))
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.wait_for_selector(".away:has-text('does not answer')", timeout=8000)
    page.unroute("**/rows*")
    page.wait_for_timeout(2100)
    page.evaluate("dispatchEvent(new Event('focus'))")
    page.wait_for_selector(".away", state="detached", timeout=5000)


def test_a_running_search_is_followed(store, table, page):  # noqa: F811
    """Its candidates appear below it while it goes on."""
    parent, *_ = book_search(store, "1", candidates=1, status="RUNNING")
    page.goto(f"{table}?open={parent}")
    assert names(page) == ["search", "candidate-0"]
    book(store, "1", "candidate-1", {"alpha": 3}, {"mean_test_score": 0.9}, parent=parent)
    page.wait_for_selector("text=candidate-1")
    assert names(page) == ["search", "candidate-1", "candidate-0"]
    assert page.inner_text(f"#run-{parent} .below") == "2"


def test_an_empty_table_becomes_one_with_the_first_run(store, table, page):  # noqa: F811
    """Nobody has to reload the page to see that it works."""
    page.goto(table)
    assert "No runs yet" in page.inner_text("main")
    book(store, "1", "the first")
    page.wait_for_selector("text=the first")
    # What only later runs have gets its column, too; columns that were chosen stay.
    chosen = page.context.new_page()
    chosen.goto(f"{table}?columns=status")
    book(store, "1", "the second", {"depth": "3"}, {"late": 0.5})
    page.wait_for_selector("table.runs thead >> text=late")
    assert names(page) == ["the second", "the first"]
    assert "0.5" in page.locator("table.runs tbody tr").first.inner_text()
    chosen.wait_for_selector("text=the second")
    assert chosen.locator("table.runs thead >> text=late").count() == 0
    chosen.close()


def test_picked_runs_are_deleted_and_restored(store, table, page):  # noqa: F811
    """After a question, with what is below them; the filter stays where it was."""
    parent, *children = book_search(store, "1")
    kept = book(store, "1", "kept")
    page.goto(f"{table}?order_by=run_name+ASC")
    assert page.is_disabled("button:has-text('Compare')")
    page.check("[aria-label='Select search']")
    page.click(".toolbar >> text=Delete runs")
    page.locator("#delete-picked", has_text="1 run: search.").wait_for()
    page.looks.shot("runs-delete")
    page.looks.right()
    page.click("#delete-picked >> text=Cancel")
    page.click(".toolbar >> text=Delete runs")
    page.click("#delete-picked button.btn-danger")
    page.wait_for_selector(f"#run-{parent}", state="detached")
    assert "1 run deleted." in page.inner_text(".notice")
    page.wait_for_url(f"{table}?order_by=run_name+ASC")
    assert names(page) == ["kept"]
    gone = store.search_runs(["1"], view_type=ViewType.DELETED_ONLY)
    assert {run.info.run_id for run in gone} == {parent, *children}
    page.click(".segments >> text=Deleted")
    page.wait_for_url("**view=deleted*")
    assert names(page) == ["search"]
    page.looks.everywhere("runs-deleted")
    page.check("[data-select-all]")
    page.click("text=Restore runs")
    page.wait_for_selector("text=No deleted runs")
    assert len(store.search_runs(["1"])) == 6
    assert store.get_run(kept).info.lifecycle_stage == "active"


def test_names_stay_in_sight_and_the_count_follows(store, table, page):  # noqa: F811
    """Scrolled sideways, the names are there; a run that comes is counted; Back finds its row."""
    for number in range(3):
        metrics = {f"a_long_name_of_a_metric_{key}_score": number / 7 for key in range(5)}
        book(store, "1", f"run {number}", {f"param_{key}": number for key in range(5)}, metrics)
    page.goto(table)
    page.evaluate("document.querySelector('.table-wrap').scrollLeft = 400")
    assert page.locator(NAMES).first.bounding_box()["x"] < 200
    # Also with no room to spare: from the boxes to the names there is no gap to look through.
    box, name = page.evaluate(
        """[...document.querySelector(".runs tbody tr").children].slice(0, 2)
            .map((cell) => cell.getBoundingClientRect()).map(({ left, right }) => [left, right])"""
    )
    assert box[1] == name[0]
    page.goto(f"{table}?order_by=params.param_4")  # what it is sorted by is in sight, too
    heading = page.locator(".runs th[aria-sort]").bounding_box()
    assert heading["x"] + heading["width"] < 1280
    page.goto(table)
    page.locator(NAMES).nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*")
    page.go_back()
    page.wait_for_function("document.activeElement.textContent === 'run 1'")
    book(store, "1", "run 3", status="RUNNING")
    page.locator(".pager", has_text="1 to 4 of 4 runs").wait_for(timeout=20000)


def test_picked_runs_are_compared(store, table, page):  # noqa: F811
    """Their identifiers are in the address; with shift, all between two are picked."""
    runs = [book(store, "1", f"run {index}") for index in range(4)]
    page.goto(table)
    page.check("[aria-label='Select run 3']")
    page.click("[aria-label='Select run 1']", modifiers=["Shift"])
    assert page.inner_text("[data-selected-count]") == "3 selected"
    page.looks.expected.append("/compare")
    page.click("button:has-text('Compare')")
    page.wait_for_url("**/compare?runs=*")
    assert page.url.endswith("runs=" + ",".join(reversed(runs[1:])))


def test_keys_walk_pick_and_open(store, table, page):  # noqa: F811
    """Arrows and enter, as everywhere; x picks."""
    runs = [book(store, "1", f"run {index}") for index in range(3)]
    page.goto(table)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "run 1"
    page.keyboard.press("x")
    assert page.is_checked("[aria-label='Select run 1']")
    page.looks.shot("runs-keys")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.textContent") == "run 2"
    page.keyboard.press("?")
    page.looks.shot("keys")
    page.looks.right()
    page.keyboard.press("Escape")
    page.looks.expected.append("/runs/")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{runs[2]}")


def test_pages_go_on_and_back(store, table, page):  # noqa: F811
    """With the numbers of the rows, and how many there are of them."""
    for index in range(120):
        book(store, "1", f"run {index}")
    page.goto(table)
    page.wait_for_selector("text=of 120 runs")
    assert names(page)[0] == "run 119" and len(names(page)) == 50
    page.click("text=Next")
    page.wait_for_url("**page_token=*")
    assert names(page)[0] == "run 69"
    assert "51 to 100" in page.inner_text(".pager")
    page.click("text=Next")
    page.wait_for_selector("text=101 to 120")
    assert page.locator("text=Next").count() == 0
    page.click("text=Previous")
    page.wait_for_selector("text=51 to 100")
    page.select_option("#size", "200")
    page.wait_for_url("**size=200*")
    assert len(names(page)) == 120


def test_the_table_as_csv(store, table):
    """All runs that match, with the columns that are shown or everything they hold."""
    for index in range(60):
        book(store, "1", f'run "{index}", öl', {"alpha": index}, {"r2": index / 7}, {"team": "a"})
    answer = httpx.get(f"{table}/runs.csv?columns=params.alpha&columns=metrics.r2")
    assert 'filename="runs-1.csv"' in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["run_id", "run_name", "params.alpha", "metrics.r2"]
    assert len(rows) == 61 and rows[1][1] == 'run "59", öl' and float(rows[1][3]) == 59 / 7
    rows = list(csv.DictReader(io.StringIO(httpx.get(f"{table}/runs.csv").text)))
    assert rows[0]["tags.team"] == "a" and rows[0]["status"] == "FINISHED"
    few = httpx.get(f"{table}/runs.csv", params={"filter": "metrics.r2 > 7"})
    assert len(few.text.splitlines()) == 11
    wrong = httpx.get(f"{table}/runs.csv", params={"filter": "metrics.r2 >"})
    assert wrong.status_code == 400


def test_the_table_can_be_used_without_scripts(store, table, plain_page):  # noqa: F811
    """Read, sorted, filtered, opened, changed: by links and forms."""
    book_search(store, "1")
    book(store, "1", "alone", metrics={"best_cv_score": 0.1})
    plain_page.goto(table)
    assert "UTC" in plain_page.inner_text(ROWS)
    plain_page.click("[data-toggle]")
    assert "candidate-3" in plain_page.inner_text(".runs")
    plain_page.click("th >> text=best_cv_score")
    assert plain_page.locator(NAMES).first.inner_text() == "search"
    plain_page.fill("#filter", "run_name = 'alone'")
    plain_page.click("button:has-text('Filter')")
    assert plain_page.locator(NAMES).all_inner_texts() == ["alone"]
    plain_page.check("[aria-label='Select alone']")
    plain_page.click(".toolbar >> text=Delete runs")
    plain_page.click("#delete-picked button.btn-danger")
    assert "No run matches" in plain_page.inner_text("main")


def test_what_runs_hold_stays_text(store, table, page):  # noqa: F811
    """Names, params, tags and keys of whoever books runs: nothing of it is HTML here."""
    evil = "<img src=x onerror=alert(1)>'\""
    book(store, "1", evil, {evil: evil}, {"r2": 1.0}, {evil: evil, "estimator_name": evil})
    page.goto(
        f"{table}?columns=params.{httpx.QueryParams({'': evil})!s}".replace("params.=", "params.")
    )
    assert names(page) == [evil]
    assert page.locator("main img").count() == 0
    page.goto(f"{table}?filter=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>" in page.inner_text("#filter-error")


def test_a_form_leads_back_to_the_table_only(store, at, table):
    """Not to an address of elsewhere that somebody put into it."""
    for place in (
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/experiments\r\nX: y",
    ):
        run_id = book(store, "1", "one")
        answer = httpx.post(
            f"{at}/experiments/selected/delete",
            data={"run": run_id, "back": place},
            headers={"Origin": at},
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), place
