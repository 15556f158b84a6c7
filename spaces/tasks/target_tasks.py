"""The target tasks: XTREME's nine tasks in exactly its languages, and XCOPA, with rows from the
hub."""

from collections.abc import Mapping
from types import MappingProxyType

from spaces.tasks import hub_tasks
from spaces.tasks.hub_tasks import NLI, ONE_SPLIT, XNLI, hub_task
from spaces.tasks.origin import Layout, Splits
from spaces.tasks.task import AnswerRules, Task, TaskKind


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
MLQA = ("ar", "de", "en", "es", "hi", "vi", "zh")
BUCC = ("de", "fr", "ru", "zh")
XCOPA = ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")

UNIVERSAL_POS = _names(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
)
ENTITIES = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

# Training rows in languages that have another number of them than English, as the hub's dataset
# cards count them.
PANX_TRAIN: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("jv", "my", "yo"), 100),
        **dict.fromkeys(("kk", "sw", "te"), 1_000),
        **dict.fromkeys(("af", "hi", "mr"), 5_000),
        **dict.fromkeys(("bn", "eu", "ka", "ml", "tl"), 10_000),
        **dict.fromkeys(("et", "ta"), 15_000),
    }
)
UDPOS_TRAIN: Mapping[str, int] = MappingProxyType(
    {"af": 1_315, "ar": 6_075, "bg": 8_907, "de": 166_849, "el": 28_152, "es": 28_492}
    | {"et": 25_749, "eu": 5_396, "fa": 4_798, "fi": 27_198, "fr": 47_308, "he": 5_241}
    | {"hi": 13_304, "hu": 910, "id": 4_477, "it": 29_685, "ja": 7_125, "kk": 31, "ko": 27_410}
    | {"mr": 373, "nl": 18_051, "pt": 17_992, "ru": 67_435, "ta": 400, "te": 1_051}
    | {"tr": 3_664, "ur": 4_043, "vi": 1_400, "zh": 18_998}
)
TYDIQA_TRAIN: Mapping[str, int] = MappingProxyType(
    {"ar": 14_805, "bn": 2_390, "fi": 6_855, "id": 5_702, "ko": 1_625, "ru": 6_490}
    | {"sw": 2_755, "te": 5_563}
)

# Two text files per language, with sentences of Wikipedia and news. The gold pairs of BUCC's test
# split were never published, so XTREME tests on the training split.
BUCC_SPLITS = Splits(train=None, validation="sample", test="training")

XTREME_TASKS: tuple[Task, ...] = (
    hub_task(
        "xnli",
        TaskKind.CLASSIFICATION,
        "facebook/xnli",
        "{code}",
        num_train_rows=392_702,
        num_dev_rows=2_490,
        languages=XNLI,
        labels=NLI,
        train_on=hub_tasks.MNLI,
        splits=Splits(train=None),
    ),
    hub_task(
        "pawsx",
        TaskKind.CLASSIFICATION,
        "google/xtreme",
        "PAWS-X.{code}",
        num_train_rows=49_175,
        num_dev_rows=1_993,
        languages=PAWSX,
        labels=("different", "paraphrase"),
        is_symmetric=True,
    ),
    hub_task(
        "udpos",
        TaskKind.TAGGING,
        "google/xtreme",
        "udpos.{name}",
        num_train_rows=21_253,
        num_dev_rows=2_294,
        languages=UDPOS,
        labels=UNIVERSAL_POS,
        single_split=("kk", "th", "tl", "yo"),
        train_rows=UDPOS_TRAIN,
    ),
    hub_task(
        "panx",
        TaskKind.TAGGING,
        "google/xtreme",
        "PAN-X.{code}",
        num_train_rows=20_000,
        num_dev_rows=6_558,
        languages=PANX,
        labels=ENTITIES,
        train_rows=PANX_TRAIN,
    ),
    hub_task(
        "xquad",
        TaskKind.SPAN,
        "google/xtreme",
        "XQuAD.{code}",
        num_train_rows=87_599,
        num_dev_rows=1_190,
        languages=XQUAD,
        train_on=hub_tasks.SQUAD,
        splits=Splits(train=None, test="validation"),
        single_split=XQUAD,
    ),
    hub_task(
        "mlqa",
        TaskKind.SPAN,
        "google/xtreme",
        "MLQA.{code}.{code}",
        num_train_rows=87_599,
        num_dev_rows=600,
        languages=MLQA,
        train_on=hub_tasks.SQUAD,
        splits=Splits(train=None),
        answer_rules=AnswerRules.MLQA,
    ),
    hub_task(
        "tydiqa",
        TaskKind.SPAN,
        "google/xtreme",
        "tydiqa",
        num_train_rows=3_696,
        num_dev_rows=564,
        languages=TYDIQA,
        splits=ONE_SPLIT,
        single_split=TYDIQA,
        train_rows=TYDIQA_TRAIN,
    ),
    hub_task(
        "bucc",
        TaskKind.RETRIEVAL,
        "bucc2018",
        "{code}-en",
        num_train_rows=0,
        metric="f1",
        languages=BUCC,
        splits=BUCC_SPLITS,
        layout=Layout.BUCC,
    ),
    hub_task(
        "tatoeba",
        TaskKind.RETRIEVAL,
        "google/xtreme",
        "tatoeba.{iso3}",
        num_train_rows=0,
        num_dev_rows=880,
        chance=1 / 500,  # one of the rows of a half
        languages=TATOEBA,
        splits=Splits(train=None, test="validation"),
        single_split=TATOEBA,
    ),
)

# Targets that are not in XTREME. `xcopa` trains on Cosmos QA, which asks for causes and effects
# like COPA: XCOPA has no English rows, and the 400 rows of COPA are too few to train a model on.
OTHER_TARGETS: tuple[Task, ...] = (
    hub_task(
        "buccpairs",
        TaskKind.RETRIEVAL,
        "google/xtreme",
        "bucc18.{code}",
        num_train_rows=0,
        num_dev_rows=1_150,
        chance=1 / 600,  # one of the gold pairs, in the mean over languages
        languages=BUCC,
        splits=Splits(train=None),
    ),
    hub_task(
        "xcopa",
        TaskKind.CHOICE,
        "cambridgeltl/xcopa",
        "{code}",
        num_train_rows=25_262,
        num_dev_rows=100,
        chance=1 / 2,
        languages=XCOPA,
        train_on=hub_tasks.COSMOSQA,
        splits=Splits(train=None),
    ),
)
