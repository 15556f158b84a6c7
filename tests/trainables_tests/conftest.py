"""A tiny tokenizer and a tiny encoder, built in memory."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from spaces.phases import Phase, Recipe
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from spaces.tasks.task import Task, TaskKind
from tests.by_name import mixture_of
from trainables.encoders.model import BaseEncoder, TransferModel
from trainables.examples import (
    Answer,
    ChoiceExample,
    Example,
    PairExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from trainables.formats.base import Features
from trainables.formats.kinds import format_of_kind
from trainables.store.phase_store import Attempt
from trainables.training.context import TrialContext
from trainables.training.loop import Callbacks, Progress, Saving, train_phase
from trainables.training.stage import training_rows, untrained_model
from trainables.training.workers import Workers

torch.set_num_threads(1)

SENTENCES = (
    "The old cat sat on the warm mat and looked at the sea.",
    "今日は東京でとても暑い日でした。",
    "北京是中国的首都,人口很多。",
    "กรุงเทพเป็นเมืองหลวงของประเทศไทย",
    "القاهرة هي عاصمة مصر وأكبر مدنها",
    "दिल्ली भारत की राजधानी है और बड़ा शहर है",
)
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def train_bpe(pre_tokenizer: pre_tokenizers.PreTokenizer) -> PreTrainedTokenizerFast:
    """XLM-R's special tokens and pair template around a BPE with a byte for unknown letters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Like XLM-R's: a space belongs to the word after it."""
    return train_bpe(pre_tokenizers.Metaspace())


@pytest.fixture(scope="session")
def byte_level() -> PreTrainedTokenizerFast:
    """Like RoBERTa's: words in running text are known by the space before them."""
    return train_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False))


@pytest.fixture(scope="session")
def wordpiece() -> PreTrainedTokenizerFast:
    """Like BERT's: words are split at white space, the rest of a word is `##` pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )


@pytest.fixture
def tiny_encoder(tokenizer: PreTrainedTokenizerFast) -> XLMRobertaModel:
    """Two layers, 32 wide, always the same weights, in evaluation mode."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
        type_vocab_size=400,
        pad_token_id=tokenizer.pad_token_id,
    )
    return XLMRobertaModel(config, add_pooling_layer=False).eval()


def save_encoder(folder: Path, tokenizer: PreTrainedTokenizerFast, *, dropout: float) -> Path:
    """A folder as `pretrain` writes it: two layers, 32 wide, always the same weights."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"), tokenizer, dropout=0.0)


@pytest.fixture(scope="session")
def base(encoder_folder: Path) -> BaseEncoder:
    """Without dropout."""
    return BaseEncoder.load(str(encoder_folder))


@pytest.fixture(scope="session")
def dropping_base(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> BaseEncoder:
    folder = save_encoder(tmp_path_factory.mktemp("dropping"), tokenizer, dropout=0.1)
    return BaseEncoder.load(str(folder))


WORDS = ("cat", "sat", "mat", "warm", "looked", "sea", "old", "the", "on", "at")


def made_row(task: Task, number: int, rng: random.Random) -> Example:
    """A row with an answer that a tiny encoder can learn: it stands in the words."""
    words = rng.choices(WORDS, k=rng.randint(4, 16))
    row_id, text = f"made-{number}", " ".join(words)
    if task.kind is TaskKind.CLASSIFICATION:
        label = rng.randrange(len(task.labels))
        second = " ".join([WORDS[label]] * 4)
        return PairExample(id=row_id, text_a=text, text_b=second, label=task.labels[label])
    if task.kind is TaskKind.CHOICE:
        right = rng.randrange(4)
        choices = tuple("東京 sea" if i == right else rng.choice(WORDS) for i in range(4))
        return ChoiceExample(id=row_id, text=text, choices=choices, label=right)
    if task.kind is TaskKind.SPAN:
        index = rng.randrange(len(words))
        words[index] = "東京"
        start = len(" ".join(words[:index])) + (index > 0)
        return SpanExample(
            id=row_id,
            question="the old sea",
            context=" ".join(words),
            answers=(Answer(text="東京", start=start),),
        )
    if task.kind is TaskKind.TAGGING:
        tags = tuple(task.labels[WORDS.index(word) % len(task.labels)] for word in words)
        return TaggingExample(id=row_id, words=tuple(words), tags=tags)
    assert task.kind is TaskKind.MLM
    return TextExample(id=row_id, text=f"{text} the old cat sat on the mat", pair=None)


@pytest.fixture(scope="session")
def make_features(
    tokenizer: PreTrainedTokenizerFast,
) -> Callable[..., dict[Source, Features]]:
    """Features of made rows for each of some tasks, in English."""

    def make(*names: str, num_rows: int = 60) -> dict[Source, Features]:
        made = {}
        for name in names:
            task, rng = SHIPPED.get(name), random.Random(name)
            rows = [made_row(task, number, rng) for number in range(num_rows)]
            task_format = format_of_kind(task.kind)
            for row in rows:
                task_format.check(row, task)
            made[Source(SHIPPED.get(name), "en")] = task_format.encode(
                rows, task, tokenizer=tokenizer, max_length=64
            )
        return made

    return make


@pytest.fixture(scope="session")
def task_of_kind() -> Callable[[TaskKind], str]:
    """The first trainable task of a kind in the table."""

    def find(kind: TaskKind) -> str:
        names = [task.name for task in SHIPPED if task.kind is kind and not task.train_on]
        if not names:
            pytest.skip(f"no {kind} task in the table")
        return names[0]

    return find


@pytest.fixture(scope="session")
def make_phase() -> Callable[..., Phase]:
    """A phase over tasks in equal shares; keywords are the recipe's."""

    def make(*names: str, learning_rate: float = 3e-3, seed: int = 0, **recipe: Any) -> Phase:
        settings = {"num_steps": 30, "batch_size": 8, "max_length": 64, **recipe}
        return Phase(
            mixture=mixture_of(dict.fromkeys(names, 1.0)),
            learning_rate=learning_rate,
            seed=seed,
            recipe=Recipe(**settings),
        )

    return make


