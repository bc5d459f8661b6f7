"""Code as people write it after a fit, and the keys under which it is booked.

Each is run as a script of its own would be, after `PRELUDE`. ``keys`` are those of the metrics, by the
class of the run's estimator (``user`` is a run without one); a name that ends in ``.json`` is a
document in the folder ``measured``.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

__all__ = ["PRELUDE", "SNIPPETS", "Snippet"]

PRELUDE = """
import numpy as np
import skledger
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, LinearRegression, Ridge
from sklearn.model_selection import train_test_split

X, y = load_breast_cancer(return_X_y=True)
X = X / X.max(axis=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
del X, y
"""
FITTED = """
skledger.autolog()
from sklearn import metrics
from sklearn.metrics import *
model = LogisticRegression(max_iter=200).fit(X_train, y_train)
"""


@dataclass(frozen=True)
class Snippet:
    """A script and what it books."""

    name: str
    code: str
    keys: dict[str, set[str]]


SNIPPETS: list[Snippet] = []


def snippet(name: str, code: str, *keys: str, fitted: bool = True, **others: set[str]) -> None:
    """Add a script; `keys` are those of the run of ``LogisticRegression``."""
    text = (FITTED if fitted else "") + dedent(code)
    by_class = {**({"LogisticRegression": set(keys)} if keys else {}), **others}
    SNIPPETS.append(Snippet(name, text, by_class))


# -- imports --------------------------------------------------------------------------------------

snippet(
    "imported before autolog",
    """
    from sklearn.metrics import accuracy_score
    skledger.autolog()
    model = LogisticRegression(max_iter=200).fit(X_train, y_train)
    predictions = model.predict(X_test)
    accuracy_score(y_test, predictions)
    """,
    "accuracy_score_X_test",
    fitted=False,
)
snippet(
    "imported after autolog",
    """
    skledger.autolog()
    model = LogisticRegression(max_iter=200).fit(X_train, y_train)
    from sklearn.metrics import accuracy_score
    accuracy_score(y_test, model.predict(X_test))
    """,
    "accuracy_score_X_test",
    fitted=False,
)
snippet(
    "by the module",
    """
    import sklearn.metrics as skm
    skm.accuracy_score(y_test, model.predict(X_test))
    metrics.f1_score(y_test, model.predict(X_test))
    """,
    "accuracy_score_X_test",
    "f1_score_X_test",
)
snippet(
    "under another name",
    """
    from sklearn.metrics import accuracy_score as acc
    evaluate = {"accuracy": acc}
    for name, function in evaluate.items():
        function(y_test, model.predict(X_test))
    """,
    "accuracy_score_X_test",
)

# -- calls that come again ------------------------------------------------------------------------

snippet(
    "second calls are numbered",
    """
    p = model.predict(X_test)
    accuracy_score(y_test, p)
    accuracy_score(y_test, p, normalize=False)
    accuracy_score(y_true=y_test, y_pred=p)
    """,
    "accuracy_score_X_test",
    "accuracy_score-2_X_test",
    "accuracy_score-3_X_test",
)
snippet(
    "numbers go over data sets",
    """
    model.score(X_train, y_train)
    model.score(X_test, y_test)
    """,
    "LogisticRegression_score_X_train",
    "LogisticRegression_score-2_X_test",
)
snippet(
    "two data sets of one name",
    """
    accuracy_score(y_test, model.predict(X_test))
    X_test = X_test.copy()
    accuracy_score(y_test, model.predict(X_test))
    """,
    "accuracy_score_X_test",
    "accuracy_score-2_X_test-2",
)
snippet(
    "a score with weights",
    """
    model.score(X_test, y_test, sample_weight=np.ones(len(y_test)))
    """,
    "LogisticRegression_score_X_test",
)
snippet(
    "a metric inside a metric is one call",
    """
    balanced_accuracy_score(y_test, model.predict(X_test))
    """,
    "balanced_accuracy_score_X_test",
)

# -- made of predictions --------------------------------------------------------------------------

snippet(
    "a column of probabilities",
    """
    roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])
    """,
    "roc_auc_score_X_test",
)
snippet(
    "a column, kept",
    """
    proba = model.predict_proba(X_test)
    positive = proba[:, 1]
    roc_auc_score(y_test, positive)
    average_precision_score(y_test, positive)
    brier_score_loss(y_test, positive)
    log_loss(y_test, proba)
    """,
    "roc_auc_score_X_test",
    "average_precision_score_X_test",
    "brier_score_loss_X_test",
    "log_loss_X_test",
)
snippet(
    "a threshold",
    """
    proba = model.predict_proba(X_test)[:, 1]
    f1_score(y_test, (proba > 0.3).astype(int))
    f1_score(y_test, proba >= 0.7)
    """,
    "f1_score_X_test",
    "f1_score-2_X_test",
)
snippet(
    "argmax",
    """
    accuracy_score(y_test, model.predict_proba(X_test).argmax(axis=1))
    accuracy_score(y_test, model.classes_[np.argmax(model.predict_proba(X_test), axis=1)])
    """,
    "accuracy_score_X_test",
    "accuracy_score-2_X_test",
)
snippet(
    "a decision function",
    """
    scores = model.decision_function(X_test)
    roc_auc_score(y_test, scores)
    accuracy_score(y_test, (scores > 0).astype(int))
    """,
    "roc_auc_score_X_test",
    "accuracy_score_X_test",
)
snippet(
    "rounded predictions of a regressor",
    """
    model = Ridge().fit(X_train, y_train)
    p = model.predict(X_test)
    mean_squared_error(y_test, p)
    accuracy_score(y_test, np.round(p).astype(int))
    """,
    LogisticRegression=set(),
    Ridge={"mean_squared_error_X_test", "accuracy_score_X_test"},
)
snippet(
    "a slice of predictions",
    """
    p = model.predict(X_test)
    accuracy_score(y_test[:50], p[:50])
    """,
    "accuracy_score_X_test",
)
snippet(
    "predictions for a slice of data",
    """
    p = model.predict(X_test[:50])
    accuracy_score(y_test[:50], p)
    """,
    "accuracy_score_unknown_dataset",
)
snippet(
    "a list of predictions",
    """
    p = model.predict(X_test).tolist()
    accuracy_score(list(y_test), p)
    """,
    "accuracy_score_X_test",
)
snippet(
    "a series of predictions",
    """
    import pandas as pd
    p = pd.Series(model.predict(X_test), name="prediction")
    accuracy_score(y_test, p)
    """,
    "accuracy_score_X_test",
)
snippet(
    "a data frame of results",
    """
    import pandas as pd
    results = pd.DataFrame({"truth": y_test, "prediction": model.predict(X_test)})
    results["right"] = results.truth == results.prediction
    accuracy_score(results["truth"], results["prediction"])
    """,
    "accuracy_score_X_test",
)
snippet(
    "a data frame of probabilities",
    """
    import pandas as pd
    frame = pd.DataFrame(model.predict_proba(X_test), columns=model.classes_)
    log_loss(y_test, frame)
    roc_auc_score(y_test, frame[1])
    """,
    "log_loss_X_test",
    "roc_auc_score_X_test",
)
snippet(
    "data frames all the way",
    """
    import pandas as pd
    train, test = pd.DataFrame(X_train), pd.DataFrame(X_test)
    frames = LogisticRegression(max_iter=100).fit(train, y_train)
    frames.score(test, y_test)
    accuracy_score(pd.Series(y_test), frames.predict(test))
    """,
    "LogisticRegression_score_test",
    "accuracy_score_test",
)
snippet(
    "predictions kept in a dict",
    """
    predictions = {"test": model.predict(X_test), "train": model.predict(X_train)}
    scores = {name: accuracy_score(t, predictions[name])
              for name, t in [("test", y_test), ("train", y_train)]}
    """,
    "accuracy_score_X_test",
    "accuracy_score-2_X_train",
)
snippet(
    "labels of text",
    """
    names = np.array(["malignant", "benign"])
    text = LogisticRegression(max_iter=100).fit(X_train, names[y_train])
    p = text.predict(X_test)
    accuracy_score(names[y_test], p)
    f1_score(names[y_test], p, pos_label="benign")
    recall_score(names[y_test], p.tolist(), average="macro")
    """,
    "accuracy_score_X_test",
    "f1_score_X_test",
    "recall_score_X_test",
)
snippet(
    "labels given other names",
    """
    p = model.predict(X_test)
    names = np.array(["malignant", "benign"])
    accuracy_score(names[y_test], names[p])
    """,
    "accuracy_score_X_test",
)

# -- functions and threads ------------------------------------------------------------------------

snippet(
    "inside a function",
    """
    def evaluate(estimator, features, target):
        p = estimator.predict(features)
        return accuracy_score(target, p), f1_score(target, p)

    evaluate(model, X_test, y_test)
    """,
    "accuracy_score_features",
    "f1_score_features",
)
snippet(
    "predictions passed to a function",
    """
    def report(truth, guess):
        return {each.__name__: each(truth, guess) for each in (accuracy_score, f1_score)}

    report(y_test, model.predict(X_test))
    """,
    "accuracy_score_X_test",
    "f1_score_X_test",
)
snippet(
    "a model that is gone",
    """
    def train_and_predict():
        return LogisticRegression(max_iter=50).fit(X_train, y_train).predict(X_test)

    p = train_and_predict()
    accuracy_score(y_test, p)
    """,
    "accuracy_score_X_test",
)
snippet(
    "in a thread",
    """
    import threading
    def work():
        accuracy_score(y_test, model.predict(X_test))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    """,
    "accuracy_score_X_test",
)
snippet(
    "in a pool of threads",
    """
    from concurrent.futures import ThreadPoolExecutor
    p = model.predict(X_test)
    with ThreadPoolExecutor(3) as pool:
        for each in (accuracy_score, f1_score, recall_score):
            pool.submit(each, y_test, p).result()
    """,
    "accuracy_score_X_test",
    "f1_score_X_test",
    "recall_score_X_test",
)
snippet(
    "a loop over metrics",
    """
    p = model.predict(X_test)
    for name in ["accuracy_score", "precision_score", "recall_score"]:
        getattr(metrics, name)(y_test, p)
    """,
    "accuracy_score_X_test",
    "precision_score_X_test",
    "recall_score_X_test",
)

# -- scorers --------------------------------------------------------------------------------------

snippet(
    "a scorer by name",
    """
    get_scorer("accuracy")(model, X_test, y_test)
    get_scorer("roc_auc")(model, X_test, y_test)
    """,
    "accuracy_score_X_test",
    "roc_auc_score_X_test",
)
snippet(
    "a scorer of one's own",
    """
    scorer = make_scorer(fbeta_score, beta=2)
    scorer(model, X_test, y_test)
    """,
    "fbeta_score_X_test",
)
snippet(
    "the default scorer",
    """
    check_scoring(model)(model, X_test, y_test)
    """,
    "LogisticRegression_score_X_test",
)

# -- several models -------------------------------------------------------------------------------

snippet(
    "two models interleaved",
    """
    other = Ridge().fit(X_train, y_train)
    p = model.predict(X_test)
    q = other.predict(X_test)
    mean_squared_error(y_test, q)
    accuracy_score(y_test, p)
    r2_score(y_test, q)
    """,
    "accuracy_score_X_test",
    Ridge={"mean_squared_error_X_test", "r2_score_X_test"},
)
snippet(
    "a loop over models",
    """
    for each in [LogisticRegression(C=0.01), Ridge(alpha=0.1), LinearRegression()]:
        each.fit(X_train, y_train)
        each.score(X_test, y_test)
    """,
    "LogisticRegression_score_X_test",
    Ridge={"Ridge_score_X_test"},
    LinearRegression={"LinearRegression_score_X_test"},
)
snippet(
    "a model that is fitted again",
    """
    other = Ridge().fit(X_train, y_train)
    before = other.predict(X_test)
    other.fit(X_train[:100], y_train[:100])
    after = other.predict(X_test)
    r2_score(y_test, after)
    r2_score(y_test, before)
    """,
    LogisticRegression=set(),
    Ridge={"r2_score_X_test"},
)
snippet(
    "predictions of two models are nobody's",
    """
    twin = LogisticRegression(max_iter=200).fit(X_train, y_train)
    p, q = model.predict(X_test), twin.predict(X_test)
    accuracy_score(y_test, p.tolist())
    accuracy_score(y_test, (p + q) // 2)
    """,
    LogisticRegression=set(),
)
snippet(
    "nobody's predictions",
    """
    accuracy_score(y_test, np.zeros_like(y_test))
    accuracy_score(y_test, y_test.copy())
    """,
    LogisticRegression=set(),
)

# -- searches, pipelines, cross-validation --------------------------------------------------------

snippet(
    "a search",
    """
    from sklearn.model_selection import GridSearchCV
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=3).fit(X_train, y_train)
    search.score(X_test, y_test)
    r2_score(y_test, search.predict(X_test))
    search.best_estimator_.score(X_test, y_test)
    """,
    LogisticRegression=set(),
    GridSearchCV={"GridSearchCV_score_X_test", "r2_score_X_test", "Ridge_score_X_test"},
)
snippet(
    "a pipeline",
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    pipe = make_pipeline(StandardScaler(), LinearRegression()).fit(X_train, y_train)
    pipe.score(X_test, y_test)
    mean_absolute_error(y_test, pipe.predict(X_test))
    """,
    LogisticRegression=set(),
    Pipeline={"Pipeline_score_X_test", "mean_absolute_error_X_test"},
)
snippet(
    "cross-validated predictions",
    """
    from sklearn.model_selection import cross_val_predict
    p = cross_val_predict(LogisticRegression(max_iter=100), X_train, y_train, cv=3)
    accuracy_score(y_train, p)
    """,
    "accuracy_score_X_train",
)
snippet(
    "clusters",
    """
    from sklearn.cluster import KMeans
    means = KMeans(2, n_init=1, random_state=0).fit(X_train)
    adjusted_rand_score(y_train, means.labels_)
    silhouette_score(X_train, means.labels_)
    labels = KMeans(3, n_init=1, random_state=0).fit_predict(X_test)
    homogeneity_score(y_test, labels)
    """,
    LogisticRegression=set(),
    KMeans={"adjusted_rand_score_X_train", "silhouette_score_X_train", "homogeneity_score_X_test"},
)

