"""Runs compared, in a real browser and without its scripts."""

import base64
import csv
import io
from pathlib import Path

import httpx
import pytest
from _booked import book, new_store
from _browser import browser, page, plain_page  # noqa: F401
from _pages import serving

from skledger.tracking.entities import Metric, RunChange

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
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


def forests(store, n=4):
    """Book runs that differ in two params and their scores."""
    return [
        book(
            store,
            "0",
            f"forest {place}",
            {"max_depth": 2 + place, "lr": 10.0**-place, "criterion": "ab"[place % 2], "jobs": 1},
            {
                "accuracy_score_X_test": 0.9 + (place % 3) / 100,
                "log_loss_X_test": 0.5 - place / 10,
                "n_samples": 100.0,
            },
            {"team": "blue" if place else "red"},
            data="churn.csv",
        )
        for place in range(n)
    ]


def chart_words(page):  # noqa: F811
    """Wait for the chart and return what it says to those who do not see it."""
    page.wait_for_selector("#plot[role=img] canvas")
    return page.get_attribute("#plot", "aria-label")


def line(page, name):  # noqa: F811
    """The cells of a line of the table."""
    return page.locator(f"tr:has(th[scope=row][title='{name}']) td")


def test_runs_stand_side_by_side(store, at, page):  # noqa: F811
    """What differs from the first run is marked, and so is the best of a metric."""
    runs = forests(store)
    page.goto(f"{at}/compare?runs={','.join(runs)}")
    assert page.inner_text("h1") == "4 runs compared"
    assert page.locator("thead a[href*='/runs/']").all_inner_texts() == [
        f"forest {place}" for place in range(4)
    ]
    marked = line(page, "criterion").evaluate_all("all => all.map(c => c.className.trim())")
    assert marked == ["", "differs", "", "differs"]
    assert line(page, "jobs").evaluate_all("all => all.some(c => c.className.trim())") is False
    assert line(page, "accuracy_score_X_test").nth(2).locator(".best").count() == 1
    assert line(page, "log_loss_X_test").nth(3).locator(".best").count() == 1
    assert line(page, "log_loss_X_test").nth(1).locator(".delta").inner_text() == "-0.1"
    assert line(page, "n_samples").locator(".best").count() == 0
    page.looks.everywhere("compare")
    page.click("text=Only differences")
    page.wait_for_url("**only=differences")
    assert line(page, "jobs").count() == 0 and line(page, "criterion").count() == 4


def test_runs_are_put_first_and_left_out(store, at, plain_page):  # noqa: F811
    """Without scripts; the address names the runs in their order."""
    runs = forests(store, 3)
    plain_page.goto(f"{at}/compare?runs={','.join(runs)}")
    plain_page.click("[aria-label='put first: forest 2']")
    assert plain_page.url.endswith(f"runs={runs[2]},{runs[0]},{runs[1]}")
    plain_page.click("[aria-label='leave out: forest 0']")
    assert plain_page.url.endswith(f"runs={runs[2]},{runs[1]}")
    assert plain_page.locator("[aria-label^='leave out']").count() == 0


def test_runs_are_ordered_by_a_metric_and_turned(store, at, page):  # noqa: F811
    """The best first, then the other way round; of many runs each is a row."""
    runs = forests(store)
    page.goto(f"{at}/compare?runs={','.join(runs)}&only=differences")
    names = page.locator("thead a[href*='/runs/']")
    page.click("[aria-label='order the runs by log_loss_X_test']")
    page.wait_for_url(f"**runs={runs[3]}*only=differences")
    assert names.all_inner_texts() == [f"forest {place}" for place in (3, 2, 1, 0)]
    page.click("text=Runs as rows")
    rows = page.locator(".turned tbody tr")
    assert rows.locator(".row-link").all_inner_texts() == [f"forest {n}" for n in (3, 2, 1, 0)]
    assert "0.2" in rows.nth(0).locator(".best").all_inner_texts()[0]
    assert page.locator("th[title='jobs']").count() == 0
    page.looks.everywhere("compare-turned")
    page.click("[aria-label='leave out: forest 3']")
    page.click("[aria-label='order the runs by accuracy_score_X_test']")
    # They stood so already: the other way round.
    assert rows.locator(".row-link").all_inner_texts() == ["forest 0", "forest 1", "forest 2"]
    page.goto(f"{at}/compare?runs={','.join(mixed(store, 20))}")
    assert rows.count() == 21
    page.looks.shot("compare-many")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("scatter", "Scatter plot of accuracy_score_X_test over lr, 4 points"),
        ("parallel", "Parallel coordinates of 4 runs over lr, max_depth"),
        ("contour", "Contour plot of accuracy_score_X_test over lr and max_depth"),
        ("box", "Box plots of accuracy_score_X_test for each value of criterion"),
    ],
)
def test_charts_of_a_comparison(store, at, page, view, words):  # noqa: F811
    """Each begins with what differs and with the metric that tells most."""
    runs = forests(store)
    page.goto(f"{at}/compare?runs={','.join(runs)}&view={view}")
    assert chart_words(page).startswith(words)
    page.looks.everywhere(f"compare-{view}")
    page.click("text=Show the numbers")
    page.wait_for_selector(".card table tbody tr")
    assert page.locator(".card table tbody tr").count() == 4


