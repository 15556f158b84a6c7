from spaces.tasks.pocket_tasks import POCKET_LANGUAGES, POCKET_TASKS


def test_all_are_of_the_embedded_benchmark() -> None:
    for task in POCKET_TASKS:
        assert task.dataset == "pocket"
        assert task.revision is None
        assert set(task.languages) <= set(POCKET_LANGUAGES)
        assert not any(task.is_cut(code, split) for code in task.languages for split in ("test",))
