import re

import pytest

from spaces.refusal import Refusal
from spaces.tasks.catalogue import SHIPPED
from spaces.tasks.source import Source
from tests.by_name import source_of, sources_of


@pytest.mark.parametrize("name", [t.name for t in SHIPPED if t.trains and not t.train_on])
def test_a_source_is_read_as_it_is_written(name: str) -> None:
    task = SHIPPED.get(name)
    for language in task.languages:
        source = source_of(f"{name}@{language}")
        assert source == Source(SHIPPED.get(name), language)
        assert source_of(str(source)) == source
    assert source_of(name) == Source(SHIPPED.get(name), task.source_language)
    assert str(source_of(name)) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fcat", "unknown task 'fcat'. Did you mean 'fact'"),
        ("fact@xx", "unknown language 'xx': expected a code of ISO 639"),
        ("fact@iw", "the code of Hebrew is 'he'; write that"),
        ("fact@sv", "unknown language of task 'fact' 'sv'"),
        ("retrieval", "has no training rows"),
        ("xquad", "has no training rows of its own; use 'squad'"),
        ("", "unknown task ''"),
        ("../fact", "unknown task '../fact'"),
    ],
)
def test_a_source_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refusal, match=re.escape(message)):
        source_of(text)


def test_sources_are_in_the_order_of_their_names() -> None:
    texts = ["mnli@de", "anli", "mnli", "mnli@ar"]
    assert sorted(sources_of(texts)) == sources_of(["anli", "mnli@ar", "mnli@de", "mnli"])


def test_the_full_name_has_the_language() -> None:
    assert source_of("mnli").full_name == "mnli@en"
    assert source_of("mnli@de").full_name == "mnli@de"
