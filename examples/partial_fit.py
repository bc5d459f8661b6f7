"""Data that comes in batches: every ``partial_fit`` is a step of one run.

Run it with ``python partial_fit.py``; the run goes to ``skledger.db`` in the current folder.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import skledger

skledger.autolog()

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16.0, y, random_state=0)

model = SGDClassifier(loss="log_loss", alpha=1e-4, random_state=0)
batches = np.array_split(np.arange(len(X_train)), 12)
for number, batch in enumerate(batches):
    # All classes must be known at the first batch; later calls may leave them out.
    model.partial_fit(X_train[batch], y_train[batch], classes=np.arange(10))
    if number % 4 == 3:
        score = model.score(X_test, y_test)
        print(f"after {number + 1:>2} batches: accuracy {score:.3f}")

print("1 run with 12 steps is booked. See it with: skledger show last")