def save_nothing(*_: object) -> None:
    """For phases that are not resumed."""


@pytest.fixture(scope="session")
def train(base: BaseEncoder) -> Callable[..., tuple[TransferModel, Progress]]:
    """Train a phase alone; returns the trained model and what happened."""

    def run(
        phase: Phase,
        features: Mapping[Source, Features],
        *,
        model: TransferModel | None = None,
        max_device_tokens: int = 16_384,
        dev_score: Callable[[TransferModel], float] = lambda model: 0.0,
        saving: Saving = Saving(save=save_nothing, every_seconds=1e9),  # noqa: B008
    ) -> tuple[TransferModel, Progress]:
        tasks = [source.task for source in phase.mixture.sources]
        model = model or base.model(tasks, encoder=None, seed=phase.seed)
        progress = train_phase(
            model,
            phase,
            features,
            tokenizer=base.tokenizer,
            workers=Workers.alone(),
            max_device_tokens=max_device_tokens,
            callbacks=Callbacks(dev_score=dev_score),
            saving=saving,
        )
        return model, progress

    return run


def study(encoder: str, tables: Mapping[str, Mapping[str, Any]]) -> StudySettings:
    """A small study of pocket tasks, with some keys of its tables set otherwise."""
    content: dict[str, dict[str, Any]] = {
        "study": {"name": "tiny", "encoder": encoder, "seed": 0},
        "space": {
            "intermediate": ["none", "fact", "rel"],
            "intermediate_learning_rate": [1e-3],
            "target_learning_rate": [1e-3],
            "targets": ["coh", "retrieval"],
        },
        "training": {
            "intermediate": {
                "num_steps": 10,
                "batch_size": 4,
                "max_length": 64,
                "max_train_rows": 40,
            },
            "target": {"num_steps": 10, "batch_size": 4, "max_length": 64, "max_train_rows": 40},
        },
        "evaluation": {"max_rows": 12, "languages": ["de", "ja", "sw"]},
        "budget": {"num_trials": 4},
    }
    for table, keys in tables.items():
        content[table] = {**content.get(table, {}), **keys}
    return StudySettings.parse(content)


@pytest.fixture
def open_context(tmp_path: Path, encoder_folder: Path) -> Callable[..., TrialContext]:
    """A context over stores in a folder of the test's own; keywords set tables' keys."""

    def open_(home: Path | None = None, **tables: Mapping[str, Any]) -> TrialContext:
        settings = study(str(encoder_folder), tables)
        return TrialContext.open(
            settings,
            home=home or tmp_path / "home",
            encoder=str(encoder_folder),
            phase_store=settings.resources.phase_store,
            workers=Workers.alone(),
        )

    return open_


@pytest.fixture
def events() -> list[dict[str, Any]]:
    """A list whose `append` is a trial's report."""
    return []


@pytest.fixture
def leave_half_done() -> Callable[[Phase, TrialContext, Attempt], None]:
    """Train a phase as a process does that is killed: its one checkpoint is that of step 10."""

    def leave(phase: Phase, context: TrialContext, attempt: Attempt) -> None:
        train_phase(
            untrained_model(phase, None, context),
            phase,
            training_rows(phase, context, max_rows=phase.recipe.max_train_rows),
            tokenizer=context.base.tokenizer,
            workers=context.workers,
            max_device_tokens=16_384,
            saving=Saving(
                save=lambda step, *rest: attempt.save(step, *rest) if step == 10 else None,
                every_seconds=0,
            ),
        )

    return leave
