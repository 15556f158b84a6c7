"""BaseRecipe: everything that decides a pretrained base encoder, of the embedded benchmark or of a
study."""

import hashlib
import json
from dataclasses import dataclass, fields

from spaces.mixture import Mixture
from spaces.phases import Phase, Recipe
from spaces.refusal import Refusal
from spaces.study_file.sections import PretrainingSection
from spaces.tasks.pocket_tasks import TEXT
from spaces.tasks.source import Source
from spaces.tasks.task import Task
from trainables.features.features import ENCODING_VERSION
from trainables.pocket.cldr import LANGUAGES
from trainables.pretraining.corpus import Corpus, PocketText, TaskText
from trainables.rows.rows import Rows
from trainables.training.key_facts import TRAINING_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRecipe:
    """Everything that decides a base encoder.

    The rows of `text` are read repeatedly, with new masks, for the steps of `phase`.
    `max_vocabulary` is a limit: a text may give fewer tokens. With `has_parallel_embeddings` the
    input embeddings are made from translations in the text (parallel_embeddings.py), otherwise
    drawn at random. There is no dropout, so the number of workers changes only the order of
    summation. Raises Refusal for a recipe that cannot be trained.
    """

    text: Corpus
    max_vocabulary: int
    hidden_size: int
    num_layers: int
    num_heads: int
    feed_forward_size: int
    phase: Phase
    has_parallel_embeddings: bool = False

    def __post_init__(self) -> None:
        if self.has_parallel_embeddings and not isinstance(self.text, TaskText):
            raise Refusal(
                "embeddings = 'parallel' needs a text task, because its rows have ids; name "
                "one, or take embeddings = 'random'"
            )
        if self.hidden_size % self.num_heads:
            raise Refusal(
                f"hidden size {self.hidden_size} cannot be divided among {self.num_heads} heads; "
                "expected a multiple"
            )

    def key(self) -> str:
        """The content key: 16 hexadecimal digits of a hash of the recipe, its text and the
        versions."""
        sizes = {f.name: getattr(self, f.name) for f in fields(self)}
        content = {
            "recipe": {**sizes, "phase": self.phase.to_dict(), "text": self.text.digest()},
            "versions": [TRAINING_VERSION, ENCODING_VERSION],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def pocket_base(*, seed: int = 0) -> BaseRecipe:
    """The base encoder of the shipped pocket studies: 12 languages, 3.5 million tokens, 210
    CPU-seconds."""
    return BaseRecipe(
        text=PocketText(languages=LANGUAGES, num_rows=100_000, seed=seed),
        max_vocabulary=6000,
        hidden_size=128,
        num_layers=3,
        num_heads=4,
        feed_forward_size=256,
        phase=mlm_phase(num_steps=3500, learning_rate=3e-3, max_batch_tokens=1024, seed=seed),
    )


def tiny_base(*, seed: int = 0) -> BaseRecipe:
    """A base encoder for tests: three languages, 10 CPU-seconds. It knows kinds of items, but few
    facts."""
    return BaseRecipe(
        text=PocketText(languages=LANGUAGES[:3], num_rows=20_000, seed=seed),
        max_vocabulary=1500,
        hidden_size=64,
        num_layers=2,
        num_heads=2,
        feed_forward_size=128,
        phase=mlm_phase(num_steps=600, learning_rate=3e-3, max_batch_tokens=768, seed=seed),
    )


def mlm_phase(
    *,
    num_steps: int,
    learning_rate: float,
    max_batch_tokens: int,
    seed: int,
    max_length: int = 128,
) -> Phase:
    """Masked language modelling with the settings that worked best on the pocket text.
    `max_batch_tokens` and `max_length` count tokens."""
    recipe = Recipe(
        num_steps=num_steps,
        batch_size=256,
        max_length=max_length,
        max_batch_tokens=max_batch_tokens,
        warmup_share=0.06,
        mask_share=0.35,
        adam_beta2=0.95,
    )
    return Phase(mixture=_text_alone(), learning_rate=learning_rate, seed=seed, recipe=recipe)


def _text_alone() -> Mixture:
    """The mixture of every pretraining: the head and the format of one task serve every text."""
    return Mixture.of([(Source(TEXT, TEXT.source_language), 1.0)])


def study_base(pretraining: PretrainingSection, task: Task, rows: Rows) -> BaseRecipe:
    """The base encoder that a study file describes, on the text of `task`, in the languages that
    have text. Raises Refusal where none has."""
    text = TaskText.of(
        task,
        pretraining.languages or task.languages,
        pair_share=pretraining.pair_share,
        seed=pretraining.seed,
        source=rows,
    )
    return BaseRecipe(
        text=text,
        max_vocabulary=pretraining.max_vocabulary,
        hidden_size=pretraining.hidden_size,
        num_layers=pretraining.num_layers,
        num_heads=pretraining.num_heads,
        feed_forward_size=pretraining.feed_forward_size,
        phase=Phase(
            mixture=_text_alone(),
            learning_rate=pretraining.learning_rate,
            seed=pretraining.seed,
            recipe=pretraining.recipe,
        ),
        has_parallel_embeddings=pretraining.embeddings == "parallel",
    )
