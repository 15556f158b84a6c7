"""Links to the trials of a study in MLflow's UI. Pure."""

from dataclasses import dataclass
from urllib.parse import urlencode

from search.addresses import without_user
from search.mlflow_view.state import search_facets

Version = tuple[int, int]

SHARED_SINCE: Version = (2, 22)  # MLflow's first version that was seen to read a packed state
_TABS_SINCE: Version = (3, 0)  # MLflow's first version whose pages of an experiment have addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialsPage:
    """The page of a study's trials in MLflow's UI.

    Attributes:
        study: the study's name.
        experiment_id: the id of its experiment.
        version: the version of MLflow whose UI shows the page.
        key: the key of the saved view; None where there is none.
    """

    study: str
    experiment_id: str
    version: Version
    key: str | None

    def fragment(self) -> str:
        """What follows the address of the server: the saved view where the server knows it, else
        the filter and the order alone."""
        query = {"workflowType": "machine_learning"}
        if self.key is not None and self.version >= SHARED_SINCE:
            query["viewStateShareKey"] = self.key
        else:
            for name, value in search_facets(self.study).items():
                query[name] = str(value).lower() if isinstance(value, bool) else str(value)
        tab = "/runs" if self.version >= _TABS_SINCE else ""
        return f"#/experiments/{self.experiment_id}{tab}?{urlencode(query)}"

    def link(self, server: str) -> str:
        """The page's address at a server; a name and a password in its address are left out."""
        return f"{without_user(server).rstrip('/')}/{self.fragment()}"
