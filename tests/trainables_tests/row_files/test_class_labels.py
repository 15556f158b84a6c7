from datasets import ClassLabel, Features, List, Value

from trainables.row_files.class_labels import with_names

FEATURES = Features(
    {
        "label": ClassLabel(names=["wish", "bug"]),
        "tags": List(ClassLabel(names=["O", "B"])),
        "text": Value("string"),
    }
)


def test_numbers_become_names_and_hidden_labels_none() -> None:
    rows = [
        {"label": 1, "tags": [0, 1], "text": "a"},
        {"label": -1, "tags": [], "text": "b"},
        {"label": 7, "tags": [1], "text": "c"},
        {"label": None, "tags": [0], "text": "d"},
    ]
    named = with_names(rows, FEATURES)
    assert [row["label"] for row in named] == ["bug", None, "7", None]
    assert [row["tags"] for row in named] == [["O", "B"], [], ["B"], ["O"]]
    assert with_names([{"label": 1}], None) == [{"label": 1}]
