"""Make wine_quality.csv: 1,599 red wines that nobody drank, in the well-known columns.

Each wine has a ripeness, an age and a maker's care, drawn at random with a fixed seed; the eleven
measurements and the quality (3 to 8) follow from them, with noise.
"""

import csv
import math
import random
from pathlib import Path

COLUMNS = (
    "fixed acidity",
    "volatile acidity",
    "citric acid",
    "residual sugar",
    "chlorides",
    "free sulfur dioxide",
    "total sulfur dioxide",
    "density",
    "pH",
    "sulphates",
    "alcohol",
    "quality",
)


def wine(draw):
    """Return one row."""
    ripeness, care, acid = draw.gauss(0, 1), draw.gauss(0, 1), draw.gauss(0, 1)
    fixed = max(8.3 + 1.7 * acid, 4.6)
    volatile = max(0.53 - 0.1 * care + 0.12 * draw.gauss(0, 1) - 0.03 * acid, 0.12)
    citric = min(max(0.27 + 0.12 * acid + 0.06 * care + 0.09 * draw.gauss(0, 1), 0.0), 1.0)
    sugar = 0.9 + draw.lognormvariate(0.3, 0.55)
    chlorides = max(draw.lognormvariate(-2.48, 0.3) - 0.006 * ripeness, 0.012)
    free = max(round(draw.lognormvariate(2.6, 0.6)), 1)
    total = free + max(round(draw.lognormvariate(3.2, 0.65) - 3 * care), 3)
    alcohol = max(10.4 + 0.95 * ripeness + 0.4 * draw.gauss(0, 1), 8.4)
    density = 0.99675 + 0.0006 * acid - 0.0009 * ripeness + 0.0003 * (sugar - 2.4)
    ph = 3.31 - 0.1 * acid + 0.09 * draw.gauss(0, 1)
    sulphates = max(0.65 * math.exp(0.16 * draw.gauss(0, 1) + 0.1 * care), 0.33)
    strong, sour = alcohol - 10.4, volatile - 0.53
    taste = (
        5.6
        + 0.28 * strong
        - 1.3 * sour
        - 0.9 * strong * sour  # a sour note spoils a strong wine more
        + 1.6 * min(sulphates - 0.65, 0.2)  # more of it does no further good
        - 0.003 * max(total - 30, 0)
        - 1.6 * (chlorides - 0.087)
        + 0.4 * draw.gauss(0, 1)
    )
    return [
        f"{fixed:.1f}",
        f"{volatile:.3f}",
        f"{citric:.2f}",
        f"{sugar:.1f}",
        f"{chlorides:.3f}",
        free,
        total,
        f"{density:.5f}",
        f"{ph:.2f}",
        f"{sulphates:.2f}",
        f"{alcohol:.1f}",
        min(max(round(taste), 3), 8),
    ]


def write(path):
    """Write the table."""
    draw = random.Random(1599)
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(wine(draw) for _ in range(1599))


if __name__ == "__main__":
    write(Path(__file__).with_name("wine_quality.csv"))
