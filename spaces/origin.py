"""Where the rows of a task lie: on the hub, in a folder of one's own, in a corpus's own files."""

from dataclasses import dataclass
from enum import StrEnum

from spaces.languages import get_language


class Layout(StrEnum):
    """How the rows lie where they are."""

    HUB = "hub"  # a data set of the hub, or a folder laid out like one
    ROWS = "rows"  # one's own: FOLDER/LANGUAGE/SPLIT.jsonl or .parquet
    CCGBANK = "ccgbank"  # LDC2005T13's own: FOLDER/data/AUTO/00/wsj_0001.auto
    BUCC = "bucc"  # BUCC 2018's own: FOLDER/de-en/de-en.training.de


@dataclass(frozen=True, slots=True)
class Splits:
    """What our three splits are called there; None where there are no rows with labels. Several
    names joined by `+` are read one after the other."""

    train: str | None = "train"
    validation: str | None = "validation"
    test: str | None = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The place of the rows of some `languages`.

    `dataset` is a name of the hub, or a folder: an absolute path, or one below the data root (else
    below the current folder). `config` is the pattern of its configs, or of its subfolders, filled
    with a language's fields: `PAN-X.{code}`, `udpos.{name}`, `tatoeba.{iso3}`.
    """

    dataset: str
    languages: tuple[str, ...]
    config: str | None = None
    revision: str | None = None
    reader: str = ""  # "": the task's
    splits: Splits = Splits()
    layout: Layout = Layout.HUB

    def config_of(self, language: str) -> str | None:
        """The config with the language's rows; None where the data set has only one."""
        if self.config is None:
            return None
        known = get_language(language)
        fields = {"code": known.code, "name": known.name, "iso3": known.iso3}
        return self.config.format(**fields, flores=known.flores)

    def names_of(self, split: str) -> tuple[str, ...]:
        """What the split is called there; empty where it has no rows with labels."""
        name: str | None = getattr(self.splits, split)
        return tuple(name.split("+")) if name else ()
