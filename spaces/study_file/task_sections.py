"""The tables `[tasks.NAME]` and `[rows.TASK]` of a study file: tasks and rows of one's own."""

from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spaces.refusal import Refusal, unknown
from spaces.study_file.sections import POCKET, Count, Section
from spaces.tasks.catalogue import SHIPPED, Catalogue
from spaces.tasks.origin import Layout, Origin, Splits, Value
from spaces.tasks.task import METRICS, SPLITS, AnswerRules, Task, TaskKind

CONFIG_FIELDS = ("code", "name", "iso3", "flores")  # of a language, in a pattern of configs
# The columns of rows of each kind (docs/how-to/own-task.md); all may have an id.
COLUMNS: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.CLASSIFICATION: ("sentence1", "sentence2", "label"),
    TaskKind.CHOICE: ("text", "choices", "label"),
    TaskKind.SPAN: ("question", "context", "answers", "answer", "answer_start"),
    TaskKind.TAGGING: ("tokens", "tags"),
    TaskKind.RETRIEVAL: ("sentence", "translation"),
    TaskKind.MLM: ("text", "pair"),
}
TAKEN = ("none", "all", "mixture", "mlm")  # they name options of the space
Languages = Annotated[tuple[str, ...], Field(min_length=1)]


class SplitsSection(Section):
    """The data set's names for our three splits; several joined by `+`. `false` is a split that it
    does not have."""

    train: str | Literal[False] = "train"
    validation: str | Literal[False] = "validation"
    test: str | Literal[False] = "test"


class PlaceSection(Section):
    """Where rows lie: `rows`, a folder, or `dataset`, a data set of the hub.

    `config` is a pattern for the names of configs (of subfolders of `rows`), or a table by
    language. `columns` are our column = theirs, `label_names` their value = our label. `where`
    keeps the rows whose column has the value, or one of the values.
    """

    rows: str | None = None
    dataset: str | None = None
    layout: Literal["rows", "xtreme", "ccgbank", "bucc"] = "rows"
    revision: str | None = None
    config: str | dict[str, str] | None = None
    splits: SplitsSection | None = None
    reader: str | None = None
    columns: dict[str, str | int] = Field(default_factory=dict)
    label_names: dict[str, str] = Field(default_factory=dict)
    where: dict[str, Value | tuple[Value, ...]] = Field(default_factory=dict)
    header: bool = True

    @model_validator(mode="after")
    def _check_place(self) -> "PlaceSection":
        if self.dataset is not None and self.layout != "rows":
            raise Refusal(f"layout is {self.layout!r}, which is for a folder; name it with rows")
        if self.revision is not None and self.dataset is None:
            raise Refusal("revision is for a data set of the hub, and there is no dataset")
        if isinstance(self.config, str):
            fields = [name for _, name, _, _ in _parsed(self.config) if name is not None]
            for name in fields:
                if name not in CONFIG_FIELDS:
                    raise unknown("field of a language in config", name, CONFIG_FIELDS)
        return self

    @property
    def place(self) -> str:
        """The folder or the data set. Raises Refusal where there is none, or both."""
        if (self.rows is None) == (self.dataset is None):
            given = "both" if self.rows else "neither"
            raise Refusal(
                f"expected rows (a folder) or dataset (a name on the hub), and there is {given}"
            )
        place = self.rows or self.dataset or ""
        if place == POCKET:
            raise Refusal(f"{place!r} is the embedded benchmark; name another folder or data set")
        return place

    def origin(self, languages: tuple[str, ...]) -> Origin:
        """The origin of the rows in these languages. Raises Refusal."""
        configs = self.config if isinstance(self.config, dict) else {}
        for language in languages if configs else ():
            if language not in configs:
                raise Refusal(f"config has no entry for {language!r}; add one")
        for language in configs:
            if language not in languages:
                raise unknown("language in config", language, languages)
        pattern = self.config if isinstance(self.config, str) else None
        is_folder = self.rows is not None
        return Origin(
            dataset=self.place,
            languages=languages,
            config=pattern or ("{code}" if is_folder and not configs else None),
            configs=tuple(configs.items()),
            revision=self.revision,
            reader=self.reader or "",
            splits=self._splits(),
            layout=Layout(self.layout) if is_folder else Layout.HUB,
            columns=tuple((ours, str(theirs)) for ours, theirs in self.columns.items()),
            label_names=tuple(self.label_names.items()),
            where=tuple(
                (column, value if isinstance(value, tuple) else (value,))
                for column, value in self.where.items()
            ),
            header=self.header,
        )

    def _splits(self) -> Splits:
        if self.splits is None and self.layout == "xtreme":
            return Splits(validation="dev", test=None)  # its test rows have no labels
        named = self.splits or SplitsSection()
        return Splits(named.train or None, named.validation or None, named.test or None)


class RowsSection(PlaceSection):
    """`[rows.TASK]`: rows in further languages for a task that is there, or other rows in its
    languages."""

    languages: Languages


