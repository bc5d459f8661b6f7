"""How good is the wine: ElasticNet with several penalties, and a forest to compare.

Run it with ``python wine_quality.py``; the runs go to ``skledger.db`` in the current folder.
"""

from pathlib import Path

import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import ElasticNet
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

import skledger

skledger.autolog()
skledger.set_experiment("wine-quality")

data = pd.read_csv(Path(__file__).parent / "data" / "wine_quality.csv")
train, test = train_test_split(data, random_state=40)
X_train, y_train = train.drop(columns="quality"), train["quality"]
X_test, y_test = test.drop(columns="quality"), test["quality"]


def train_and_test(model, name):
    """Fit a model in a run of its own; the params, the model and its metrics are booked for us."""
    with skledger.start_run(run_name=name):
        predicted = model.fit(X_train, y_train).predict(X_test)
        figures = {
            "rmse": root_mean_squared_error(y_test, predicted),
            "mae": mean_absolute_error(y_test, predicted),
            "r2": r2_score(y_test, predicted),
        }
        skledger.log_metrics(figures)
    print(f"{name:<36}" + "".join(f"{key:>6} {value:.3f}" for key, value in figures.items()))


for alpha in (0.02, 0.1, 0.5):
    for l1_ratio in (0.1, 0.5, 0.9):
        model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
        train_and_test(model, f"ElasticNet alpha={alpha} l1_ratio={l1_ratio}")
forest = RandomForestRegressor(n_estimators=60, min_samples_leaf=3, random_state=42)
# Its errors in training are half of those here. skledger points at that in the log, and the run has
# it as a tag.
train_and_test(forest, "RandomForestRegressor")

best = skledger.search_runs(
    experiment_names=["wine-quality"],
    order_by=["metrics.rmse ASC"],
    max_results=1,
    output_format="list",
)[0]
print(f"\nThe best is {best.info.run_name}, with an RMSE of {best.data.metrics['rmse']:.3f}.")
print("But", best.data.tags["skledger.check.train_better_than_test"])
print('All of them, the best first: skledger runs --order-by "metrics.rmse"')
