"""Implements `data check`, `data fetch` and `data bundle`: finds, fetches and copies the rows and
the encoder that a study reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search.base_encoder import given_encoder
from search.planning.older_stages import older_stage_warnings
from spaces.refusal import Refusal
from spaces.study_file.sections import POCKET, PRETRAINED
from spaces.study_file.study import StudySettings
from spaces.tasks.catalogue import Catalogue
from trainables import encoder_files
from trainables.features.prepare import wanted_by
from trainables.rows import bundle
from trainables.rows.hub import NoRowsError, fetch_encoder
from trainables.rows.rows import Rows, RowsDescription
from trainables.whole import check_new, whole_folder

OnDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, order=True)
class StudyRows:
    """Rows of one task in one language and split that a study reads.

    A study cannot run without rows with `is_needed`. If other rows are missing, their language is
    left out and reported.
    """

    task: str
    split: str
    language: str
    is_needed: bool


@dataclass(frozen=True, slots=True)
class FoundEncoder:
    """An encoder that was read and that fits the study: its folder, and the digest of its
    weights."""

    folder: str
    digest: str


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The result of checking a study's rows.

    Attributes:
        study: name of the study.
        found: rows that exist.
        missing: rows that do not exist; each needed one also has an error.
        errors: what stops the study, one sentence each.
        warnings: what a reader of the scores should know of the rows, one sentence each.
        encoder: the folder that stands in for the study's encoder, by `--encoder` or in a bundle.
    """

    study: str
    found: tuple[RowsDescription, ...]
    missing: tuple[StudyRows, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    encoder: FoundEncoder | None = None


def places_of(settings: StudySettings) -> list[StudyRows]:
    """Return the rows that `run`, `retrain` and the pretraining of the study's encoder read."""
    rows: dict[StudyRows, None] = {}
    if settings.pretraining is not None:
        text = settings.catalogue.get(settings.pretraining.text)
        for language in settings.pretraining.languages or text.languages:
            rows[StudyRows(text.name, "train", language, False)] = None
    for wanted in wanted_by(settings):
        is_needed = wanted.split == "train"
        rows[StudyRows(wanted.task.name, wanted.split, wanted.language, is_needed)] = None
    for target in settings.targets:
        for language in settings.languages_of(target):
            rows[StudyRows(target.name, "test", language, False)] = None
    return sorted(rows)


def check_data(settings: StudySettings, *, on_done: OnDone) -> DataCheck:
    """Read and check all rows of a study, as its run would, without writing anything; the encoder
    too, where a folder stands in for it. No row is read where that folder cannot be one of an
    encoder."""
    try:
        folder = given_encoder(settings)
    except Refusal as error:
        return DataCheck(settings.study.name, (), (), (str(error),), ())
    reader, needed = Rows.of(settings), places_of(settings)
    described, missing, errors = [], [], _wrong_files(settings, needed)
    unreachable: set[str] = set()  # data sets whose server did not answer; it is not asked again
    for done, rows in enumerate(needed, start=1):
        on_done(done, len(needed))
        task = settings.catalogue.get(rows.task)
        data_set = task.origin_of(rows.language).dataset
        if data_set in unreachable:
            continue
        try:
            described.append(reader.describe(task, rows.language, rows.split))
        except NoRowsError as error:
            if rows.is_needed:
                errors.append(str(error))
            missing.append(rows)
        except Refusal as error:
            errors.append(str(error))
            if isinstance(error.__cause__, ConnectionError):
                unreachable.add(data_set)
    if not errors:
        errors += _without_zero_shot(settings, described)
    encoder = None
    try:
        encoder = None if folder is None else _read_encoder(settings, folder)
    except Refusal as error:
        errors.append(str(error))
    return DataCheck(
        settings.study.name,
        tuple(described),
        tuple(missing),
        tuple(dict.fromkeys(errors)),
        tuple(older_stage_warnings(settings)),
        encoder,
    )


def fetch_data(settings: StudySettings, *, on_done: OnDone) -> DataCheck:
    """Download the rows and the encoder of a study into the hub's cache, so that the study runs
    without a network.

    Raises Refusal if the rows come from a data root, which needs no download.
    """
    if settings.study.data_root is not None:
        raise Refusal(
            f"study {settings.study.name!r} reads its rows from {settings.study.data_root}, so "
            "there is nothing to fetch from the hub; run `data check` to check these rows"
        )
    _encoder_here(settings)
    return check_data(settings, on_done=on_done)


def bundle_data(
    settings: StudySettings, folder: Path, *, has_encoder: bool = True, on_done: OnDone
) -> DataCheck:
    """Copy the rows and the encoder that the study reads into a new folder and read them back. An
    encoder that is made at its first use is not copied: it is made from the rows.

    The folder appears only when it is complete.

    Args:
        has_encoder: whether the encoder is copied.

    Raises Refusal if the folder exists, if the data check has errors, if nothing can be copied, or
    if the copy differs from its source.
    """
    check_new(folder)
    check = check_data(settings, on_done=lambda done, total: None)
    if check.errors:
        raise Refusal(check.errors[0])
    source = _encoder_here(settings) if has_encoder else None
    hub_parts, own_parts = parts_of(check.found), own_parts_of(check.found)
    if source is None and not hub_parts and all(part.reason_not_copied for part in own_parts):
        reasons = "".join(f"; {line}" for line in bundle.left_out(own_parts))
        raise Refusal(f"study {settings.study.name!r} reads no rows that can be copied{reasons}")
    with whole_folder(folder) as draft:
        bundle.write_bundle(
            draft,
            hub_parts,
            own_parts,
            data_root=settings.study.data_root,
            rows_folder=settings.study.rows_folder,
            encoder=_copy_encoder(settings, source, draft) if source else None,
            on_done=on_done,
        )
        _compare(check.found, replace(Rows.of(settings), data_root=str(draft)), settings.catalogue)
    return check


def _encoder_here(settings: StudySettings) -> Path | None:
    """The folder of the study's encoder, which is downloaded first if it is on the hub; None for
    one that is made at its first use. Raises Refusal where it cannot be fetched."""
    encoder, given = settings.study.encoder, given_encoder(settings)
    if given is not None or encoder in (POCKET, PRETRAINED):
        return given
    if Path(encoder).is_dir():
        return Path(encoder)
    return fetch_encoder(encoder, settings.study.revision)


def _copy_encoder(settings: StudySettings, source: Path, draft: Path) -> dict[str, dict[str, str]]:
    """Copy the encoder into a bundle and return its entry there. Raises Refusal where it cannot be
    used in the study, or where the copy differs."""
    found = _read_encoder(settings, source)
    place = bundle.place_of_encoder(settings)
    encoder_files.copy_encoder(source, draft / place)
    if _read_encoder(settings, draft / place).digest != found.digest:
        raise Refusal(f"the copy of encoder {str(source)!r} differs from it; is the disk full?")
    commit = source.name if source.parent.name == "snapshots" else ""
    revision = settings.study.revision or ""
    return {place: {"revision": revision, "commit": commit, "digest": found.digest}}


def _read_encoder(settings: StudySettings, folder: Path) -> FoundEncoder:
    """The encoder in the folder. Raises Refusal where the study cannot use it."""
    from trainables.encoders.model import BaseEncoder  # it imports torch
    from trainables.training.context import check_encoder

    base = BaseEncoder.load(str(folder))
    check_encoder(settings, base)
    return FoundEncoder(str(folder), base.weights_digest)


def parts_of(found: Sequence[RowsDescription]) -> list[bundle.Part]:
    """Return the splits of hub data sets that the rows were read from, each once."""
    parts = {part for description in found for part in description.parts}
    return sorted(parts)


def own_parts_of(found: Sequence[RowsDescription]) -> list[bundle.OwnPart]:
    """Return the splits of the user's own folders that the rows were read from, each once."""
    return sorted({part for description in found for part in description.own_parts})


def not_copied(found: DataCheck) -> list[str]:
    """Return a line for every folder that the study reads and that its bundle does not contain."""
    return bundle.left_out(own_parts_of(found.found))


def _compare(found: Sequence[RowsDescription], copied: Rows, catalogue: Catalogue) -> None:
    """Refuse a copy whose rows differ from the source's."""
    for source in found:
        if any(part.reason_not_copied for part in source.own_parts) or not (
            source.parts or source.own_parts
        ):
            continue
        task = catalogue.get(source.task)
        if copied.fingerprint(task, source.language, source.split) != source.digest:
            raise Refusal(
                f"the {source.split} rows in the copy of {source.dataset!r}, config "
                f"{source.config!r}, differ from their source; is the disk full?"
            )


def _wrong_files(settings: StudySettings, places: Sequence[StudyRows]) -> list[str]:
    """Return a line for every file of the data root whose checksum is wrong."""
    root = settings.study.data_root
    if root is None:
        return []
    tasks = [(settings.catalogue.get(rows.task), rows.language) for rows in places]
    entries = [(entry, code) for task, code in tasks for entry in (task.parts or (task,))]
    datasets = {entry.origin_of(code).dataset for entry, code in entries}
    return bundle.check_sums(Path(root), sorted(datasets))


def _without_zero_shot(settings: StudySettings, found: Sequence[RowsDescription]) -> list[str]:
    """Return an error for each target without rows in any zero-shot language: it has no score."""
    with_rows = {(rows.task, rows.language) for rows in found if rows.split == "validation"}
    return [
        f"target {target.name!r} has no validation rows in any zero-shot language of the study"
        for target in settings.targets
        if not any((target.name, code) in with_rows for code in target.zero_shot_languages)
    ]
