"""Intermediate tasks and plain text, with their rows on the Hugging Face hub."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Unpack

from spaces.languages import LANGUAGES
from spaces.tasks.origin import Layout, Origin, Splits
from spaces.tasks.task import METRICS, AnswerRules, Task, TaskFields, TaskKind

# The commit that is read of each data set; `main` only where no commit is known to hold Parquet.
REVISIONS: Mapping[str, str] = MappingProxyType(
    {
        "Rowan/hellaswag": "218ec52e09a7e7462a5400043bb9a69a41d06b76",
        "allenai/cosmos_qa": "main",
        "cambridgeltl/xcopa": "042f78955ba48e6404616762fa6e05e839c3907a",
        "facebook/anli": "8e4813d81f46d313dac7892e1c28076917cfcdf9",
        "facebook/flores": "71abf77d8b7beb5cfef59898d6b24d92ab7654fc",
        "facebook/xnli": "b8dd5d7af51114dbda02c0e3f6133f332186418e",
        "google/xtreme": "ec5f1f46e9af79639a90684a7a70a956c4998f04",
        "nyu-mll/glue": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
        "nyu-mll/multi_nli": "da70db2af9d09693783c3320c4249840212ee221",
        "rajpurkar/squad": "7b6d24c440a36b6815f21b70d25016731768db1f",
        "rajpurkar/squad_v2": "3ffb306f725f7d2ce8394bc1873b24868140c412",
        "stanfordnlp/snli": "cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
        "tau/commonsense_qa": "94630fe30dad47192a8546eb75f094926d47e155",
    }
)

# The languages of XNLI, as XTREME's evaluation lists them.
_EUROPEAN = ("bg", "de", "el", "en", "es", "fr", "ru")
XNLI = tuple(sorted((*_EUROPEAN, "ar", "hi", "sw", "th", "tr", "ur", "vi", "zh")))

NLI = ("entailment", "neutral", "contradiction")

# CCGbank's licence does not allow its categories here, so a label is the rank of a category in the
# training sections. 425 categories occur ten times or more there (Clark and Curran 2007); all other
# categories share one label.
NUM_SUPERTAGS = 425
SUPERTAGS = (*(f"supertag-{rank}" for rank in range(1, NUM_SUPERTAGS + 1)), "other")

# The F1 of answering with any three words of the context: between 0.035 (XQuAD) and 0.057 (TyDiQA)
# on English validation rows.
SPAN_CHANCE = 0.05

# For data sets with hidden test labels or without a test split: the validation rows are cut in
# halves.
ONE_SPLIT = Splits(test="validation")
ANLI_ROUNDS = Splits(
    "train_r1+train_r2+train_r3", "dev_r1+dev_r2+dev_r3", "test_r1+test_r2+test_r3"
)

# Machine-translated training rows. The validation rows are those of XNLI. The test rows are those
# of XNLI too, and are left to the target `xnli`.
MNLI_TRANSLATED = Origin(
    dataset="facebook/xnli",
    languages=tuple(code for code in XNLI if code != "en"),
    config="{code}",
    revision=REVISIONS["facebook/xnli"],
    splits=Splits(test=None),
)


def hub_task(
    name: str,
    kind: TaskKind,
    dataset: str,
    config: str | None = None,
    *,
    num_train_rows: int,
    languages: tuple[str, ...] = ("en",),
    metric: str | None = None,
    chance: float | None = None,
    **fields: Unpack[TaskFields],
) -> Task:
    """An entry of the catalogue with rows on the hub; `fields` are fields of `Task`.

    Defaults: the main metric of the kind, the score of guessing by kind and labels, a reader of the
    task's name. The revision is the one that `REVISIONS` pins.
    """
    fields.setdefault("reader", name)
    return Task(
        name=name,
        kind=kind,
        dataset=dataset,
        config=config,
        revision=REVISIONS.get(dataset),
        languages=languages,
        metric=metric or METRICS[kind][0],
        chance=chance or _chance(kind, fields.get("labels", ())),
        num_train_rows=num_train_rows,
        **fields,
    )


def _chance(kind: TaskKind, labels: tuple[str, ...]) -> float:
    if kind is TaskKind.CLASSIFICATION and labels:
        return 1 / len(labels)
    return SPAN_CHANCE if kind is TaskKind.SPAN else 0.0


MNLI = hub_task(
    "mnli",
    TaskKind.CLASSIFICATION,
    "nyu-mll/multi_nli",
    num_train_rows=392_702,
    labels=NLI,
    languages=XNLI,
    splits=Splits(validation="validation_matched", test="validation_mismatched"),
    elsewhere=(MNLI_TRANSLATED,),
)
SNLI = hub_task(
    "snli",
    TaskKind.CLASSIFICATION,
    "stanfordnlp/snli",
    num_train_rows=549_367,
    labels=NLI,
)
ANLI = hub_task(
    "anli",
    TaskKind.CLASSIFICATION,
    "facebook/anli",
    num_train_rows=162_865,
    labels=NLI,
    reader="mnli",
    splits=ANLI_ROUNDS,
)
ANLIPLUS = hub_task(
    "anliplus",
    TaskKind.CLASSIFICATION,
    "anli+mnli+snli",
    num_train_rows=1_104_934,
    labels=NLI,
    parts=(ANLI, MNLI, SNLI),
)
QQP = hub_task(
    "qqp",
    TaskKind.CLASSIFICATION,
    "nyu-mll/glue",
    "qqp",
    num_train_rows=363_846,
    labels=("not_duplicate", "duplicate"),
    is_symmetric=True,
    splits=ONE_SPLIT,
    single_split=("en",),
)
SQUAD = hub_task(
    "squad",
    TaskKind.SPAN,
    "rajpurkar/squad",
    num_train_rows=87_599,
    holds=("squad2", "xquad"),  # Artetxe et al. 2020: 240 paragraphs of its dev set
    splits=ONE_SPLIT,
    single_split=("en",),
)
SQUAD2 = hub_task(
    "squad2",
    TaskKind.SPAN,
    "rajpurkar/squad_v2",
    num_train_rows=130_319,
    chance=0.5,  # half of the validation rows have no answer
    includes=("squad",),  # Rajpurkar et al. 2018: its questions, and unanswerable ones
    holds=("squad", "xquad"),
    splits=ONE_SPLIT,
    single_split=("en",),
    answer_rules=AnswerRules.SQUAD_V2,
)
HELLASWAG = hub_task(
    "hellaswag",
    TaskKind.CHOICE,
    "Rowan/hellaswag",
    num_train_rows=39_905,
    chance=1 / 4,
    splits=ONE_SPLIT,
    single_split=("en",),
)
CSQA = hub_task(
    "csqa",
    TaskKind.CHOICE,
    "tau/commonsense_qa",
    num_train_rows=9_741,
    chance=1 / 5,
    splits=ONE_SPLIT,
    single_split=("en",),
)
COSMOSQA = hub_task(
    "cosmosqa",
    TaskKind.CHOICE,
    "allenai/cosmos_qa",
    num_train_rows=25_262,
    chance=1 / 4,
    splits=ONE_SPLIT,
    single_split=("en",),
)
CCG = hub_task(
    "ccg",
    TaskKind.TAGGING,
    "ccgbank",
    num_train_rows=39_604,
    metric="accuracy",
    labels=SUPERTAGS,
    splits=Splits("02-21", "00", "23"),
    layout=Layout.CCGBANK,
)

INTERMEDIATE_TASKS: tuple[Task, ...] = (
    MNLI,
    SNLI,
    ANLI,
    ANLIPLUS,
    QQP,
    SQUAD,
    SQUAD2,
    HELLASWAG,
    CSQA,
    COSMOSQA,
    CCG,
)

# Plain text for masked language modelling; training reads its `dev` rows.
TEXT_TASKS: tuple[Task, ...] = (
    hub_task(
        "flores",
        TaskKind.MLM,
        "facebook/flores",
        "{flores}",
        num_train_rows=997,
        languages=tuple(LANGUAGES),
        splits=Splits(train="dev", validation="devtest", test=None),
    ),
)
