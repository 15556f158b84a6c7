"""A submission to XTREME: predictions on the benchmark's own test rows, in its own files. Pure but
for writing them.

```
DIR/xnli/test-de.tsv  pawsx  panx  udpos  bucc2018  tatoeba        one file a language
DIR/xquad/test-de.json  mlqa  tydiqa
```
What is known of the format, all of it from google-research/xtreme on GitHub:
- Folders, `test-{language}.{tsv|json}`, two-letter codes: README.md, "Leaderboard Submission"; the
  languages of each task: evaluate.py, TASK2LANGS, which reads all of them.
- One label a line (names in XNLI, 0 and 1 in PAWS-X); one tag a line and an empty line between
  sentences; a JSON object of answers by question id; pairs of ids with a tab between them: the
  readers of evaluate.py, and the examples in mock_test_data/predictions. Where rows have no ids,
  evaluate.py wants as many as there are labels, in its order.
- Tatoeba: a line for each English sentence, sorted by its text without white space around it
  (utils_preprocess.py, tatoeba_preprocess); it says which sentence of the other language was
  retrieved, counted from 0 in that language's own order (third_party/utils_retrieve.py,
  similarity_search). Labels of mock_test_data/labels/tatoeba agree with the hub's rows in both.
- BUCC: XTREME's test is the shared task's `training` (scripts/download_data.sh); pairs from the
  threshold on that is best on the sample pairs (third_party/utils_retrieve.py).

What differs: XTREME keeps the rows of PAWS-X whose sentence is `NS`, which are dropped here; they
get the first label, so that lines agree. A word without tokens gets the tagger's default. What is
not known, since the label files were never published: whether the hub's rows of udpos (the README
says UD 2.5, the script fetches 2.7), panx and xnli are theirs, in their order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spaces.task_catalog import Task, TaskKind
from trainables.examples import Example, RetrievalExample
from trainables.formats.base import Format
from trainables.formats.mining import MiningFormat
from trainables.formats.retrieval import RetrievalFormat
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
LABELS: Mapping[str, str] = MappingProxyType({"different": "0", "paraphrase": "1"})  # of PAWS-X


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What was predicted for every row of one language, and the format that decoded it; `dropped`
    has, for each row that was left out, how many examples stand before it."""

    examples: Sequence[Example]
    predictions: Sequence[Any]
    dropped: Sequence[int]
    form: Format[Any, Any]


def file_name(task: Task, language: str) -> str:
    """`bucc2018/test-de.tsv`, below the folder of the submission."""
    end = "json" if task.kind is TaskKind.SPAN else "tsv"
    return f"{FOLDERS[task.name]}/test-{language}.{end}"


def content_of(task: Task, predicted: Predicted) -> str:
    """The file of one of XTREME's tasks in one language."""
    predictions = predicted.predictions
    if task.kind is TaskKind.SPAN:
        ids = [example.id for example in predicted.examples]
        answers = dict(zip(ids, predictions, strict=True))
        return json.dumps(answers, indent=1) + "\n"
    if task.kind is TaskKind.TAGGING:
        return "\n".join("".join(f"{tag}\n" for tag in tags) for tags in predictions)
    if task.kind is TaskKind.CLASSIFICATION:
        return _lines(_labels(task, predicted))
    if isinstance(predicted.form, MiningFormat):
        mined = predicted.form.mined(predictions, predicted.examples)
        return _lines(f"{text}\t{pivot}" for text, pivot in sorted(mined))
    return _lines(_retrieved(predicted))


def _labels(task: Task, predicted: Predicted) -> list[str]:
    """One a row of the benchmark, those that were left out among them."""
    labels = list(predicted.predictions)
    for place in reversed(predicted.dropped):
        labels.insert(place, task.labels[0])
    return [LABELS.get(label, label) for label in labels]


def _retrieved(predicted: Predicted) -> list[str]:
    """In XTREME's order of the English sentences, the place of the one retrieved for each."""
    assert isinstance(predicted.form, RetrievalFormat)
    english = [row.pivot for row in predicted.examples if isinstance(row, RetrievalExample)]
    layer = predicted.form.layer_of(len(predicted.predictions[0]) - 1)
    order = sorted(range(len(english)), key=lambda row: english[row])
    return [str(predicted.predictions[row][layer]) for row in order]


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def write_submission(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by their names below a folder that is new or empty; it appears whole or not at
    all. Raises Refusal if it cannot be written."""
    with whole_folder(folder) as draft:
        for name, content in files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_text(content, encoding="utf-8", newline="\n")
