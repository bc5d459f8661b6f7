"""No labels: KMeans, DBSCAN and PCA on iris and on handwritten digits.

Run it with ``python clustering.py``; the runs go to ``skledger.db`` in the current folder.
"""

from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import StandardScaler

import skledger

skledger.autolog()

iris = load_iris()
X = StandardScaler().fit_transform(iris.data)

# How many clusters? One run each, with a figure of our own beside what is booked for us.
for n_clusters in (2, 3, 4, 5):
    with skledger.start_run(run_name=f"iris in {n_clusters} clusters"):
        labels = KMeans(n_clusters=n_clusters, n_init=5, random_state=0).fit_predict(X)
        skledger.log_metric("silhouette", silhouette_score(X, labels))
        skledger.log_metric("adjusted_rand", adjusted_rand_score(iris.target, labels))

labels = DBSCAN(eps=0.8, min_samples=5).fit_predict(X)
print(f"DBSCAN finds {len(set(labels) - {-1})} clusters in iris, and {sum(labels == -1)} outliers.")

digits = load_digits().data
pca = PCA(n_components=0.9, random_state=0)
flat = pca.fit_transform(digits)
print(f"PCA keeps 90 % of the variance of the digits in {flat.shape[1]} of 64 columns.")
KMeans(n_clusters=10, n_init=3, random_state=0).fit(flat)

best = skledger.search_runs(
    filter_string="metrics.silhouette > 0",
    order_by=["metrics.silhouette DESC"],
    output_format="list",
)[0]
print(f"Best by silhouette: {best.info.run_name} ({best.data.metrics['silhouette']:.3f}).")
print("7 runs are booked. See them with: skledger runs")
print("or those of one kind: skledger runs --filter \"tags.estimator_name = 'KMeans'\"")
