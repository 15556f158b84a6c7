"""How the runs of a study are marked in MLflow, and how they are searched for. Pure."""

from collections.abc import Mapping

from spaces.refusal import Refusal

TAG = "transfer_search."
STUDY, TRIAL, PHASE, RETRAIN, RETRAIN_RUN = "study", "trial", "phase", "retrain", "retrain_run"


def tagged(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels with the prefix that separates our tags in MLflow from those of others."""
    return {TAG + name: value for name, value in labels.items()}


def filter_of(labels: Mapping[str, str]) -> str:
    """Return MLflow's filter for runs with all these labels. Raises Refusal if a value has a quote
    or backslash, which the filters cannot express."""
    for value in labels.values():
        if "'" in value or "\\" in value:
            raise Refusal(
                f"{value!r} cannot name a run, since MLflow's filters take no quotes or "
                "backslashes; choose another name"
            )
    return " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tagged(labels).items())