# -- more than one number -------------------------------------------------------------------------

snippet(
    "a confusion matrix",
    """
    confusion_matrix(y_test, model.predict(X_test))
    """,
    "measured/confusion_matrix_X_test.json",
)
snippet(
    "a value for each class",
    """
    p = model.predict(X_test)
    f1_score(y_test, p, average=None)
    f1_score(y_test, p)
    """,
    "measured/f1_score_X_test.json",
    "f1_score_X_test",
)
snippet(
    "a report as text",
    """
    print(classification_report(y_test, model.predict(X_test), zero_division=0))
    """,
    "measured/classification_report_X_test.json",
    "classification_report_accuracy_X_test",
    *(
        f"classification_report_{average}_avg_{each}_X_test"
        for average in ("macro", "weighted")
        for each in ("precision", "recall", "f1_score")
    ),
)
snippet(
    "a report as a dict",
    """
    report = classification_report(
        y_test, model.predict(X_test), target_names=["no", "yes"], output_dict=True)
    """,
    "measured/classification_report_X_test.json",
    "classification_report_accuracy_X_test",
    *(
        f"classification_report_{average}_avg_{each}_X_test"
        for average in ("macro", "weighted")
        for each in ("precision", "recall", "f1_score")
    ),
)
snippet(
    "curves",
    """
    scores = model.predict_proba(X_test)[:, 1]
    fpr, tpr, thresholds = roc_curve(y_test, scores)
    area = auc(fpr, tpr)
    precision_recall_curve(y_test, scores)
    """,
    "measured/roc_curve_X_test.json",
    "measured/precision_recall_curve_X_test.json",
    "auc_X_test",
)
snippet(
    "several numbers at once",
    """
    p = model.predict(X_test)
    precision_recall_fscore_support(y_test, p, average="macro")
    """,
    "measured/precision_recall_fscore_support_X_test.json",
    "precision_recall_fscore_support_precision_X_test",
    "precision_recall_fscore_support_recall_X_test",
    "precision_recall_fscore_support_fscore_X_test",
)

