# ruff: noqa
# fmt: off
"""The same tutorial, later: looking at the runs, and getting the model back.

Its code as it stands, but for the import of the library. The test puts its own identifiers in place
of the author's, and the prints show what a notebook would.
"""
import skledger as mlflow

print(dict(mlflow.get_experiment_by_name('New Experiment')))

from skledger.tracking import MlflowClient

client = MlflowClient()
print(client.list_run_infos(experiment_id = '0'))

print(client.get_run(run_id = 'c55159dcfe884e21b8c35f18168fdcde'))

import skledger.sklearn
model_lr = mlflow.sklearn.load_model(f'runs:/c55159dcfe884e21b8c35f18168fdcde/Run 1') #Run 1 is the name of the first experiment
print(model_lr)
