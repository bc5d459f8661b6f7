"""Make topics.csv: 360 short messages about gardening, astronomy and cycling.

The sentences are put together at random with a fixed seed. Some words belong to two topics, and
every sixth message borrows a phrase from another topic, so that no classifier is perfect.
"""

import csv
import random
from pathlib import Path

OPENINGS = (
    "Does anybody know whether", "I was surprised that", "Last weekend it turned out that",
    "My neighbour says that", "After a long winter", "It is a pity that", "In my experience",
    "Somebody asked me why", "As far as I can tell", "To my great joy",
)  # fmt: skip
TOPICS = {
    "gardening": (
        "the tomatoes need more light than the beans",
        "slugs ate every seedling in the raised bed",
        "the compost stays cold under the snow",
        "roses should be pruned before the buds open",
        "the soil is too heavy for carrots",
        "a chain of wet days brings mildew to the leaves",
        "the apple tree sets fruit every second year",
        "mulch keeps the roots cool in summer",
        "the greenhouse frame bends in the wind",
        "worms turn old leaves into dark earth",
        "the pump of the pond froze at night",
        "seeds from the shop came up sooner than mine",
    ),
    "astronomy": (
        "the comet was bright enough without a telescope",
        "Saturn's rings were edge on this season",
        "the mirror needs more light than the lens",
        "a nebula looks grey through small optics",
        "the mount follows the stars all night",
        "frost settled on the finder in the dark",
        "Jupiter's moons changed places within an hour",
        "light from the town hides the milky way",
        "the eclipse began a minute sooner than I read",
        "a satellite crossed the frame of my picture",
        "the galaxy lies close to the second star",
        "the dome of the observatory turns by hand",
    ),
    "cycling": (
        "the chain jumps on the smallest sprocket",
        "a tubeless tyre lost its air on gravel",
        "the climb took an hour against the wind",
        "my frame is too short for a long ride",
        "brake pads wear fast in wet weather",
        "the pump did not fit the valve",
        "the peloton was caught before the last bend",
        "a wheel wants truing every second season",
        "lights are needed on the way home at night",
        "the saddle was a little too high for me",
        "the descent was cold under the trees",
        "new pedals turn more smoothly than mine",
    ),
}
ENDINGS = ("", "", " Any advice?", " What do you think?", " Greetings to all.", " Thanks!")


def message(topic, draw):
    """Return a message about a topic."""
    first, second = draw.sample(TOPICS[topic], 2)
    if draw.random() < 1 / 6:
        second = draw.choice(TOPICS[draw.choice([each for each in TOPICS if each != topic])])
    link = draw.choice(("and", "but", "while", "because"))
    return f"{draw.choice(OPENINGS)} {first}, {link} {second}.{draw.choice(ENDINGS)}"


def write(path):
    """Write the table."""
    draw = random.Random(360)
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("topic", "text"))
        for _ in range(120):
            for topic in TOPICS:
                writer.writerow((topic, message(topic, draw)))


if __name__ == "__main__":
    write(Path(__file__).with_name("topics.csv"))
