"""What a study is told of sentences in Ancient Greek and the like among its rows of udpos."""

from collections.abc import Iterator

from spaces.study_file.study import StudySettings
from spaces.tasks.task import Task
from trainables.rows.older_stages import OlderStage, stage_of


def older_stage_warnings(settings: StudySettings) -> Iterator[str]:
    """One line for all languages of the study's targets and sources whose rows hold such sentences.
    Nothing where the study leaves them out."""
    if not settings.evaluation.older_stages:
        return
    found: dict[Task, list[str]] = {}
    for task, language in _places(settings):
        stage = stage_of(task, language)
        if stage is not None:
            found.setdefault(task, []).append(_named(language, stage))
    for task, named in found.items():
        yield (
            f"the hub's rows of {task} hold sentences of older stages of a language, which are not "
            f"in XTREME: {', '.join(dict.fromkeys(named))}; evaluation.older_stages = false leaves "
            "them out"
        )


def _places(settings: StudySettings) -> Iterator[tuple[Task, str]]:
    for target in settings.targets:
        yield from ((target, language) for language in settings.languages_of(target))
    for name in settings.search_space().sources:
        source = settings.catalogue.source(name)
        yield source.task, source.language


def _named(language: str, stage: OlderStage) -> str:
    test = stage.places["test"]
    return f"{stage.name} in {language} ({test.count / test.total:.0%} of the test rows)"
