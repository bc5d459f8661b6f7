"""How pages write numbers, durations, sizes and notes."""

import math

import pytest

from skledger.server.pages import choosing, formatting


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1234, "1.2 s"),
        (59_940, "59.9 s"),
        (59_990, "1 min 0 s"),
        (125_000, "2 min 5 s"),
        (3_599_900, "1 h 0 min"),
        (86_400_000, "24 h 0 min"),
        (200_000_000, "2 d 8 h"),
        (-5, "0 ms"),
    ],
)
def test_durations_in_words(milliseconds, words):
    """No `60 s`, no `0 min`: what is rounded up is carried over."""
    assert formatting.duration_text(milliseconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.123456, "0.1235"),
        (1e-9, "1e-09"),
        (12345.678, "12345.7"),
        (123456789012.5, "123456789012.5"),
        (100.0, "100"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_in_few_digits(value, words):
    """All digits stand in the title; the sign is one that can be copied into code."""
    assert formatting.number_text(value) == words
    assert repr(value) in str(formatting.number(value))


def test_times_of_any_size_are_no_error():
    """What no calendar has is shown as the number it is."""
    assert "2020-09-13 12:26 UTC" in formatting.time(1_600_000_000_000)
    assert "9" * 20 in formatting.time(int("9" * 20))


def test_notes_hold_nothing_that_runs():
    """HTML stays text, pictures are left out, links lead to no script."""
    html = formatting.markdown(
        "**b** <script>x</script> ![p](http://x/y.png) [l](javascript:x) [m](https://x)"
    )
    assert "<strong>b</strong>" in html and 'href="https://x"' in html
    assert "<script" not in html and "<img" not in html and 'href="javascript' not in html


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("mean_test_score", True),
        ("training_accuracy_score", True),
        ("test_neg_log_loss", True),
        ("training_log_loss", False),
        ("loss_curve", False),
        ("train_score", None),
        ("train_score-2", None),
        ("validation_score", None),
        ("oob_scores", None),
        ("oob_score", None),
        ("n_iter", None),
    ],
)
def test_whether_more_is_better(key, more):
    """A curve that is a loss of one estimator and a score of another has no best value."""
    assert choosing.higher_is_better(key) is more
    assert choosing.best_of(key, [0.1, 0.2]) == {None: set(), True: {1}, False: {0}}[more]


def test_metrics_in_the_order_in_which_they_tell():
    """The mean over folds before the last fold, data not seen before training, curves late."""
    keys = ["fit_seconds", "train_score", "loss_curve", "training_score", "test_score"]
    assert choosing.preferred_metrics([*keys, "mean_test_score"]) == [
        "mean_test_score",
        "training_score",
        "loss_curve",
        "test_score",
        "train_score",
        "fit_seconds",
    ]
    assert choosing.preferred_metrics(keys)[0] == "test_score"


def test_numbers_of_a_column_line_up():
    """With as many digits behind the point; not where they are whole or far apart."""
    assert formatting.decimals([0.979, 0.9231]) == 4
    assert "0.9790" in formatting.number(0.979, 4)
    assert formatting.decimals([1.0, 20.0]) is None
    assert formatting.decimals([1e-9, 1.5]) is None
    assert formatting.decimals([math.nan]) is None


def test_sentences_begin_with_a_capital_and_names_stay():
    """A check may begin with the name of a metric."""
    from skledger.server.pages.run_view import _sentence

    assert _sentence("the classes are uneven") == "The classes are uneven"
    for text in ("mean_absolute_error is large", "f1 is 0", "", "n_samples: few"):
        assert _sentence(text) == text
