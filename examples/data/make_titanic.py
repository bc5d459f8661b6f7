"""Make titanic.csv: passengers that never were, in the columns of the well-known table.

The passengers are drawn at random with a fixed seed; only the proportions (classes, ports, who
survived, what is missing) are like those of the ship.
"""

import csv
import random
from pathlib import Path

SURNAMES = (
    "Abbott Andersson Baker Becker Bowen Brown Carter Clark Collins Cook Davies Dean Doyle Emery "
    "Fischer Flynn Ford Fox Goodwin Graham Hansen Harris Hart Hickman Hughes Jensen Johansson "
    "Johnson Kelly Klein Lam Larsson Lefebre Lewis Mallet Moran Morris Murphy Nilsson Olsen "
    "Palsson Panula Peters Petroff Rice Richards Rosen Ryan Sage Saunders Skoog Smith Svensson "
    "Taylor Thomas Turner Vander Walker Webber West White Williams Wright Young Zimmer"
).split()
MEN = "Albert Carl Charles Edward Ernst Frank George Henry Ivan James John Karl Oscar".split()
WOMEN = "Ada Alice Anna Bertha Clara Edith Elin Ellen Emily Hanna Ida Kate Margaret Mary".split()

CLASS_SHARES = (0.24, 0.21, 0.55)
FARES = {1: 84.0, 2: 20.6, 3: 13.7}
PORTS = {1: (60, 39, 1), 2: (89, 9, 2), 3: (72, 14, 14)}
CABIN_KNOWN = {1: 0.81, 2: 0.09, 3: 0.02}
ON_BOARD = {
    ("female", 1): 0.96, ("female", 2): 0.91, ("female", 3): 0.49,
    ("male", 1): 0.37, ("male", 2): 0.15, ("male", 3): 0.13,
}  # fmt: skip
COLUMNS = (
    "PassengerId Survived Pclass Name Sex Age SibSp Parch Ticket Fare Cabin Embarked"
).split()


def passenger(number, draw):
    """Return one row."""
    pclass = draw.choices((1, 2, 3), CLASS_SHARES)[0]
    sex = "male" if draw.random() < 0.58 + 0.04 * (pclass - 1) else "female"
    age = min(max(draw.gauss(39 - 6.5 * (pclass - 1), 13.5), 0.42), 80)
    child = age < 13
    siblings = draw.choices((0, 1, 2, 3, 4, 8), (68, 23, 3, 2, 2, 1))[0]
    parents = draw.choices((0, 1, 2, 5), (0, 60, 40, 0) if child else (85, 9, 5, 1))[0]
    chance = 0.58 if child and pclass == 3 else 0.97 if child else ON_BOARD[sex, pclass]
    chance -= 0.25 * (siblings + parents > 4)
    fare = FARES[pclass] * draw.lognormvariate(-0.25, 0.55) * (1 + 0.25 * (siblings + parents))
    return {
        "PassengerId": number,
        "Survived": int(draw.random() < chance),
        "Pclass": pclass,
        "Name": name(sex, child, siblings, draw),
        "Sex": sex,
        "Age": "" if draw.random() < 0.2 else f"{age:.2f}" if age < 1 else f"{age:.0f}",
        "SibSp": siblings,
        "Parch": parents,
        "Ticket": ticket(pclass, draw),
        "Fare": f"{fare:.4f}",
        "Cabin": cabin(pclass, draw),
        "Embarked": "" if draw.random() < 0.002 else draw.choices("SCQ", PORTS[pclass])[0],
    }


def name(sex, child, siblings, draw):
    """Return a name with its title."""
    if sex == "male":
        title = "Master" if child else draw.choices(("Mr", "Dr", "Rev"), (96, 2, 2))[0]
        first = draw.choice(MEN)
    else:
        title = "Mrs" if not child and siblings else "Miss"
        first = draw.choice(WOMEN)
    return f"{draw.choice(SURNAMES)}, {title}. {first}"


def ticket(pclass, draw):
    """Return a ticket; some have letters in front."""
    prefix = draw.choice(("PC ", "C.A. ", "A/5 ", "STON/O 2. ")) if draw.random() < 0.25 else ""
    return f"{prefix}{pclass}{draw.randrange(10_000, 99_999)}"


def cabin(pclass, draw):
    """Return a cabin, which is known of few."""
    if draw.random() > CABIN_KNOWN[pclass]:
        return ""
    return f"{draw.choice({1: 'ABCDE', 2: 'DEF', 3: 'EFG'}[pclass])}{draw.randrange(2, 130)}"


def rows():
    """Return the header and the passengers."""
    draw = random.Random(1912)
    return [passenger(number, draw) for number in range(1, 892)]


def write(path):
    """Write the table."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows())


if __name__ == "__main__":
    write(Path(__file__).with_name("titanic.csv"))
