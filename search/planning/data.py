"""data check, fetch, bundle: what a study reads, whether it is there, and taking it along."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search.planning.older_stages import older_stage_warnings
from spaces.refusal import Refusal
from spaces.sections import POCKET, PRETRAINED
from spaces.study import StudySettings
from spaces.task_catalog import get_task
from trainables.features.prepare import wanted_by
from trainables.rows import bundle
from trainables.rows.hub import NoRowsError, fetch_encoder
from trainables.rows.rows import Rows, RowsDescription
from trainables.whole import check_new, whole_folder

OnDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, order=True)
class StudyRows:
    """Rows of one task in one language and split that a study reads. A study cannot run without
    those that `is_needed`; a language without the others is left out and named."""

    task: str
    split: str
    language: str
    is_needed: bool


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What is there, what is not (and need not be), what is wrong, and what a reader of the scores
    should know of the rows."""

    study: str
    found: tuple[RowsDescription, ...]
    missing: tuple[StudyRows, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def places_of(settings: StudySettings) -> list[StudyRows]:
    """Everything that `run`, `retrain` and the pretraining of the study's encoder read."""
    places: dict[StudyRows, None] = {}
    if settings.pretraining is not None:
        text = get_task(settings.pretraining.text)
        for language in settings.pretraining.languages or text.languages:
            places[StudyRows(text.name, "train", language, False)] = None
    for wanted in wanted_by(settings):
        is_needed = wanted.split == "train"
        places[StudyRows(wanted.task, wanted.split, wanted.language, is_needed)] = None
    for target in settings.space.targets:
        for language in settings.languages_of(target):
            places[StudyRows(target, "test", language, False)] = None
    return sorted(places)


def check_data(settings: StudySettings, *, on_done: OnDone) -> DataCheck:
    """Read all rows of a study and check them, as its run would; nothing is written."""
    rows, places = Rows.of(settings), places_of(settings)
    found, missing, errors = [], [], _wrong_files(settings, places)
    away: set[str] = set()  # data sets that nothing answers for: asked once, each takes its time
    for done, place in enumerate(places, start=1):
        on_done(done, len(places))
        data_set = get_task(place.task).origin_of(place.language).dataset
        if data_set in away:
            continue
        try:
            found.append(rows.describe(place.task, place.language, place.split))
        except NoRowsError as error:
            if place.is_needed:
                errors.append(str(error))
            missing.append(place)
        except Refusal as error:
            errors.append(str(error))
            if isinstance(error.__cause__, ConnectionError):
                away.add(data_set)
    if not errors:
        errors += _without_zero_shot(settings, found)
    return DataCheck(
        settings.study.name,
        tuple(found),
        tuple(missing),
        tuple(dict.fromkeys(errors)),
        tuple(older_stage_warnings(settings)),
    )


def fetch_data(settings: StudySettings, *, on_done: OnDone) -> DataCheck:
    """Fill the hub's cache with the rows and the encoder of a study, so that it runs without a
    network. Raises Refusal if its rows come from a data root."""
    if settings.study.data_root is not None:
        raise Refusal(
            f"study {settings.study.name!r} reads its rows from {settings.study.data_root}: there "
            "is nothing to fetch from the hub. `data check` reads what is there"
        )
    encoder = settings.study.encoder
    if encoder not in (POCKET, PRETRAINED) and not Path(encoder).is_dir():
        fetch_encoder(encoder, settings.study.revision)
    return check_data(settings, on_done=on_done)


def bundle_data(settings: StudySettings, folder: Path, *, on_done: OnDone) -> DataCheck:
    """Write what the study reads into a new folder, which appears whole or not at all, and read
    it back. Raises Refusal, also where the study's data are not fit to be run."""
    check_new(folder)
    check = check_data(settings, on_done=lambda done, of: None)
    if check.errors:
        raise Refusal(check.errors[0])
    parts, own = parts_of(check.found), own_parts_of(check.found)
    if not parts and all(part.reason_not_copied for part in own):
        left = "".join(f"; {line}" for line in bundle.left_out(own))
        raise Refusal(f"study {settings.study.name!r} reads no rows that can be copied{left}")
    with whole_folder(folder) as draft:
        bundle.write_bundle(draft, parts, own, data_root=settings.study.data_root, on_done=on_done)
        _compare(check.found, replace(Rows.of(settings), data_root=str(draft)))
    return check


def parts_of(found: Sequence[RowsDescription]) -> list[bundle.Part]:
    """The splits of hub data sets that the rows came out of, each once."""
    parts = {part for description in found for part in description.parts}
    return sorted(parts)


def own_parts_of(found: Sequence[RowsDescription]) -> list[bundle.OwnPart]:
    """The splits of folders of one's own that the rows came out of, each once."""
    return sorted({part for description in found for part in description.own_parts})


def not_copied(found: DataCheck) -> list[str]:
    """A line for every folder that the study reads and its bundle does not have."""
    return bundle.left_out(own_parts_of(found.found))


def _compare(found: Sequence[RowsDescription], copied: Rows) -> None:
    for one in found:
        if any(part.reason_not_copied for part in one.own_parts) or not (
            one.parts or one.own_parts
        ):
            continue
        if copied.fingerprint(one.task, one.language, one.split) != one.digest:
            raise Refusal(
                f"the copy of {one.dataset!r}, config {one.config!r}, {one.split} rows, reads "
                "otherwise than its source; is the disk full?"
            )


def _wrong_files(settings: StudySettings, places: Sequence[StudyRows]) -> list[str]:
    root = settings.study.data_root
    if root is None:
        return []
    entries = [(get_task(place.task), place.language) for place in places]
    entries = [(get_task(n), code) for e, code in entries for n in (e.parts or (e.name,))]
    datasets = {entry.origin_of(code).dataset for entry, code in entries}
    return bundle.check_sums(Path(root), sorted(datasets))


def _without_zero_shot(settings: StudySettings, found: Sequence[RowsDescription]) -> list[str]:
    """Targets without rows in any zero-shot language cannot be scored."""
    there = {(one.task, one.language) for one in found if one.split == "validation"}
    return [
        f"target {name!r} has no validation rows in a zero-shot language that the study asks for"
        for name in settings.space.targets
        if not any((name, code) in there for code in get_task(name).zero_shot_languages)
    ]