def test_what_a_chart_shows_is_part_of_the_address(store, at, page):  # noqa: F811
    """So that it can be shared, also when nothing was chosen for the colour."""
    runs = forests(store)
    page.goto(f"{at}/compare?runs={','.join(runs)}&view=scatter")
    chart_words(page)
    page.select_option("#choice-x", "param.criterion")
    page.select_option("#choice-y", "metric.log_loss_X_test")
    page.select_option("#choice-color", "")
    words = "Scatter plot of log_loss_X_test over criterion, 4 points"
    page.wait_for_selector(f"#plot[aria-label='{words}']")
    page.goto(page.url)
    assert chart_words(page) == words


def test_curves_are_laid_over_each_other(store, at, page):  # noqa: F811
    """A metric with steps comes first; others are a choice away; smoothing is one, too."""
    runs = forests(store, 2)
    for run in runs:
        steps = tuple(Metric("loss", 1 / (step + 1), 1_000_000 + step, step) for step in range(50))
        store.write(RunChange(run, metrics=steps))
    page.goto(f"{at}/compare?runs={','.join(runs)}&view=curves")
    assert chart_words(page) == "loss over steps, 2 curves"
    page.looks.everywhere("compare-curves")
    page.select_option("#choice-across", "time")
    page.wait_for_selector("#plot[aria-label='loss over time, 2 curves']")
    page.fill("#choice-smooth", "0.9")
    page.wait_for_selector("#plot-note:has-text('Smoothed')")
    page.select_option("#choice-metric", "accuracy_score_X_test")
    page.wait_for_selector("#plot[aria-label^='accuracy_score_X_test of 2 runs, one value each']")
    page.goto(page.url)
    assert chart_words(page).startswith("accuracy_score_X_test of 2 runs, one value each")


