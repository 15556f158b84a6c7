"""Lists of a study file: an entry that stands there twice is refused with its key."""

from typing import Any

import pytest

from spaces.refusal import Refusal
from spaces.study_file.study import StudySettings

MASKED = {"space.mlm.text": "flores"}


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(Refusal) as refused:
        StudySettings.parse(content)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space.targets": ["coh", "rel", "coh"]}, "space.targets lists 'coh' more than once"),
        ({"space.target_learning_rate": [1e-3, 0.001]}, "target_learning_rate lists 0.001 more"),
        ({"space.intermediate_learning_rate": [1e-3] * 2}, "intermediate_learning_rate lists"),
        ({"study.sampler": "grid", "space.seeds": [1, 2, 1]}, "space.seeds lists 1 more than once"),
        ({"space.intermediate": ["fact", "fact"]}, "space.intermediate lists 'fact' more"),
        ({"evaluation.objective": ["coh", "coh"]}, "evaluation.objective lists 'coh' more"),
        ({"evaluation.objectives": ["hours", "hours"]}, "evaluation.objectives lists 'hours'"),
        ({"evaluation.languages": ["de", "es", "de"]}, "evaluation.languages lists 'de' more"),
        (
            {"evaluation.selection": "pivot_dev", "evaluation.pivot_languages": ["de", "de"]},
            "evaluation.pivot_languages lists 'de' more",
        ),
        ({**MASKED, "space.mlm.languages": ["de", "de"]}, "space.mlm.languages lists 'de' more"),
        ({**MASKED, "space.mlm.shares": [0.5, 0.5]}, "space.mlm.shares lists 0.5 more"),
        ({**MASKED, "space.mlm.learning_rate": [0.5, 0.5]}, "space.mlm.learning_rate lists 0.5"),
        ({"space.lora.ranks": [4, 8, 4]}, "space.lora.ranks lists 4 more than once"),
        (
            {"space.lora.ranks": [4], "space.lora.phases": ["target", "target"]},
            "space.lora.phases lists 'target' more",
        ),
    ],
)
def test_an_entry_is_listed_once(tables: Any, changes: dict[str, Any], message: str) -> None:
    assert message in refusal(tables(changes))


def test_languages_of_pretraining_are_listed_once(pretrained: Any) -> None:
    assert "pretraining.languages lists 'de' more" in refusal(pretrained(languages=["de", "de"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["fact+fact"], "'fact+fact', which names 'fact' more than once"),
        (["rel+fact@en+fact"], "'rel+fact@en+fact', which names 'fact' more than once"),
        (["fact", "fact@en"], "'fact' and 'fact@en', which are the same sources"),
        (["fact+rel", "rel", "rel+fact"], "'fact+rel' and 'rel+fact', which are the same sources"),
        (["fact@en", "all"], "'all' and one source, 'fact', so that 'all' is that source"),
        (["all", "rel@de"], "'all' and one source, 'rel@de', so that 'all' is that source"),
        (["fact@"], "'fact@', which has no language after @; write 'fact' or 'fact@en'"),
        (["rel+fact@"], "no language after @"),
        (["fact+"], "'fact+', which has no task where one is expected"),
        (["+"], "has no task"),
        ([""], "a blank text"),
        (["@en"], "has no task"),
        (["none+fact"], "'none' is an option by itself"),
        (["fact+all"], "'all' is an option by itself"),
        (["fact@xx"], "unknown language 'xx'"),
        (["fact@en@de"], "unknown language 'en@de'"),
    ],
)
def test_an_option_names_its_sources_once_and_in_full(
    tables: Any, options: list[str], message: str
) -> None:
    assert message in refusal(tables({"space.intermediate": ["none", *options]}))


def test_shares_name_their_sources_once(tables: Any) -> None:
    changes = {"space.mixture": "shares", "space.intermediate": ["fact", "fact@en", "rel"]}
    assert "which are the same sources" in refusal(tables(changes))


def test_lists_of_different_entries_are_taken(tables: Any) -> None:
    options = ["none", "fact", "rel", "fact+rel", "fact@en+seq", "all"]
    StudySettings.parse(tables({"space.intermediate": options}))


def test_a_record_of_an_earlier_version_is_read(tables: Any) -> None:
    changes = {
        "evaluation.languages": ["de", "de", "es"],
        "evaluation.objective": ["coh", "coh"],
        "study.revision": "",
    }
    content = tables(changes)
    settings = StudySettings.parse(content, is_recorded=True)
    assert settings.evaluation.languages == ("de", "de", "es")
    assert refusal(content)
