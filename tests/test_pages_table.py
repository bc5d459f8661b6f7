"""What a run table shows, and says, for what it is asked; as its HTML has it."""

import html
import re
from urllib.parse import quote

import httpx
import pytest
from _booked import book, book_search, new_store
from _pages import serving


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    store = new_store(tmp_path_factory.mktemp("place"))
    with serving(store) as address:
        yield store, address
    store.close()


@pytest.fixture
def table(place, request):
    """A store, an experiment of the test's own, and a function that gets its page."""
    store, address = place
    at = store.create_experiment(request.node.name)

    def get(question="", follow=True):
        return httpx.get(
            f"{address}/experiments/{at}?{question}", follow_redirects=follow, timeout=30
        ).text

    return store, at, get


def heads(text):
    return [html.unescape(each) for each in re.findall(r'class="sort"[^>]*><span>([^<]*)', text)]


def names(text):
    return re.findall(r'class="row-link"[^>]*>([^<]*)', text)


def said(text):
    found = re.findall(r'(?s)role="(?:status|alert)">(.*?)</(?:p|form)>', text)
    return html.unescape(" ".join(found))


def test_means_come_before_folds_and_curves(table):
    """What tells how good a model is stands first; curves and bookkeeping last."""
    store, at, get = table
    metrics = {"test_score": 0.96, "loss_curve": 0.1, "mean_test_score": 0.95, "training_score": 1}
    params = {"verbose": 1, "tol": 1, "random_state": 1, "param_grid": "{}", "alpha": 1}
    book(store, at, "one", params, metrics)
    book(store, at, "two", dict.fromkeys(params, 2), metrics)
    text = get()
    found = heads(text)
    order = ["mean_test_score", "training_score", "loss_curve", "alpha", "verbose"]
    assert [each for each in found if each in order] == order
    assert found.index("mean_test_score") < found.index("test_score")
    # A line stands where a group begins, from its word down to the last row.
    first = re.findall(
        r'<th scope="col" class="([^"]*)"[^>]*>\s*<a class="sort"[^>]*><span>(\w+)', text
    )
    begins = [name for classes, name in first if "group-start" in classes]
    assert begins == ["mean_test_score", "alpha"]
    assert len(re.findall(r'<td class="[^"]*group-start', text)) == 2 * len(begins)


def test_columns_stay_when_the_table_is_sorted_or_opened(table):
    """They are those of the newest runs; children only add some: in front, to be seen."""
    store, at, get = table
    for number in range(60):
        key = "old" if number < 10 else "new"
        book(store, at, f"run {number}", {key: number}, {f"{key}_score": number / 7})
    parent, *_ = book_search(store, at)
    usual = heads(get())
    assert "new" in usual and "old" not in usual
    assert heads(get("order_by=metrics.new_score+ASC")) == usual
    opened = heads(get(f"open={parent}"))
    assert [each for each in opened if each in usual] == usual
    place = opened.index("mean_test_score")
    assert opened[place : place + 2] == ["mean_test_score", "alpha"]
    assert place < opened.index("new_score")


