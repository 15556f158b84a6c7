"""Writes a submission to XTREME: predictions for the benchmark's test rows, in its file formats.

```
DIR/xnli/test-de.tsv  pawsx  panx  udpos  bucc2018  tatoeba        one file per language
DIR/xquad/test-de.json  mlqa  tydiqa
```
The sources of the format, all from google-research/xtreme on GitHub:
- Folders, `test-{language}.{tsv|json}`, two-letter codes: README.md, "Leaderboard Submission"; the
  languages of each task: evaluate.py, TASK2LANGS, which reads all of them.
- One label per line (names in XNLI, 0 and 1 in PAWS-X); one tag per line, with an empty line
  between sentences; a JSON object of answers by question id; pairs of ids separated by a tab: the
  readers of evaluate.py, and the examples in mock_test_data/predictions. Where rows have no ids,
  evaluate.py expects as many lines as it has labels, in the same order.
- Tatoeba: one line per English sentence, sorted by its text without white space around it
  (utils_preprocess.py, tatoeba_preprocess). The line is the index of the retrieved sentence, from 0
  in the order of the other language (third_party/utils_retrieve.py, similarity_search). The labels
  in mock_test_data/labels/tatoeba agree with the hub's rows in both orders.
- BUCC: XTREME tests on the shared task's `training` (scripts/download_data.sh). Pairs count from
  the threshold that is best on the sample pairs (third_party/utils_retrieve.py).

Differences: XTREME keeps the rows of PAWS-X whose sentence is `NS`. They are dropped here, and get
the first label in the file, so that the lines agree. A word without tokens gets the default tag.

The label files were never published. The first rows in mock_test_data/labels agree with the hub's
rows of xnli, panx and pawsx, and of all 36 languages of tatoeba. The hub's rows of udpos are not
XTREME's, though both are made of UD 2.5, which the download script fetches since February 2022. The
hub splits contracted words (French `au` is `à le`), and XTREME's conversion fuses them
(scripts/download_data.sh: --replace_subtokens_with_fused_forms): `SPLIT_WORDS`. The hub also takes
the treebanks of older stages of a language (Ancient Greek), which XTREME does not:
`OTHER_SENTENCES`. XTREME's scorer stops where a file has more or fewer sentences than its labels.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spaces.tasks.task import Task, TaskKind
from trainables.examples import Example, RetrievalExample
from trainables.formats.base import Format
from trainables.formats.mining import MiningFormat
from trainables.formats.retrieval import RetrievalFormat
from trainables.rows.older_stages import OLDER_STAGES
from trainables.whole import whole_folder

FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "xnli": "xnli",
        "pawsx": "pawsx",
        "udpos": "udpos",
        "panx": "panx",
        "xquad": "xquad",
        "mlqa": "mlqa",
        "tydiqa": "tydiqa",
        "bucc": "bucc2018",
        "tatoeba": "tatoeba",
    }
)
# Languages in which the hub's test rows of udpos are known to be unlike XTREME's.
SPLIT_WORDS = ("de", "el", "es", "fa", "fr", "he", "it", "pt", "ta", "tr")
OTHER_SENTENCES = tuple(OLDER_STAGES)
LABELS: Mapping[str, str] = MappingProxyType({"different": "0", "paraphrase": "1"})  # of PAWS-X


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The predictions for every row of one language, and the format that decoded them. `dropped`
    has, for each row that was left out, the number of examples before it."""

    examples: Sequence[Example]
    predictions: Sequence[Any]
    dropped: Sequence[int]
    format: Format[Any, Any]


def file_name(task: Task, language: str) -> str:
    """The path of the file below the submission's folder: `bucc2018/test-de.tsv`."""
    end = "json" if task.kind is TaskKind.SPAN else "tsv"
    return f"{FOLDERS[task.name]}/test-{language}.{end}"


def content_of(task: Task, predicted: Predicted) -> str:
    """The content of the file of one of XTREME's tasks in one language."""
    predictions = predicted.predictions
    if task.kind is TaskKind.SPAN:
        ids = [example.id for example in predicted.examples]
        answers = dict(zip(ids, predictions, strict=True))
        return json.dumps(answers, indent=1) + "\n"
    if task.kind is TaskKind.TAGGING:
        sentences = [*predictions]
        for index in reversed(predicted.dropped):
            sentences.insert(index, ())
        return "\n".join("".join(f"{tag}\n" for tag in tags) for tags in sentences)
    if task.kind is TaskKind.CLASSIFICATION:
        return _lines(_labels(task, predicted))
    if isinstance(predicted.format, MiningFormat):
        mined = predicted.format.mined(predictions, predicted.examples)
        return _lines(f"{text}\t{pivot}" for text, pivot in sorted(mined))
    return _lines(_retrieved(predicted))


def _labels(task: Task, predicted: Predicted) -> list[str]:
    """One label per row of the benchmark, rows that were left out included."""
    labels = list(predicted.predictions)
    for index in reversed(predicted.dropped):
        labels.insert(index, task.labels[0])
    return [LABELS.get(label, label) for label in labels]


def _retrieved(predicted: Predicted) -> list[str]:
    """The index of the sentence retrieved for each English sentence, in XTREME's order of these."""
    assert isinstance(predicted.format, RetrievalFormat)
    english = [row.pivot for row in predicted.examples if isinstance(row, RetrievalExample)]
    layer = predicted.format.layer_of(len(predicted.predictions[0]) - 1)
    order = sorted(range(len(english)), key=lambda row: english[row])
    return [str(predicted.predictions[row][layer]) for row in order]


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def write_submission(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by name below a new or empty folder, all of them or none. Raises Refusal where it
    cannot be written."""
    with whole_folder(folder) as draft:
        for name, content in files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_text(content, encoding="utf-8", newline="\n")