def tried(store):
    """Book runs of an estimator whose depth and criterion were tried, and what else differs."""
    depths, criteria = ("2", "4", "None"), ("gini", "entropy")
    return [
        book(
            store,
            "0",
            f"tree {place}",
            {
                "random_state": place,
                "verbose": place % 4,
                "n_jobs": place % 3,
                "max_depth": depths[place % 3],
                "criterion": criteria[place // 3 % 2],
                "max_leaf_nodes": "7" if place == 5 else "None",
            },
            {
                "training_score": 1 - place / 100,
                "r2_score_test": 0.1,
                "roc_auc_score_X_test": 0.5 + place % 3 / 10 + place / 50,
                **({"accuracy_score_X_test": place / 12} if place % 2 else {}),
            },
            {"estimator_name": "DecisionTreeClassifier"},
        )
        for place in range(12)
    ]


def test_charts_begin_with_what_was_tried(store, at, page):  # noqa: F811
    """Not with seeds and the like; of texts on the axes of a contour each has its label."""
    runs = ",".join(tried(store))
    words = {
        "contour": "Contour plot of roc_auc_score_X_test over max_depth and criterion",
        "scatter": "Scatter plot of roc_auc_score_X_test over max_depth",
        "box": "Box plots of roc_auc_score_X_test for each value of criterion",
        "parallel": "Parallel coordinates of 12 runs over max_depth, criterion, max_leaf_nodes, roc_",
    }
    for view, told in words.items():
        page.goto(f"{at}/compare?runs={runs}&view={view}")
        assert chart_words(page).startswith(told), view
        page.looks.shot(f"compare-tried-{view}")
    page.goto(f"{at}/compare?runs={runs}&view=contour")
    labels = page.evaluate(
        """async () => {
            const { contour } = await import("/static/plots_fields.js");
            const { columns, runs } = JSON.parse(document.getElementById("data").textContent);
            const named = (key) => columns.find((each) => each.key === key);
            const plot = await contour({ rows: runs, columns }, named("max_depth"), named("criterion"), named("roc_auc_score_X_test"), document.getElementById("plot"));
            const { xAxis, yAxis } = plot.options({ scale: ["#000000", "#ffffff"], series: [] });
            return [xAxis, yAxis].map(({ axisLabel }) => axisLabel.customValues.map(axisLabel.formatter));
        }"""
    )
    assert labels == [["None", "2", "4"], ["entropy", "gini"]]
    page.looks.everywhere("compare-contour-texts")


def mixed(store, ridges=49):
    """Book many runs of one kind and an odd one that shares nothing with them."""
    held = [
        book(
            store,
            "0",
            f"Ridge {place}",
            {"alpha": 10.0 ** (place % 7 - 3), "fit_intercept": place % 2 == 0},
            {"r2_score_X_test": 0.5 + place / 200, "training_r2_score": 0.9 + place / 1000},
            {"estimator_name": "Ridge"},
        )
        for place in range(ridges)
    ]
    odd = {"n_clusters": 8, "algorithm": "lloyd"}
    held.insert(2, book(store, "0", "KMeans", odd, {"inertia": 5.0}, {"estimator_name": "KMeans"}))
    return held


def test_what_a_run_lacks_has_a_place_on_parallel_axes(store, at, page):  # noqa: F811
    """Lines do not run through values that the runs do not have."""
    runs = mixed(store, 4)
    page.goto(
        f"{at}/compare?runs={','.join(runs)}&view=parallel"
        "&axes=param.n_clusters&axes=param.alpha&axes=metric.r2_score_X_test"
    )
    assert "5 of them have no value on some" in chart_words(page)
    assert "5 of 5 runs have no value on some of the axes" in page.inner_text("#plot-note")
    # Each row's place on each axis, as the plot has it.
    places = page.evaluate(
        """async () => {
            const { measured, parallelAxis } = await import("/static/plots_axes.js");
            const { columns, runs } = JSON.parse(document.getElementById("data").textContent);
            const column = measured(columns.find((each) => each.key === "n_clusters"));
            const { axis, place } = parallelAxis(column, runs.map((_, row) => row), {});
            return [runs.map((_, row) => place(row)), axis.axisLabel.customValues.map(axis.axisLabel.formatter)];
        }"""
    )
    assert len(set(places[0])) == 2 and places[0].count(8) == 1
    assert places[1] == ["no value", "8"]
    page.looks.everywhere("compare-parallel-lacking")
    # Long numbers on the last axis end before the chart does.
    held = [book(store, "0", f"big {n}", {"n": n}, {"inertia": n * 1.1e12}) for n in (1, 2, 3)]
    page.goto(f"{at}/compare?runs={','.join(held)}&view=parallel&axes=param.n&axes=metric.inertia")
    assert "over n, inertia" in chart_words(page)
    page.wait_for_timeout(300)
    assert not page.evaluate(
        """() => {
            const canvas = document.querySelector("[role=img] canvas");
            const edge = canvas.getContext("2d").getImageData(canvas.width - 3, 0, 3, canvas.height);
            return [...edge.data].some((each, at) => at % 4 === 3 && each);
        }"""
    )
    page.looks.shot("compare-parallel-big")


def test_one_odd_run_does_not_decide_what_is_shown(store, at, page):  # noqa: F811
    """Charts begin with what most of the runs have."""
    address = f"{at}/compare?runs={','.join(mixed(store))}"
    words = {
        "scatter": "Scatter plot of r2_score_X_test over alpha, 49 points",
        "contour": "Contour plot of r2_score_X_test over alpha and fit_intercept",
        "box": "Box plots of r2_score_X_test for each value of",
        "parallel": "Parallel coordinates of 50 runs over estimator, alpha, fit_intercept, r2_score",
        "curves": "r2_score_X_test of 49 runs, one value each, from 0.5 to 0.74",
    }
    for view, begins in words.items():
        page.goto(f"{address}&view={view}")
        assert chart_words(page).startswith(begins)
        page.looks.shot(f"compare-mixed-{view}")
    assert "1 of 50 runs has no r2_score_X_test: KMeans." in page.inner_text("#plot-note")


def test_long_curves_are_thinned(store, at):
    """What sticks out stays."""
    run, other = forests(store, 2)
    values = [0.5] * 5000
    values[3210], values[1234] = 9.0, float("nan")
    store.write(
        RunChange(run, metrics=tuple(Metric("loss", v, 1, step) for step, v in enumerate(values)))
    )
    answer = httpx.get(f"{at}/compare/curves?runs={run},{other}&metric=loss").json()
    (curve,) = answer["curves"]
    assert curve["of"] == 5000 and len(curve["points"]) <= 1000
    assert [3210, 9.0] in [[point[0], point[2]] for point in curve["points"]]


def test_pictures_are_side_by_side(store, at, page):  # noqa: F811
    """Those of one name together, only of runs that have them; the picture itself is shown."""
    runs = forests(store, 3)
    for place, run in enumerate(runs):
        folder = Path(store.get_run(run).info.artifact_uri.removeprefix("file://"))
        (folder / "plots").mkdir(parents=True)
        (folder / "roc.png").write_bytes(PIXEL)
        if place:
            (folder / "plots" / "it's 100%.png").write_bytes(PIXEL)
    page.goto(f"{at}/compare?runs={','.join(runs)}&view=pictures")
    assert page.locator("main h2").all_inner_texts() == ["roc.png", "plots/it's 100%.png"]
    assert page.locator("#picture-1 img").count() == 3
    assert page.locator("#picture-2 img").count() == 2
    assert "1 of 3 runs has none" in page.inner_text("#picture-2")
    page.locator("#picture-2 img").first.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(each => each.naturalWidth === 1)")
    page.looks.everywhere("compare-pictures")


def test_too_few_and_too_many(store, at, plain_page):  # noqa: F811
    """One run is no comparison; of more than fifty the first are shown; unknown ones are named."""
    runs = forests(store, 52)
    plain_page.goto(f"{at}/compare?runs={runs[0]}")
    assert "Pick at least two runs" in plain_page.inner_text("main")
    plain_page.goto(f"{at}/compare?runs={','.join(runs)}")
    assert plain_page.inner_text("h1") == "50 runs compared"
    assert "2 are left out" in plain_page.inner_text(".notice")
    plain_page.goto(f"{at}/compare?runs={runs[0]},{'f' * 32},{runs[1]}")
    assert plain_page.inner_text("h1") == "2 runs compared"
    assert "f" * 32 in plain_page.inner_text(".notice")
    assert httpx.get(f"{at}/compare?runs={runs[0]},{runs[1]}&view=pie").status_code == 400
    # Where the numbers of the charts are to be read without scripts.
    query = f"runs={runs[0]},{runs[1]}&view=curves&metric=log_loss_X_test"
    told = httpx.get(f"{at}/compare?{query}").text.partition("<noscript>")[2].partition("</nos")[0]
    assert "The same numbers" not in told
    assert f'href="/runs/{runs[1]}/metrics/log_loss_X_test"' in told


def test_runs_that_hold_nothing_are_compared(store, at, page):  # noqa: F811
    """Every view says that there is nothing, none fails."""
    runs = [book(store, "0", "one"), book(store, "0", "two")]
    for view in ("table", "scatter", "parallel", "contour", "box", "curves", "pictures"):
        page.goto(f"{at}/compare?runs={','.join(runs)}&view={view}")
        page.wait_for_timeout(100)
        assert page.inner_text("h1") == "2 runs compared"


def test_numbers_that_are_none(store, at, page):  # noqa: F811
    """NaN and infinity are told in the table and left out of charts."""
    runs = [
        book(store, "0", f"run {place}", {"C": place}, {"r2": value})
        for place, value in enumerate((float("nan"), float("inf"), 0.5, 0.7))
    ]
    page.goto(f"{at}/compare?runs={','.join(runs)}")
    assert "NaN" in line(page, "r2").nth(0).inner_text()
    page.goto(f"{at}/compare?runs={','.join(runs)}&view=scatter")
    assert "2 points" in chart_words(page)
    assert "2 of 4" in page.inner_text("#plot-note")


def test_a_comparison_as_csv(store, at):
    """A line for each fact, with all digits."""
    runs = forests(store, 2)
    answer = httpx.get(f"{at}/compare.csv?runs={','.join(runs)}")
    rows = {(each[0], each[1]): each[2:] for each in csv.reader(io.StringIO(answer.text))}
    assert rows["", "run_id"] == runs
    assert rows["params", "lr"] == ["1.0", "0.1"]
    assert rows["metrics", "log_loss_X_test"] == ["0.5", "0.4"]
    assert rows["tags", "team"] == ["red", "blue"]
    assert rows["data sets", "train"][0].startswith("churn.csv")
