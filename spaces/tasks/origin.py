"""Origin: where the rows of a task lie: on the hub, in a folder of your own, in the files of a
corpus."""

from dataclasses import dataclass
from enum import StrEnum

from spaces.languages import get_language


class Layout(StrEnum):
    """How the rows are laid out."""

    HUB = "hub"  # a data set of the hub, or a folder laid out like one
    ROWS = "rows"  # your own: FOLDER/LANGUAGE/SPLIT.jsonl, .parquet, .csv, .tsv, .conll, .conllu
    CCGBANK = "ccgbank"  # as in LDC2005T13: FOLDER/data/AUTO/00/wsj_0001.auto
    XTREME = "xtreme"  # as XTREME's download script writes: FOLDER/test-de.tsv
    BUCC = "bucc"  # as in BUCC 2018: FOLDER/de-en/de-en.training.de


Value = str | int | float | bool  # of a column, in a filter


@dataclass(frozen=True, slots=True)
class Splits:
    """The data set's names for our three splits; None for a split that has no rows with labels.
    Several names joined by `+` are read one after the other."""

    train: str | None = "train"
    validation: str | None = "validation"
    test: str | None = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the rows of some `languages` lie.

    `dataset` is a data set of the hub, or a folder: an absolute path, or a path below the data root
    (without a data root, below the current folder). `config` is a pattern for the names of its
    configs, or of its subfolders, that is filled with the fields of a language: `PAN-X.{code}`,
    `udpos.{name}`, `tatoeba.{iso3}`.

    Attributes:
        columns: (our column, theirs), for rows with other names of columns than the kind's. Files
            without a header have the names `1`, `2` and so on.
        label_names: (their value, our label).
        where: (their column, values): only rows with one of these values are read. A text may
            have the fields of `config`.
        header: whether the first line of a CSV or TSV file has the names of the columns.
        configs: (language, config), for languages whose config no pattern gives.
    """

    dataset: str
    languages: tuple[str, ...]
    config: str | None = None
    revision: str | None = None
    reader: str = ""  # "": the reader of the task
    splits: Splits = Splits()
    layout: Layout = Layout.HUB
    columns: tuple[tuple[str, str], ...] = ()
    label_names: tuple[tuple[str, str], ...] = ()
    where: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    header: bool = True
    configs: tuple[tuple[str, str], ...] = ()

    def config_of(self, language: str) -> str | None:
        """The config that has the rows of the language; None where the data set has only one."""
        named = dict(self.configs).get(language)
        if named is not None:
            return named
        return None if self.config is None else self.config.format(**_fields(language))

    def where_of(self, language: str) -> tuple[tuple[str, tuple[Value, ...]], ...]:
        """The filter for the rows of the language: its texts may have the fields of `config`."""
        return tuple(
            (column, tuple(_filled(value, language) for value in values))
            for column, values in self.where
        )

    def names_of(self, split: str) -> tuple[str, ...]:
        """The data set's names for the split; none where it has no rows with labels."""
        name: str | None = getattr(self.splits, split)
        return tuple(name.split("+")) if name else ()


def _fields(language: str) -> dict[str, str]:
    known = get_language(language)
    named = {"code": known.code, "name": known.name, "iso3": known.iso3}
    return {**named, "flores": known.flores}


def _filled(value: Value, language: str) -> Value:
    if isinstance(value, str) and "{" in value:
        for field, text in _fields(language).items():
            value = value.replace(f"{{{field}}}", text)
    return value
