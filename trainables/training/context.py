"""TrialContext: what a warm worker keeps between trials: the encoder, the data, the store, the
settings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from spaces.refusal import Refusal
from spaces.study_file.sections import EvaluationSection
from spaces.study_file.study import StudySettings
from spaces.tasks.task import TaskKind
from trainables.encoders.adapters import check_adaptable
from trainables.encoders.model import BaseEncoder
from trainables.features.features import Data
from trainables.formats.retrieval import RetrievalFormat
from trainables.rows.rows import Rows
from trainables.store.phase_store import PhaseStore
from trainables.store.stores import open_store
from trainables.training.key_facts import KeyFacts
from trainables.training.workers import Workers

DATA = "data"  # the folder of encoded rows under the home folder


@dataclass(frozen=True, slots=True)
class TrialContext:
    """What a process opens once and every trial uses. A trial needs only this and its plan. `home`
    is the folder of all stores; `is_stopping` tells whether the driver is stopping."""

    settings: StudySettings
    base: BaseEncoder
    data: Data
    key_facts: KeyFacts
    store: PhaseStore
    workers: Workers
    home: Path
    is_stopping: Callable[[], bool] = lambda: False

    @classmethod
    def open(
        cls,
        settings: StudySettings,
        *,
        home: Path,
        encoder: str,
        workers: Workers,
        phase_store: str | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> "TrialContext":
        """Load the encoder and open the stores under `home`. Raises Refusal where the encoder
        cannot be loaded or does not fit the study.

        Args:
            encoder: the folder (or hub name) that the study's encoder stands for.
            phase_store: the address of the object store as the driver resolved it (see `stores`);
                neither the settings nor the environment are asked again. None: `home` alone.
        """
        base = BaseEncoder.load(
            encoder, revision=settings.study.revision, text_prefix=settings.study.text_prefix or ""
        )
        check_encoder(settings, base)
        base.encoder.to(workers.device)
        rows, precision = Rows.of(settings), settings.resources.computes_in
        return cls(
            settings=settings,
            base=base,
            data=Data(home / DATA, base, rows),
            key_facts=KeyFacts.of(base, rows, precision=precision),
            store=open_store(home, owner=settings.study.name, address=phase_store),
            workers=workers.computing_in(precision),
            home=home,
            is_stopping=is_stopping,
        )

    def scoring_by(self, evaluation: EvaluationSection) -> "TrialContext":
        """The same models, scored in another way. The key facts stay, because phase keys depend on
        the rows that phases were trained on."""
        settings = self.settings.model_copy(update={"evaluation": evaluation})
        data = replace(self.data, rows=Rows.of(settings))
        return replace(self, settings=settings, data=data)


def check_encoder(settings: StudySettings, base: BaseEncoder) -> None:
    """Raises Refusal, before anything starts, for a study that cannot train or score on this
    encoder."""
    if any(target.kind is TaskKind.RETRIEVAL for target in settings.targets):
        _check_layer(settings.evaluation.retrieval_layer, base)
    if settings.resources.gradient_checkpointing and not getattr(
        base.encoder, "supports_gradient_checkpointing", False
    ):
        raise Refusal(
            "resources.gradient_checkpointing is true, but this encoder cannot compute its "
            "activations twice; leave it out, and lower max_device_tokens where memory is short"
        )
    training = settings.training
    for recipe in (training.intermediate, training.target, *training.targets.values()):
        base.check_frozen(recipe.num_frozen_layers)
        check_adaptable(base.config, recipe.lora_rank, key="lora_rank")
    for rank in settings.space.lora.ranks if settings.space.lora else ():
        check_adaptable(base.config, rank, key="a rank of space.lora")
    for key, length in settings.lengths().items():
        try:
            base.check_length(length)
        except Refusal as error:
            raise Refusal(f"{key}: {error}") from error
    if base.tokenizer.mask_token_id is None:
        _check_masks_nothing(settings)


def _check_masks_nothing(settings: StudySettings) -> None:
    """Raises Refusal where the study masks tokens, be it of an intermediate task or of a text
    beside all of them."""
    trained = [source.task for source, _ in settings.search_space().reads()]
    for task in trained:
        if task.kind is TaskKind.MLM:
            raise Refusal(
                f"{task.name!r} masks tokens, but the encoder's tokenizer has no mask_token; leave "
                f"{task.name!r} out, or give the tokenizer a mask_token that the encoder has an "
                "embedding for"
            )


def _check_layer(layer: int | None, base: BaseEncoder) -> None:
    try:
        RetrievalFormat(layer=layer).layer_of(base.num_layers)
    except ValueError as error:
        raise Refusal(
            f"evaluation.retrieval_layer: {error}; set one from 1 to {base.num_layers}"
        ) from error
