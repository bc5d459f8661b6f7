"""A run of your own: several fits, your params and metrics, a file, and runs within the run.

Run it with ``python own_run.py``; the runs go to ``skledger.db`` in the current folder.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, classification_report
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skledger

skledger.autolog()
skledger.set_experiment("own-run")

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)

linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
forest = RandomForestClassifier(n_estimators=80, random_state=1)

with skledger.start_run(run_name="comparison", description="Is a forest worth it here?") as run:
    skledger.log_param("test_rows", len(y_test))
    skledger.set_tag("team", "oncology")

    # Each of these is booked in this run: params, metrics and model of the second under names
    # that end in -2.
    for name, model in (("linear", linear), ("forest", forest)):
        model.fit(X_train, y_train)
        predicted = model.predict(X_test)
        skledger.log_metric(f"{name}_balanced_accuracy", balanced_accuracy_score(y_test, predicted))
        skledger.log_text(classification_report(y_test, predicted), f"reports/{name}.txt")

    # A run within the run keeps the third one apart.
    with skledger.start_run(run_name="both", nested=True):
        both = VotingClassifier([("linear", linear), ("forest", forest)], voting="soft")
        both.fit(X_train, y_train)
        skledger.log_metric(
            "balanced_accuracy", balanced_accuracy_score(y_test, both.predict(X_test))
        )

    # The history of a metric.
    for trees in (5, 10, 20, 40, 80):
        votes = sum(tree.predict(X_test) for tree in forest.estimators_[:trees]) / trees
        skledger.log_metric("score_by_trees", ((votes > 0.5) == y_test).mean(), step=trees)

booked = skledger.get_run(run.info.run_id)
print("The run 'comparison' and one within it are booked:")
for key in ("linear_balanced_accuracy", "forest_balanced_accuracy"):
    print(f"  {key:<26}{booked.data.metrics[key]:.3f}")
print("See them with: skledger runs --experiment own-run; skledger show comparison")
