import pytest

from search.degradation.pretraining_size import pretraining_sizes
from spaces.languages import LANGUAGES
from spaces.study_file.study import StudySettings


def test_sizes_of_xlm_r() -> None:
    """Of all our languages but those that the paper's table lacks."""
    sizes = pretraining_sizes("FacebookAI/xlm-roberta-large")
    assert LANGUAGES.keys() - sizes.keys() == {"ht", "qu", "wo", "yo"}
    assert sizes.keys() <= LANGUAGES.keys()
    assert sizes["en"] == max(sizes.values())
    assert 10 ** sizes["sw"] == pytest.approx(1.6)


def test_other_encoders_are_not_guessed() -> None:
    assert pretraining_sizes("pocket") == {}
    assert pretraining_sizes("my/xlm-roberta-large") == {}


@pytest.mark.parametrize("study", ["paper", "xtreme", "xtreme-base"])
def test_the_encoders_of_the_shipped_studies_are_known(study: str) -> None:
    assert pretraining_sizes(StudySettings.load(study).study.encoder)
