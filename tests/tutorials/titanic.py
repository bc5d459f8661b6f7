# ruff: noqa
# fmt: off
"""A tutorial of 2020: an experiment, runs with params, a metric and a model.

Its code as it stands, but for the import of the library.
"""
import pandas as pd
import numpy as np

df = pd.read_csv('train.csv')
df.head()

df.isnull().sum()

mean_age = df.Age.mean()
mode_embarked = df.Embarked.mode()
mean_fare = df.Fare.mean()

import category_encoders as ce

def make_data_ready(data):
    result = (data.fillna(value = {'Age': mean_age, 'Embarked': mode_embarked, 'Fare': mean_fare})
        .drop(columns = ['Cabin','Signing_date'], errors = 'ignore')
        .set_index('PassengerId')
     )
    
    ord = ce.OrdinalEncoder()
    out = ord.fit_transform(result)
    return out

df = make_data_ready(df)
df.head()

from sklearn.model_selection import train_test_split

X_train, X_val, y_train, y_val = train_test_split(df.drop(columns = 'Survived'), df.Survived, test_size = 0.25, random_state = 123)

import skledger as mlflow
mlflow.set_experiment(experiment_name = 'New Experiment')

from sklearn.linear_model import LogisticRegression
import skledger as mlflow
import skledger.sklearn
C = 1.5
max_iter = 1000
name = 'Run 1'

with mlflow.start_run(run_name = name) as run:
    
    lr = LogisticRegression(solver = 'lbfgs', random_state = 123, max_iter = max_iter, C = C)
    lr.fit(X_train,y_train)
    acc = lr.score(X_val,y_val)  
    
    mlflow.log_param("run_id", run.info.run_id)
    mlflow.log_param("solver", 'lbfgs')
    mlflow.log_param("max_iter", max_iter)
    mlflow.log_param("C", C)

    mlflow.log_metric("Accuracy", acc)
    mlflow.sklearn.log_model(lr, name)
