"""Which folder a study's encoder stands for; the pocket base is made at its first use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.callbacks import OnDone, ignore
from search.home import Home
from spaces.refusal import Refusal
from spaces.study_file.sections import POCKET
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import SHIPPED
from trainables import encoder_files
from trainables.rows.bundle import bundled_encoder
from trainables.whole import check_new

if TYPE_CHECKING:  # they bring torch, which a study with its own encoder need not wait for here
    from trainables.encoders.model import BaseEncoder
    from trainables.pretraining.corpus import Corpus
    from trainables.pretraining.recipe import BaseRecipe


def find_encoder(settings: StudySettings, home: Home, *, on_step: OnDone = ignore) -> str:
    """The folder or hub name to load: the folder that is given for the encoder, else that of the
    bundle at the data root, else what the study's `encoder` says. The pocket base, or the encoder
    that the study describes, is made first if it is not there yet, on all cores.

    Args:
        on_step: called with how many of how many steps of pretraining are done.

    Raises:
        Refusal: the given folder is no encoder, or the bundle's files are damaged.
    """
    given = given_encoder(settings)
    if given is not None:
        return str(given)
    recipe = _recipe_of(settings)
    if recipe is None:
        return settings.study.encoder
    from trainables.pretraining.pretrain import pretrain
    from trainables.training.workers import num_cores

    num_steps = recipe.phase.recipe.num_steps
    with home.made():
        folder = pretrain(
            recipe,
            home.path,
            num_processes=num_cores(),
            on_step=lambda step: on_step(step, num_steps),
        )
    return str(folder)


def encoder_at_hand(settings: StudySettings, home: Home) -> Path | None:
    """The folder of the encoder if it is on this machine; None if it has to be made or downloaded
    first. Raises Refusal as `find_encoder` does."""
    given = given_encoder(settings)
    if given is not None:
        return given
    recipe = _recipe_of(settings)
    if recipe is not None:
        from trainables.pretraining.pretrain import base_folder

        folder = base_folder(recipe, home.path)
        return folder if folder.is_dir() else None
    if Path(settings.study.encoder).is_dir():
        return Path(settings.study.encoder)
    from trainables.rows.hub import cached_encoder

    return cached_encoder(settings.study.encoder, settings.study.revision)


def given_encoder(settings: StudySettings) -> Path | None:
    """The folder that stands in for the study's encoder: `encoder_folder`, else that of the bundle
    at the data root. None where there is neither. Raises Refusal as `find_encoder` does."""
    study = settings.study
    if study.encoder_folder is not None:
        encoder_files.check_folder(study.encoder_folder)
        return Path(study.encoder_folder)
    return bundled_encoder(settings)


def check_same(base: "BaseEncoder", expected: Mapping[str, str], *, folder: str, of: str) -> None:
    """Refuse another encoder than the recorded one.

    Args:
        expected: digests by name, as `BaseEncoder.digests` has them; one that is missing is not
            compared.
        folder: where the encoder was read.
        of: what has recorded the digests: "study 'tiny'".
    """
    for part, digest in expected.items():
        found = base.digests[part]
        if found != digest:
            raise Refusal(
                f"encoder {folder!r} is not that of {of}: the digest of its {part} is "
                f"{found[:12]}, expected {digest[:12]}; name the folder of that encoder with "
                "--encoder DIR"
            )


def _recipe_of(settings: StudySettings) -> "BaseRecipe | None":
    """The recipe of an encoder that is made at its first use; None for every other encoder."""
    encoder, pretraining = settings.study.encoder, settings.pretraining
    if encoder != POCKET and pretraining is None:
        return None
    from trainables.pretraining.recipe import pocket_base, study_base
    from trainables.rows.rows import Rows

    if pretraining is None:
        return pocket_base()
    text = settings.catalogue.text_task(pretraining.text)
    return study_base(pretraining, text, Rows.of(settings))


def pretrain_folder(folder: Path, recipe: "BaseRecipe", *, on_step: OnDone = ignore) -> None:
    """Pretrain into a new folder. Raises Refusal if the folder is not empty.

    Args:
        on_step: called with how many of how many steps are done.
    """
    from trainables.pretraining.pretrain import pretrain_into
    from trainables.training.workers import num_cores

    check_new(folder)
    if folder.exists():
        folder.rmdir()
    recipe.text.rows()  # it refuses a bad file before anything is written
    num_steps = recipe.phase.recipe.num_steps
    pretrain_into(
        folder,
        recipe,
        num_processes=num_cores(),
        on_step=lambda step: on_step(step, num_steps),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChoice:
    """Which text to pretrain on: files, a text task, or a data set of the hub."""

    texts: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    task: str | None = None
    languages: tuple[str, ...] = ()
    pair_share: float = 0.0
    dataset: str | None = None
    configs: tuple[str, ...] = ()
    split: str = "train"
    column: str = "text"
    revision: str | None = None


def choose_text(wanted: TextChoice, *, data_root: str | None, seed: int) -> "Corpus":
    """The chosen text, or that of the embedded benchmark if none is named. Raises Refusal if more
    than one is named."""
    from trainables.pretraining.corpus import DatasetText, TaskText, TextFiles
    from trainables.pretraining.recipe import pocket_base
    from trainables.rows.rows import Rows

    has_files = bool(wanted.texts or wanted.pairs)
    if sum([has_files, wanted.task is not None, wanted.dataset is not None]) > 1:
        raise Refusal("name one text: files (--text, --pairs), a --task or a --dataset")
    if has_files:
        return TextFiles(texts=wanted.texts, pairs=wanted.pairs)
    if wanted.task is not None:
        task = SHIPPED.text_task(wanted.task)
        return TaskText.of(
            task,
            wanted.languages or task.languages,
            pair_share=wanted.pair_share,
            seed=seed,
            source=Rows(data_root),
        )
    if wanted.dataset is not None:
        return DatasetText(
            dataset=wanted.dataset,
            configs=wanted.configs or (None,),
            split=wanted.split,
            column=wanted.column,
            seed=seed,
            revision=wanted.revision,
            data_root=data_root,
        )
    return pocket_base(seed=seed).text
