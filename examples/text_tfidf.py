"""What is the message about: TF-IDF and linear classifiers, then the best one loaded again.

Run it with ``python text_tfidf.py``; the runs go to ``skledger.db`` in the current folder.
"""

from pathlib import Path

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import skledger

skledger.autolog()

data = pd.read_csv(Path(__file__).parent / "data" / "topics.csv")
X_train, X_test, y_train, y_test = train_test_split(
    data["text"], data["topic"], test_size=0.3, random_state=0, stratify=data["topic"]
)

best_score, best_run = -1.0, None
for classifier in (MultinomialNB(), LogisticRegression(C=5.0), LinearSVC()):
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), classifier)
    model.fit(X_train, y_train)
    score = model.score(X_test, y_test)
    print(f"{type(classifier).__name__:<20} accuracy on new messages {score:.3f}")
    if score > best_score:
        best_score, best_run = score, skledger.last_active_run()

# Any model that was booked loads again, here or in another program.
model = skledger.sklearn.load_model(f"runs:/{best_run.info.run_id}/model")
message = "The new telescope shows the rings of Saturn, light and all"
print(f"\n{message!r} is about {model.predict([message])[0]}.")
print(f"3 runs are booked. The best one: skledger show {best_run.info.run_id[:8]}")
