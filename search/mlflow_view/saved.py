"""Saves the view of a study in a tag of its experiment, and says whether a server has it."""

import logging
from collections.abc import Mapping
from typing import Any

from search.addresses import sqlite_path
from search.mlflow_view.links import TrialsPage, Version
from search.mlflow_view.state import KEY_PREFIX, TrialsView, named, pack, unpack, view_key
from spaces.json_values import JsonObject
from spaces.redaction import hide_secrets
from spaces.refusal import first_line

log = logging.getLogger(__name__)

NAMED_SINCE: Version = (3, 17)  # MLflow's first version that was seen to list views by name
MAX_NAMED = 20  # MLflow's UI lets a user save no further view where an experiment lists 40


def view_entry(view: TrialsView) -> JsonObject:
    """The line of the outbox that saves a view."""
    return {
        "kind": "view",
        "key": view.key,
        "name": f"trials of {view.study}",
        "state": view.state(),
    }


def put_view(client: Any, experiment_id: str, entry: Mapping[str, Any]) -> None:
    """Save the view of an entry, unless the experiment has it. A server that refuses the tag is
    told of in the log: the study itself needs no view.

    Raises whatever MLflow's client raises where the server does not answer.
    """
    from mlflow.exceptions import MlflowException, RestException

    tags = client.get_experiment(experiment_id).tags
    if unpack(tags.get(KEY_PREFIX + entry["key"], "")) == entry["state"]:
        return
    value = pack(entry["state"])
    others = [tag for tag in tags if tag.startswith(KEY_PREFIX)]
    if len(others) < MAX_NAMED and version_of(client.tracking_uri) >= NAMED_SINCE:
        value = named(entry["name"], value, time=entry["time"])
    try:
        client.set_experiment_tag(experiment_id, KEY_PREFIX + entry["key"], value)
    except MlflowException as error:
        is_answered = isinstance(error, RestException) or error.error_code != "INTERNAL_ERROR"
        if not is_answered:
            raise
        log.warning(
            "MLflow does not take the view of the trials, so that its links show the plain table: "
            "%s",
            hide_secrets(first_line(error)),
        )


def page_of(client: Any, experiment_id: str, study: str) -> TrialsPage:
    """The page of a study's trials, by its saved view where the experiment has one."""
    key = view_key(study)
    stored = client.get_experiment(experiment_id).tags.get(KEY_PREFIX + key, "")
    return TrialsPage(
        study=study,
        experiment_id=experiment_id,
        version=version_of(client.tracking_uri),
        key=None if unpack(stored) is None else key,
    )


def version_of(tracking_uri: str) -> Version:
    """The version of an MLflow server, that of this installation for a file; (0, 0) where the
    server does not say it."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request
    from mlflow.version import VERSION

    text = VERSION
    try:
        if sqlite_path(tracking_uri) is None:
            creds = get_default_host_creds(tracking_uri)
            answer = http_request(creds, "/version", "GET", max_retries=0, timeout=10)
            text = answer.text if answer.ok else ""
        major, minor = text.strip().split(".")[:2]
        return int(major), int(minor)
    except (ValueError, MlflowException):
        return 0, 0
