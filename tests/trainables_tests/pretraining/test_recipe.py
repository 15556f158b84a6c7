"""What decides a base: the recipe of a study, and its key."""

from pathlib import Path
from typing import Any

from spaces.phases import Recipe
from spaces.study_file.sections import PretrainingSection
from spaces.tasks.catalogue import SHIPPED
from trainables.pretraining.corpus import TaskText
from trainables.pretraining.recipe import BaseRecipe, pocket_base, study_base
from trainables.rows.rows import Rows

FLORES = SHIPPED.get("flores")


def section(**keys: Any) -> PretrainingSection:
    content: dict[str, Any] = {
        "text": "flores",
        "languages": ("en", "de"),
        "max_vocabulary": 500,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "feed_forward_size": 64,
        "learning_rate": 1e-3,
        "recipe": Recipe(num_steps=3, batch_size=8, max_length=64),
    }
    return PretrainingSection(**{**content, **keys})


def test_a_study_describes_its_base(mirror: Path) -> None:
    recipe = study_base(section(pair_share=0.5, seed=4), FLORES, Rows(str(mirror)))
    assert isinstance(recipe.text, TaskText)
    assert (recipe.text.task, recipe.text.languages) == (FLORES, ("en", "de"))
    assert (recipe.text.pair_share, recipe.text.seed) == (0.5, 4)
    assert (recipe.hidden_size, recipe.num_layers, recipe.feed_forward_size) == (32, 2, 64)
    assert (recipe.phase.learning_rate, recipe.phase.seed) == (1e-3, 4)
    assert recipe.phase.recipe.num_steps == 3


def test_all_languages_that_there_is_text_in(mirror: Path) -> None:
    recipe = study_base(section(languages=()), FLORES, Rows(str(mirror)))
    assert isinstance(recipe.text, TaskText)
    assert len(recipe.text.languages) == 43


def test_the_key_is_of_content_wherever_the_rows_lie(
    mirror: Path, tmp_path: Path, monkeypatch
) -> None:
    def key(rows: Rows, **keys: Any) -> str:
        result: BaseRecipe = study_base(section(**keys), FLORES, rows)
        return result.key()

    rows = Rows(str(mirror))
    (tmp_path / "elsewhere").symlink_to(mirror)
    assert key(Rows(str(tmp_path / "elsewhere"))) == key(rows)
    others = [{"seed": 1}, {"languages": ("en",)}, {"pair_share": 0.5}, {"num_layers": 3}]
    assert len({key(rows), *(key(rows, **keys) for keys in others)}) == 5
    assert pocket_base().key() == pocket_base().key() != pocket_base(seed=1).key()
