# ruff: noqa: E402 - one line comes before the imports, as a reader would have it
"""The script that ``skledger demo`` runs, statement by statement; it also runs by itself."""

# One line is all that your own script needs.
import skledger

skledger.autolog()

# From here on it is scikit-learn as you know it.
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

# Breast cancer: two classes.
X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
forest = RandomForestClassifier(n_estimators=50, random_state=0).fit(X_train, y_train)
pipeline = make_pipeline(StandardScaler(), SVC(C=2.0)).fit(X_train, y_train)

# Wine: three classes, with too few iterations, which warns.
LogisticRegression(max_iter=20).fit(*load_wine(return_X_y=True))

# Diabetes: a regression.
Ridge(alpha=0.1).fit(*load_diabetes(return_X_y=True))

# Handwritten digits: clusters.
KMeans(n_clusters=10, n_init=1, random_state=0).fit(load_digits().data)

# A search.
search = GridSearchCV(SVC(), {"C": [0.1, 1.0, 10.0], "gamma": ["scale", 0.001]}, cv=3)
search.fit(StandardScaler().fit_transform(X_train), y_train)

# A fit that fails is booked as well, with its traceback.
try:
    SVC(C=-1.0).fit(X_train, y_train)
except ValueError as error:
    print(error)

# A run of your own, with metrics of your own.
with skledger.start_run(run_name="my-baseline") as run:
    model = LogisticRegression(solver="liblinear").fit(X_train, y_train)
    skledger.log_metric("test_accuracy", model.score(X_test, y_test))

# Every model loads again, and predicts the same.
again = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
print("equal predictions:", (again.predict(X_test) == model.predict(X_test)).all())
