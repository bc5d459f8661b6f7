"""Who survived: a table with strings and missing values, through a ColumnTransformer.

Run it with ``python titanic.py``; the runs go to ``skledger.db`` in the current folder.
"""

from pathlib import Path

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skledger

skledger.autolog()

data = pd.read_csv(Path(__file__).parent / "data" / "titanic.csv")
data["Title"] = data["Name"].str.extract(r", (\w+)\.", expand=False)

numbers = ["Age", "SibSp", "Parch", "Fare"]
categories = ["Pclass", "Sex", "Embarked", "Title"]
columns = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (
            "categories",
            make_pipeline(
                SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
            ),
            categories,
        ),
    ]
)

X_train, X_test, y_train, y_test = train_test_split(
    data[numbers + categories], data["Survived"], test_size=0.25, random_state=0
)

scores = {}
for classifier in (
    LogisticRegression(max_iter=1000),
    RandomForestClassifier(n_estimators=100, min_samples_leaf=3, random_state=0),
):
    model = make_pipeline(columns, classifier).fit(X_train, y_train)
    scores[type(classifier).__name__] = model.score(X_test, y_test)

print("Accuracy on passengers not seen in training:")
for name, score in scores.items():
    print(f"  {name:<24}{score:.3f}")
print("2 runs are booked. See them with: skledger runs; the last one with: skledger show last")
