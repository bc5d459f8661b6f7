# ruff: noqa
# fmt: off
"""A tutorial of 2020: an experiment with artifacts of its own place, runs that are ended by hand.

Its code as it stands, but for the imports of the library; the data is read as its text says.
"""
import tempfile

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import train_test_split

import skledger as mlflow
import skledger.sklearn

houses = pd.read_csv("kc_house_data.csv")
X_train, X_test, y_train, y_test = train_test_split(
    houses.drop(columns=["id", "date", "waterfront"]), houses.waterfront, stratify=houses.waterfront, random_state=0
)

exp_id = mlflow.create_experiment("houses", artifact_location= "./houses_artifacts")

# run model
logit1 = LogisticRegression(penalty='l2', solver='lbfgs', max_iter=1000)
logit1.fit(X_train, y_train)
preds = logit1.predict(X_test)

# get metrics
f1 = f1_score(y_test, preds)
confusion = confusion_matrix(y_test, preds)

# plot the confusion matrix
fig, ax = plt.subplots()
sns.heatmap(confusion, cmap='Blues',annot=True)
plt.ylabel("True labels")
plt.xlabel("Predicted labels")
title = "Confusion Matrix"
plt.title(title)

mlflow.start_run(experiment_id=exp_id, run_name="naive backwards")

# log model
mlflow.sklearn.log_model(logit1, "ridge logit")

# log params individually
mlflow.log_param('penalty', 'l2')
mlflow.log_param('solver', 'lbfgs')
mlflow.log_param('max_iter','1000')

# log metrics
mlflow.log_metric("f1", f1)
t_n, f_p, f_n, t_p = confusion.ravel()
mlflow.log_metric("true neg", t_n)
mlflow.log_metric("false pos", f_p)
mlflow.log_metric("false neg", f_n)
mlflow.log_metric("true pos", t_p)

# log the confusion matrix plot as an artifact
fig, ax = plt.subplots()
sns.heatmap(confusion, cmap='Blues',annot=True)
plt.ylabel("True labels")
plt.xlabel("Predicted labels")
title = mlflow.active_run().info.run_id + " Confusion Matrix"
plt.title(title)

# log confusion matrix to temp file
temp = tempfile.NamedTemporaryFile(prefix="confusionmatrix-", suffix=".png")
temp_name = temp.name
try:
  fig.savefig(temp_name)
  mlflow.log_artifact(temp_name, "confusionmatrix.png")
finally:
  temp.close() 

mlflow.end_run()


def log_logit(experimentID, run_name, params, X_train, X_test, y_train, y_test):
  with mlflow.start_run(experiment_id=exp_id, run_name=run_name) as run:
    logit = LogisticRegression(**params)
    logit.fit(X_train, y_train)
    mlflow.log_params(params)
    mlflow.log_metric("f1", f1_score(y_test, logit.predict(X_test)))
    mlflow.sklearn.log_model(logit, "logit")


log_logit(exp_id, "lasso", {"penalty": "l1", "solver": "liblinear"}, X_train, X_test, y_train, y_test)