# -- names and runs -------------------------------------------------------------------------------

snippet(
    "data with a name",
    """
    skledger.name_data(X_test, "holdout")
    model.score(X_test, y_test)
    accuracy_score(y_test, model.predict(X_test))
    """,
    "LogisticRegression_score_holdout",
    "accuracy_score_holdout",
)
snippet(
    "in a run of the user's",
    """
    skledger.autolog()
    from sklearn.metrics import r2_score
    with skledger.start_run():
        model = Ridge().fit(X_train, y_train)
        model.score(X_test, y_test)
        r2_score(y_test, model.predict(X_test))
    """,
    fitted=False,
    Ridge={"Ridge_score_X_test", "r2_score_X_test"},
)
snippet(
    "after the user's run",
    """
    skledger.autolog()
    from sklearn.metrics import r2_score
    with skledger.start_run():
        model = Ridge().fit(X_train, y_train)
    r2_score(y_test, model.predict(X_test))
    """,
    fitted=False,
    Ridge={"r2_score_X_test"},
)
snippet(
    "two runs of the user's",
    """
    skledger.autolog()
    from sklearn.metrics import r2_score
    with skledger.start_run():
        first = Ridge().fit(X_train, y_train)
    with skledger.start_run():
        second = LinearRegression().fit(X_train, y_train)
        r2_score(y_test, first.predict(X_test))
        r2_score(y_test, second.predict(X_test))
    """,
    fitted=False,
    Ridge={"r2_score_X_test"},
    LinearRegression={"r2_score_X_test"},
)
snippet(
    "nobody's predictions in a run of the user's",
    """
    with skledger.start_run():
        accuracy_score(y_test, np.zeros_like(y_test))
    """,
    LogisticRegression=set(),
    user={"accuracy_score_unknown_dataset"},
)
snippet(
    "two models in one run",
    """
    skledger.autolog()
    with skledger.start_run():
        for alpha in (0.1, 1.0):
            Ridge(alpha=alpha).fit(X_train, y_train).score(X_test, y_test)
    """,
    fitted=False,
    Ridge={"Ridge_score_X_test", "Ridge_score-2_X_test"},
)
snippet(
    "loaded from its run",
    """
    run = skledger.last_active_run()
    again = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    again.score(X_test, y_test)
    """,
    "LogisticRegression_score_X_test",
)
snippet(
    "learning in steps",
    """
    from sklearn.linear_model import SGDClassifier
    steps = SGDClassifier(random_state=0)
    for half in (slice(0, 200), slice(200, None)):
        steps.partial_fit(X_train[half], y_train[half], classes=[0, 1])
        steps.score(X_test, y_test)
    """,
    LogisticRegression=set(),
    SGDClassifier={"SGDClassifier_score_X_test"},
)
snippet(
    "switched off",
    """
    skledger.autolog(log_post_training_metrics=False)
    model = Ridge().fit(X_train, y_train)
    model.score(X_test, y_test)
    """,
    fitted=False,
    Ridge=set(),
)
