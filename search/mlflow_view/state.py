"""The view of a study in MLflow's UI: its trials alone, the best first, with the columns and charts
that say what was found. Pure.

MLflow's UI keeps such a view in a tag of the experiment and opens it by the key in the tag's name.
The names below are those of MLflow's own source: `ExperimentPageSearchFacetsState`,
`ExperimentPageUIState` and `RunsChartsCardConfig` (mlflow/server/js/src/experiment-tracking).
"""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from search.mlflow_view.labels import TAG, TRIAL, filter_of
from spaces.json_values import JsonObject
from spaces.study_file.study import StudySettings

KEY_PREFIX = "mlflow.sharedViewState."
ORDERED_BY = "zero_shot_mean"
SCORES = (ORDERED_BY, "transfer_gap", "transfer_gain", "worst_language")
_DEFLATED = "deflate;"  # before what MLflow's UI has to decompress
_MATRIX = "transfer-search: all scores"
_GENERATED = "Model metrics"  # MLflow's own section, with one chart for each metric
# In pixels: a letter of a column's head, the space beside it, and widths of columns.
_LETTER, _MARGIN, _NARROW, _MIDDLE, _WIDE = 7, 28, 100, 130, 300
_MAX_RUNS = 100  # in a chart; MLflow's default shows ten


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsView:
    """What the view of a study depends on.

    Attributes:
        study: the study's name.
        params: every parameter that a trial may have.
        shared_params: those that every trial has; the lines of a chart need a value on each axis.
        targets: the targets, in the order of the study file.
    """

    study: str
    params: tuple[str, ...]
    shared_params: tuple[str, ...]
    targets: tuple[str, ...]

    @classmethod
    def of(cls, settings: StudySettings) -> "TrialsView":
        """The view of a study with these settings."""
        space = settings.search_space()
        always = ("intermediate", *(("mlm.share",) if space.masking else ()))
        further = [space.domains(o, s) for o in space.options for s in space.shares.values]
        longest = max(further, key=len)  # in the order in which a trial uses them
        names = tuple(dict.fromkeys([*always, *longest, *chain.from_iterable(further)]))
        return cls(
            study=settings.study.name,
            params=names,
            shared_params=tuple(n for n in names if n in always or all(n in d for d in further)),
            targets=tuple(settings.space.targets),
        )

    @property
    def key(self) -> str:
        """The key of the view in the addresses of MLflow's UI."""
        return view_key(self.study)

    def columns(self) -> tuple[str, ...]:
        """The columns beside name, age and duration, in the order of the table."""
        rates = [n for n in self.params if n.endswith("learning_rate")]
        first = ["intermediate", *rates]
        return (
            *(_column("params", name) for name in first),
            *(_column("metrics", name) for name in SCORES),
            _column("tags", f"{TAG}worst_language"),
            *(_column("metrics", _mean_of(target)) for target in self.targets),
            *(_column("params", name) for name in self.params if name not in first),
        )

    def state(self) -> JsonObject:
        """The view as MLflow's UI reads it: filter and order, table, charts."""
        columns = self.columns()
        return {
            **search_facets(self.study),
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "modelVersionFilter": "All Runs",
            "datasetsFilter": [],
            "selectedColumns": list(columns),
            "columnOrder": list(columns),
            "columnWidths": {column: _width(column) for column in columns},
            "runsHiddenMode": "SHOW_ALL",
            "compareRunSections": [
                {"uuid": "study", "name": "transfer-search", "display": True, "columns": 2},
                {
                    "uuid": "matrix",
                    "name": _MATRIX,
                    "display": True,
                    "columns": 1,
                    "cardHeight": 640,
                },
                {"uuid": "metrics", "name": _GENERATED, "display": False, "isGenerated": True},
            ],
            "compareRunCharts": [
                *(
                    {"uuid": f"study-{number}", "metricSectionId": "study", **chart}
                    for number, chart in enumerate(self._charts(), start=1)
                ),
                {"uuid": "matrix-1", "metricSectionId": "matrix", **_difference()},
            ],
        }

    def _charts(self) -> list[JsonObject]:
        """Parallel coordinates of the params and of the targets, the gains, the trade-off, and each
        rate against the score."""
        rates = [name for name in self.params if name.endswith("learning_rate")]
        means = [_mean_of(target) for target in self.targets]
        return [
            _parallel(self.shared_params, ["worst_language", ORDERED_BY]),
            _parallel(["intermediate"], [*means, ORDERED_BY]),
            {"type": "BAR", "metricKey": "transfer_gain", "runsCountToCompare": _MAX_RUNS},
            _scatter(_metric(ORDERED_BY), _metric("worst_language")),
            *(_scatter({"key": rate, "type": "PARAM"}, _metric(ORDERED_BY)) for rate in rates),
        ]


def view_key(study: str) -> str:
    """The key of a study's view in the addresses of MLflow's UI."""
    return f"transfer-search.{study}"


def search_facets(study: str) -> JsonObject:
    """The filter and the order of a study's trials, as MLflow's UI names them."""
    return {
        "searchFilter": filter_of({"study": study, "role": TRIAL}),
        "orderByKey": _column("metrics", ORDERED_BY),
        "orderByAsc": False,
    }


def pack(state: JsonObject) -> str:
    """A state as MLflow's UI stores it, short enough for a tag."""
    text = json.dumps(state, separators=(",", ":"), ensure_ascii=True)
    return _DEFLATED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(value: str) -> JsonObject | None:
    """The state in the value of a tag, whoever wrote it; None where it is none."""
    try:
        if not value.startswith(_DEFLATED):
            content = json.loads(value)
            inner = content.get("state")
            return unpack(inner) if isinstance(inner, str) else content
        content = json.loads(zlib.decompress(base64.b64decode(value.removeprefix(_DEFLATED))))
    except (ValueError, AttributeError, zlib.error):
        return None
    return content if isinstance(content, dict) else None


def named(name: str, packed: str, *, time: int) -> str:
    """A packed state with the name that MLflow lists it by; `time` in milliseconds."""
    return json.dumps({"name": name, "createdAt": time, "updatedAt": time, "state": packed})


def _mean_of(target: str) -> str:
    return f"{ORDERED_BY}.{target}"


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _width(column: str) -> int:
    """The width in pixels of a column. The head of a metric can be read whole; those of params and
    tags are longer than their values and are cut off."""
    kind, _, name = column.partition(".")
    widest = {"params": _MIDDLE, "tags": _NARROW}.get(kind, _WIDE)
    return min(widest, max(_NARROW, _MARGIN + _LETTER * (len(name) - len("``"))))


def _metric(name: str) -> JsonObject:
    return {"key": name, "type": "METRIC"}


def _parallel(params: Sequence[str], metrics: Sequence[str]) -> JsonObject:
    return {
        "type": "PARALLEL",
        "selectedParams": list(params),
        "selectedMetrics": list(metrics),
        "showAllRuns": True,
    }


def _difference() -> JsonObject:
    """A table with a row for each metric and a column for each trial."""
    return {
        "type": "DIFFERENCE",
        "compareGroups": [_GENERATED],
        "chartName": "Scores, and how they differ from those of the first trial",
        "showChangeFromBaseline": True,
        "showDifferencesOnly": False,
        "baselineColumnUuid": "",
        "runsCountToCompare": _MAX_RUNS,
    }


def _scatter(xaxis: JsonObject, yaxis: JsonObject) -> JsonObject:
    return {"type": "SCATTER", "xaxis": xaxis, "yaxis": yaxis, "runsCountToCompare": _MAX_RUNS}
