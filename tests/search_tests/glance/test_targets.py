"""Who gains and who loses."""

from dataclasses import replace
from typing import Any

import pytest

from search.findings.find import find
from search.glance.evidence import Evidence, LanguageGain
from search.glance.targets import MAX_NAMED, target_rows
from search.trials.language_verdicts import Call


def test_targets_of_the_objective_come_first_with_their_significant_languages(
    planted: Any,
) -> None:
    findings = find(planted.record_of(planted.study_rows()))
    cells = (
        LanguageGain(task="retrieval", language="de", mean=-0.1, call=Call.WORSE),
        LanguageGain(task="rel", language="de", mean=0.3, call=Call.BETTER),
        LanguageGain(task="rel", language="tr", mean=0.1, call=Call.TIE),
        LanguageGain(task="rel", language="fi", mean=-0.1, call=Call.TIE),
    )
    rel, retrieval = target_rows(findings, replace(Evidence.of(findings), languages=cells))
    assert (rel.task, rel.is_objective, retrieval.is_objective) == ("rel", True, False)
    assert (rel.better, rel.worse, rel.num_languages) == (1, 0, 3)
    assert rel.gain == pytest.approx(0.1)
    assert [cell.language for cell in rel.gaining] == ["de", "tr"]
    assert [cell.language for cell in rel.losing] == ["fi"]
    assert (retrieval.worse, retrieval.gaining) == (1, ())


def test_other_targets_are_in_the_order_of_their_losses(planted: Any) -> None:
    findings = find(planted.record_of(planted.study_rows()))
    cells = tuple(
        LanguageGain(task=task, language="de", mean=mean, call=call)
        for task, mean, call in (
            ("a", -0.01, Call.TIE),
            ("b", -0.2, Call.TIE),
            ("c", -0.1, Call.WORSE),
            ("coh", -0.3, Call.WORSE),
            ("rel", 0.1, Call.TIE),
        )
    )
    rows = target_rows(findings, replace(Evidence.of(findings), languages=cells))
    assert [row.task for row in rows] == ["coh", "rel", "c", "b", "a"]


def test_what_was_not_tested_has_no_counts_and_few_are_named(planted: Any) -> None:
    findings = find(planted.record_of(planted.study_rows()))
    cells = tuple(
        LanguageGain(task="rel", language=f"l{n}", mean=(n - 10) / 100) for n in range(21)
    )
    (row,) = target_rows(findings, replace(Evidence.of(findings), languages=cells))
    assert (row.better, row.worse) == (None, None)
    assert [cell.language for cell in row.gaining] == ["l20", "l19", "l18", "l17"]
    assert len(row.losing) == MAX_NAMED
    assert row.losing[0].language == "l0"