class TaskSection(PlaceSection):
    """`[tasks.NAME]`: a task. The keys are those of `Task`; a task whose rows are those of other
    tasks (`parts`) names no place."""

    kind: TaskKind
    languages: Languages
    source_language: str | None = None
    labels: tuple[str, ...] = ()
    metric: str | None = None
    chance: Annotated[float, Field(ge=0, lt=1)] | None = None
    num_train_rows: Annotated[int, Field(ge=0)] = 0
    train_rows: dict[str, Count] = Field(default_factory=dict)
    num_dev_rows: Count | None = None
    train_on: str | None = None
    parts: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    single_split: tuple[str, ...] = ()
    is_symmetric: bool = False
    answer_rules: AnswerRules = AnswerRules.SQUAD_V1

    @model_validator(mode="after")
    def _check_columns(self) -> "TaskSection":
        known = (*COLUMNS[self.kind], "id")
        for ours in self.columns if not self.reader else ():
            if ours not in known:
                raise unknown(f"column of the kind {self.kind} in columns", ours, known)
        for ours in self.label_names.values() if self.labels else ():
            if ours not in self.labels:
                raise unknown("label in label_names", ours, self.labels)
        return self

    def task(self, name: str, *, train_on: Task | None, parts: tuple[Task, ...]) -> Task:
        """The task of this name, with the tasks that it refers to. Raises Refusal."""
        english = "en" if "en" in self.languages else self.languages[0]
        if parts:
            if self.rows or self.dataset:
                raise Refusal("its rows are those of its parts; leave rows and dataset out")
            dataset, elsewhere = "+".join(self.parts), list[Origin]()
        else:
            dataset, elsewhere = self.place, [self.origin(self.languages)]
        return Task(
            name=name,
            kind=self.kind,
            dataset=dataset,
            languages=self.languages,
            metric=self.metric or METRICS[self.kind][0],
            chance=self._chance(),
            num_train_rows=self.num_train_rows,
            labels=self.labels,
            source_language=self.source_language or english,
            train_on=train_on,
            splits=self._splits(),
            single_split=self.single_split,
            holds=self.holds,
            is_symmetric=self.is_symmetric,
            layout=elsewhere[0].layout if elsewhere else Layout.HUB,
            elsewhere=tuple(elsewhere),
            parts=parts,
            includes=self.includes,
            answer_rules=self.answer_rules,
            train_rows=self.train_rows,
            num_dev_rows=self.num_dev_rows,
        )

    def _chance(self) -> float:
        if self.kind is TaskKind.CHOICE and not self.chance:
            given = "missing" if self.chance is None else "0"
            raise Refusal(f"chance is {given}; for the kind choice it is 1 / the number of choices")
        if self.chance is not None:
            return self.chance
        return 1 / len(self.labels) if self.kind is TaskKind.CLASSIFICATION and self.labels else 0.0


def catalogue_of(
    tasks: Mapping[str, TaskSection], rows: Mapping[str, tuple[RowsSection, ...]]
) -> Catalogue:
    """The shipped tasks with those of a study file, and with its further rows. Raises Refusal,
    which starts with the table's name."""
    if not tasks and not rows:
        return SHIPPED
    made = {task.name: task for task in SHIPPED}
    for name in tasks:
        if name in made:
            raise Refusal(
                f"tasks.{name}: a shipped task has this name; give yours another one, or add "
                f"rows to the shipped one with [rows.{name}]"
            )
        if name in TAKEN:
            raise Refusal(f"tasks.{name}: this name has a meaning in [space]; give it another one")
    for name in tasks:
        _make(name, tasks, made, ())
    catalogue = Catalogue(tuple(made.values()))
    for name, sections in rows.items():
        if name not in catalogue:
            raise unknown("task in [rows.TASK]", name, made)
        for section in sections:
            try:
                catalogue = catalogue.with_rows(name, section.origin(section.languages))
            except Refusal as error:
                raise Refusal(f"rows.{name}: {error}") from None
    return catalogue


def _make(
    name: str,
    tasks: Mapping[str, TaskSection],
    made: dict[str, Task],
    waiting: tuple[str, ...],
) -> Task:
    """Make a task, and first the tasks of the file that it refers to. `waiting` are those that need
    it."""
    if name in made:
        return made[name]
    if name not in tasks:
        raise unknown(f"task that tasks.{waiting[-1]} refers to", name, (*made, *tasks))
    if name in waiting:
        raise Refusal(f"tasks.{name} refers to itself, by {' and '.join(waiting)}")
    section = tasks[name]
    others = [
        _make(other, tasks, made, (*waiting, name))
        for other in (*section.parts, *([section.train_on] if section.train_on else []))
    ]
    try:
        trained = others.pop() if section.train_on else None
        made[name] = section.task(name, train_on=trained, parts=tuple(others))
        _check_languages(section)
    except Refusal as error:
        raise Refusal(f"tasks.{name}: {error}") from None
    return made[name]


def _check_languages(section: TaskSection) -> None:
    for language in section.train_rows:
        if language not in section.languages:
            raise unknown("language in train_rows", language, section.languages)
    for split in SPLITS if section.splits else ():
        names = str(getattr(section.splits, split)).split("+")
        if len(names) > 1 and not all(names):
            raise Refusal(f"splits.{split} has an empty name between +")


def _parsed(pattern: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(pattern))
    except ValueError as error:
        raise Refusal(f"config is {pattern!r}, which is not a pattern: {error}") from None
