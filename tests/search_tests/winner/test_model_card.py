"""What a card says beside its scores."""

import yaml

from search.winner import model_card
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.task import TaskKind


def test_the_head_is_yaml_of_the_hub() -> None:
    text = model_card.head(SHIPPED.get("pos"), ["en", "no"])
    found = yaml.safe_load(text.split("---\n")[1])
    assert found == {
        "language": ["en", "no"],  # quoted: `no` alone would be false
        "tags": ["transfer-search", "pos"],
        "pipeline_tag": "token-classification",
        "library_name": "transformers",
    }
    assert "pipeline_tag: text-classification" in model_card.head(SHIPPED.get("rel"), ["en"])
    assert "pipeline_tag" not in model_card.head(SHIPPED.get("fact"), ["en"])


def test_every_target_has_its_sections() -> None:
    for task in SHIPPED:
        if task.kind is not TaskKind.MLM:
            text = model_card.sections(
                task, languages=["en", "de"], licences={"rel@en": "MIT", "own@en": None}
            )
            for line in ("## Intended use", "English, German", "| rel@en | MIT |", "## Use"):
                assert line in text
            assert "| own@en | not known |" in text
            assert "Beware" not in text


def test_what_to_beware_of() -> None:
    text = model_card.sections(
        SHIPPED.get("rel"), languages=["en"], licences={}, cautions=["torch was 1"]
    )
    assert "- torch was 1" in text.split("## Beware")[1]
