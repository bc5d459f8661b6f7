"""A store with runs of real fits, made by a process of its own, for tests of pages."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

SCRIPT = textwrap.dedent(
    """
    import json, sys
    import numpy as np
    import skledger
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.tree import DecisionTreeClassifier

    folder = sys.argv[1]
    skledger.set_tracking_uri(f"sqlite:///{folder}/fitted.db")
    skledger.set_experiment("iris")
    skledger.autolog(log_input_examples=True)
    ids = {}

    def done(name):
        skledger.flush()
        found = skledger.search_runs(
            search_all_experiments=True, output_format="list", order_by=["start_time DESC"]
        )
        newest = next(r for r in found if "mlflow.parentRunId" not in r.data.tags)
        ids[name] = newest.info.run_id

    X, y = load_iris(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    tree = DecisionTreeClassifier(random_state=0).fit(X_train, y_train)
    accuracy_score(y_test, tree.predict(X_test))
    done("tree")
    LogisticRegression(max_iter=2).fit(X_train, y_train)
    done("warned")
    broken = X_train.copy()
    broken.iloc[0, 0] = np.nan
    try:
        LogisticRegression().fit(broken, y_train)
    except ValueError:
        pass
    done("failed")
    leaky = X_train.assign(species=y_train)
    GradientBoostingClassifier(n_estimators=20, subsample=0.8).fit(leaky, y_train)
    done("boosted")
    GridSearchCV(
        DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3], "criterion": ["gini", "entropy"]},
        cv=3,
    ).fit(X_train, y_train)
    done("search")
    skledger.flush()
    with open(f"{folder}/ids.json", "w") as file:
        json.dump(ids, file)
    """
)


def fitted(folder):
    """Make the store; returns its URI and the identifiers of its runs by a name for each."""
    script = folder / "train.py"
    script.write_text(SCRIPT)
    subprocess.run(
        [sys.executable, str(script), str(folder)], check=True, cwd=folder, capture_output=True
    )
    return f"sqlite:///{folder}/fitted.db", json.loads((folder / "ids.json").read_text())
