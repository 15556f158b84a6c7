"""Tasks with rows on the Hugging Face hub: intermediate tasks in English, XTREME's targets."""

from collections.abc import Mapping
from types import MappingProxyType

from spaces.languages import LANGUAGES
from spaces.task import METRICS, Splits, Task, TaskKind

# What is read of a data set: a commit; `main` only where no commit is known to hold Parquet.
REVISIONS: Mapping[str, str] = MappingProxyType(
    {
        "Rowan/hellaswag": "218ec52e09a7e7462a5400043bb9a69a41d06b76",
        "allenai/cosmos_qa": "main",
        "facebook/flores": "71abf77d8b7beb5cfef59898d6b24d92ab7654fc",
        "google/xtreme": "ec5f1f46e9af79639a90684a7a70a956c4998f04",
        "nyu-mll/multi_nli": "da70db2af9d09693783c3320c4249840212ee221",
        "rajpurkar/squad": "7b6d24c440a36b6815f21b70d25016731768db1f",
        "tau/commonsense_qa": "94630fe30dad47192a8546eb75f094926d47e155",
    }
)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# The languages of each task, as XTREME's evaluation lists them.
PAWSX = ("de", "en", "es", "fr", "ja", "ko", "zh")
UDPOS = _names(
    "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi "
    "yo zh"
)
PANX = _names(
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw "
    "ta te th tl tr ur vi yo zh"
)
XQUAD = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
TYDIQA = ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")
TATOEBA = _names(
    "af ar bg bn de el es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr nl pt ru sw ta te th "
    "tl tr ur vi zh"
)

NLI = ("entailment", "neutral", "contradiction")
UNIVERSAL_POS = _names(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
)
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

# Any three words of a context: F1 of 0.035 (XQuAD) to 0.057 (TyDiQA) on English validation rows.
SPAN_CHANCE = 0.05

# Test labels are hidden (or there is no test split): the validation rows are cut in halves.
ONE_SPLIT = Splits(test="validation")


def _hub(
    name: str,
    kind: TaskKind,
    dataset: str,
    config: str | None = None,
    *,
    num_train_rows: int,
    chance: float | None = None,
    languages: tuple[str, ...] = ("en",),
    labels: tuple[str, ...] = (),
    train_on: str | None = None,
    reader: str | None = None,
    splits: Splits = Splits(),  # noqa: B008, it is frozen
    single_split: tuple[str, ...] = (),
) -> Task:
    """An entry: the main metric of its kind, the revision of its data set, a reader of its name."""
    return Task(
        name=name,
        kind=kind,
        dataset=dataset,
        config=config,
        revision=REVISIONS[dataset],
        reader=reader or name,
        languages=languages,
        metric=METRICS[kind][0],
        chance=chance or (SPAN_CHANCE if kind is TaskKind.SPAN else 0.0),
        num_train_rows=num_train_rows,
        labels=labels,
        train_on=train_on,
        splits=splits,
        single_split=single_split,
    )


INTERMEDIATE_TASKS: tuple[Task, ...] = (
    _hub(
        "mnli",
        TaskKind.CLASSIFICATION,
        "nyu-mll/multi_nli",
        num_train_rows=392_702,
        chance=1 / 3,
        labels=NLI,
        splits=Splits(validation="validation_matched", test="validation_mismatched"),
    ),
    _hub(
        "squad",
        TaskKind.SPAN,
        "rajpurkar/squad",
        num_train_rows=87_599,
        splits=ONE_SPLIT,
        single_split=("en",),
    ),
    _hub(
        "hellaswag",
        TaskKind.CHOICE,
        "Rowan/hellaswag",
        num_train_rows=39_905,
        chance=1 / 4,
        splits=ONE_SPLIT,
        single_split=("en",),
    ),
    _hub(
        "csqa",
        TaskKind.CHOICE,
        "tau/commonsense_qa",
        num_train_rows=9_741,
        chance=1 / 5,
        splits=ONE_SPLIT,
        single_split=("en",),
    ),
    _hub(
        "cosmosqa",
        TaskKind.CHOICE,
        "allenai/cosmos_qa",
        num_train_rows=25_262,
        chance=1 / 4,
        splits=ONE_SPLIT,
        single_split=("en",),
    ),
)

XTREME_TASKS: tuple[Task, ...] = (
    _hub(
        "pawsx",
        TaskKind.CLASSIFICATION,
        "google/xtreme",
        "PAWS-X.{code}",
        num_train_rows=49_175,
        chance=1 / 2,
        languages=PAWSX,
        labels=("different", "paraphrase"),
    ),
    _hub(
        "udpos",
        TaskKind.TAGGING,
        "google/xtreme",
        "udpos.{name}",
        num_train_rows=21_253,
        languages=UDPOS,
        labels=UNIVERSAL_POS,
        single_split=("kk", "th", "tl", "yo"),
    ),
    _hub(
        "panx",
        TaskKind.TAGGING,
        "google/xtreme",
        "PAN-X.{code}",
        num_train_rows=20_000,
        languages=PANX,
        labels=ENTITIES,
    ),
    _hub(
        "xquad",
        TaskKind.SPAN,
        "google/xtreme",
        "XQuAD.{code}",
        num_train_rows=87_599,
        languages=XQUAD,
        train_on="squad",
        reader="squad",
        splits=Splits(train=None, test="validation"),
        single_split=XQUAD,
    ),
    _hub(
        "tydiqa",
        TaskKind.SPAN,
        "google/xtreme",
        "tydiqa",
        num_train_rows=3_696,
        languages=TYDIQA,
        splits=ONE_SPLIT,
        single_split=TYDIQA,
    ),
    _hub(
        "tatoeba",
        TaskKind.RETRIEVAL,
        "google/xtreme",
        "tatoeba.{iso3}",
        num_train_rows=0,
        chance=1 / 500,  # of a half's rows
        languages=TATOEBA,
        splits=Splits(train=None, test="validation"),
        single_split=TATOEBA,
    ),
)

# Plain text for masked language modelling; its `dev` rows are the ones trained on.
TEXT_TASKS: tuple[Task, ...] = (
    _hub(
        "flores",
        TaskKind.MLM,
        "facebook/flores",
        "{flores}",
        num_train_rows=997,
        languages=tuple(LANGUAGES),
        splits=Splits(train="dev", validation="devtest", test=None),
    ),
)