def test_params_that_were_varied_come_before_those_that_happen_to_differ(table):
    """What differs between estimators, is mostly None or a seed comes after; what is left is told."""
    store, at, get = table
    for number in range(12):
        tree = number % 2
        params = {f"p{key}": number // 11 for key in range(5)} | {"lr": number / 7}
        params |= {"max_iter": 100 if tree else 1000, "random_state": number, "verbose": number}
        params |= {"max_depth": number if number > 8 else None, "depth": number // 3}
        metrics = {f"{key}_score": number for key in "abcdefg"}
        kind = "Tree" if tree else "Ridge"
        book(store, at, f"{kind} {number}", params, metrics, {"estimator_name": kind})
    text = get()
    params = heads(text)[heads(text).index("lr") :]
    assert params == ["lr", "depth", "p0", "p1", "p2"]
    assert "2 more metrics and 4 more params that differ" in text
    chosen = get("columns=params.lr")
    assert re.search(r'id="more-columns" hidden', chosen)


def test_what_a_table_is_sorted_by_is_among_its_first_metrics(table):
    """It would not be in sight behind the others."""
    store, at, get = table
    book(store, at, "one", {"alpha": 1}, {f"{key}_score": 0.5 for key in "abcdefg"})
    usual = heads(get())
    assert "g_score" not in usual
    place = usual.index("a_score")
    for key in "eg":
        assert heads(get(f"order_by=metrics.{key}_score"))[place] == f"{key}_score"
    assert heads(get("order_by=metrics.b_score")) == usual
    asked = "&".join(f"columns=metrics.{key}_score" for key in "abc")
    assert heads(get(f"order_by=metrics.c_score&{asked}"))[-1] == "c_score"


def test_candidates_opened_in_the_table_come_best_first(table):
    """And the one that the search chose is marked."""
    store, at, get = table
    parent = book(store, at, "search")
    for number, score in enumerate((0.7, 0.9, 0.8)):
        child = book(
            store,
            at,
            f"candidate-{number}",
            {"C": number},
            {"mean_test_score": score},
            {"skledger.candidate": str(number)},
            parent=parent,
        )
        if score == 0.9:
            best = child
    from skledger.tracking.entities import RunChange, RunTag

    store.write(RunChange(parent, tags=(RunTag("skledger.best_run", best),)))
    text = get(f"open={parent}")
    assert names(text) == ["search", "candidate-1", "candidate-2", "candidate-0"]
    row = text.partition(f'id="run-{best}"')[2].partition("</tr>")[0]
    assert ">best<" in row and text.count(">best<") == 1


def test_params_that_are_numbers_are_shown_as_numbers(table):
    """Short and at the right, with all digits in the title; metrics line up."""
    store, at, get = table
    book(store, at, "a", {"alpha": 1.2434805189338142e-05, "kind": "l1"}, {"score": 0.979})
    book(store, at, "b", {"alpha": 0.5, "kind": "l2"}, {"score": 0.9231})
    text = get()
    assert re.search(r'class="num[^"]*"><span title="1.2434805189338142e-05">1.243e-05<', text)
    assert ">0.9790<" in text and ">0.9231<" in text
    assert re.search(r"<td>\s*l1", text)


def test_what_no_run_has_is_told_with_what_was_meant(table):
    """Keys of the filter and of the order, and states in other letters."""
    store, at, get = table
    book(store, at, "one", {"alpha": 1}, {"accuracy": 0.5})
    assert "did you mean metrics.accuracy?" in said(get("filter=metrics.acuracy+>+0"))
    assert "did you mean metrics.accuracy?" in said(get("filter=params.accuracy+%3D+'1'"))
    assert "FAILED" in said(get(f"filter={quote(chr(115) + 'tatus = ' + repr('failed'))}"))
    book(store, at, "two", {}, {f"m{number}_score_X_test": 0.5 for number in range(9)})
    assert "did you mean metrics.m7_score_X_test?" in said(get("filter=metrics.m7+>+0"))
    assert "metrics.m0_score_X_test or metrics.m1" in said(get("filter=metrics.x_test+>+0"))
    assert "and 4 more." in said(get("filter=metrics.zzzz+>+0"))
    text = get("order_by=metrics.nothere")
    assert (
        "no" in said(text).lower() and "'nothere'" in said(text) and names(text) == ["two", "one"]
    )
    assert said(get("filter=metrics.accuracy+>+2")) == ""


@pytest.mark.parametrize(
    "question", ["filter=metrics.x+>+'a'", "order_by=nonsense+of", "page_token=zzz"]
)
def test_what_cannot_be_read_leaves_the_table(table, question):
    """The message stands above all runs, the help stays shut, what was typed stays."""
    store, at, get = table
    book(store, at, "one")
    text = get(question)
    assert "shown without it" in said(text) and names(text) == ["one"]
    assert '<details class="fold filter-help">' in text
    if "filter" in question:
        assert 'value="metrics.x &gt; &#39;a&#39;"' in text


def test_shown_columns_keep_their_order_when_others_are_chosen(table):
    """The boxes to choose from begin with the shown ones, as they stand."""
    store, at, get = table
    book(store, at, "one", {"alpha": 1}, {"zeta": 1.0, "accuracy": 0.5})
    text = get("columns=status&columns=duration&columns=metrics.zeta&columns=metrics.accuracy")
    boxes = re.findall(r'name="columns" value="([^"]*)" autocomplete="off" checked', text)
    assert boxes == ["status", "duration", "metrics.zeta", "metrics.accuracy"]


def test_a_deletion_is_told_and_undone(table, place):
    """How many runs went, and a button that brings them back."""
    store, at, get = table
    run = book(store, at, "one")
    address, path = place[1], f"/experiments/{at}"
    head = {"Origin": address}
    fields = {"run": run, "back": path}
    with httpx.Client(base_url=address, headers=head, follow_redirects=True) as client:
        text = client.post("/experiments/selected/delete", data=fields).text
        assert "1 run deleted." in said(text) and "Undo" in said(text) and not names(text)
        text = client.post("/experiments/selected/restore", data=fields).text
        assert "1 run restored." in said(text) and names(text) == ["one"]
