"""The marks of runs, in the words of MLflow's filters."""

import pytest

from search.mlflow_view.labels import filter_of, tagged
from spaces.refusal import Refusal


def test_labels_in_the_words_of_mlflow() -> None:
    assert tagged({"role": "trial"}) == {"transfer_search.role": "trial"}
    wanted = "tags.`transfer_search.study` = 's' AND tags.`transfer_search.role` = 'trial'"
    assert filter_of({"study": "s", "role": "trial"}) == wanted
    with pytest.raises(Refusal, match="take no quotes"):
        filter_of({"study": "it's"})
