"""A conditional space that stands for architectures."""


def space(trial):
    """Returns the error of a full training, and the cost."""
    depth = trial.suggest_int("depth", 1, 4)
    gain, cost = 0.0, 0.0
    for i in range(depth):
        if trial.suggest_categorical(f"operator{i}", ["conv", "pool"]) == "conv":
            width = trial.suggest_int(f"conv{i}.width", 8, 64, step=8)
            gain += 0.2 * width / 64
            cost += width
        else:
            gain += 0.05 * trial.suggest_float(f"pool{i}.size", 1, 3)
            cost += 1
    return 1 - gain, cost
