"""The tasks of the embedded benchmark: made from CLDR, in 12 languages, with parallel rows (equal
ids)."""

from spaces.tasks.task import METRICS, Task, TaskKind

POCKET_LANGUAGES = ("en", "de", "es", "fr", "ru", "tr", "fi", "ar", "hi", "ja", "zh", "sw")

POCKET_POS = ("ADP", "CCONJ", "NOUN", "NUM", "PROPN", "PUNCT")
POCKET_NER = (
    "O",
    *(
        f"{prefix}-{kind}"
        for kind in ("DATE", "LANG", "LOC", "MONEY", "QUANTITY")
        for prefix in "BI"
    ),
)


def _pocket(
    name: str,
    kind: TaskKind,
    *,
    chance: float,
    num_train_rows: int,
    labels: tuple[str, ...] = (),
) -> Task:
    """A task of the embedded benchmark: 12 languages, the main metric of its kind."""
    trains = kind is not TaskKind.RETRIEVAL
    return Task(
        name=name,
        kind=kind,
        dataset="pocket",
        languages=POCKET_LANGUAGES if trains else POCKET_LANGUAGES[1:],
        metric=METRICS[kind][0],
        chance=chance,
        num_train_rows=num_train_rows,
        labels=labels,
        num_dev_rows=150 if trains else 200,
    )


TEXT = _pocket("text", TaskKind.MLM, chance=0.0, num_train_rows=1000)

POCKET_TASKS: tuple[Task, ...] = (
    _pocket("pos", TaskKind.TAGGING, chance=0.0, num_train_rows=1000, labels=POCKET_POS),
    _pocket("ner", TaskKind.TAGGING, chance=0.0, num_train_rows=1000, labels=POCKET_NER),
    _pocket("kind", TaskKind.CHOICE, chance=1 / 4, num_train_rows=1000),
    _pocket("fact", TaskKind.CHOICE, chance=1 / 4, num_train_rows=1000),
    _pocket("seq", TaskKind.CHOICE, chance=1 / 4, num_train_rows=1000),
    _pocket(
        "rel",
        TaskKind.CLASSIFICATION,
        chance=1 / 3,
        num_train_rows=2000,
        labels=("follows", "wrong", "unrelated"),
    ),
    _pocket(
        "coh",
        TaskKind.CLASSIFICATION,
        chance=1 / 2,
        num_train_rows=2000,
        labels=("incoherent", "coherent"),
    ),
    _pocket("qakind", TaskKind.SPAN, chance=0.0, num_train_rows=2000),
    _pocket("retrieval", TaskKind.RETRIEVAL, chance=1 / 200, num_train_rows=0),
    TEXT,
)
