"""The text of a small study file, as tests of study files want it."""

_TEXT = """
[study]{note}
name = "own"
encoder = "pocket"
seed = 0
[space]
intermediate = ["none", "fact"]
intermediate_learning_rate = [1e-4]
target_learning_rate = [1e-4]
targets = ["{target}"]
[training.intermediate]
num_steps = 1
batch_size = 1
max_length = 32
[training.target]
num_steps = 1
batch_size = 1
max_length = 32
[budget]
num_trials = 2
"""


def study_text(target: str, *, note: str = "") -> str:
    """A study file with one target. `note` stands behind the header of its first table."""
    return _TEXT.format(target=target, note=note)
