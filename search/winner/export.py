"""export: one target of a searched trial as a Hugging Face folder."""

from pathlib import Path

from search.home import Home
from search.record.address import RecordAddress
from search.trials.gains import collapsed_on
from search.winner.register import about_target, whole_card
from search.winner.searched_study import SearchedStudy
from trainables.exporting.model_folder import export_target
from trainables.quiet import quiet_libraries
from trainables.whole import check_new


def export_trial(
    address: RecordAddress,
    folder: Path,
    home: Home,
    *,
    target: str,
    trial: int | None,
    data_root: str | None = None,
) -> None:
    """Write encoder, head, tokenizer and card of the best trial, or of the one named.

    Raises Refusal: an unknown study, trial or target, a folder that is not empty, a phase that is
    not in the phase store.
    """
    quiet_libraries()
    check_new(folder)
    searched = SearchedStudy.read(address, data_root=data_root)
    searched.check_target(target)
    row = searched.choose(trial)
    _, context = searched.open(home)
    about = about_target(row.plan, target, context)
    assert row.scores is not None
    scores = next(scored for scored in row.scores.targets if scored.task == target)
    lines = [
        f"# {address.study}-{target}",
        "",
        f"Target `{target}` of trial {row.number} of study `{address.study}`; validation scores "
        f"({scores.main}), which also chose the trial:",
        "",
        "| language | score |",
        "|---|---|",
        *(f"| {code} | {100 * value:.1f} |" for code, value in scores.by_language.items()),
    ]
    fell = f"its training collapsed: in trial {row.number}, {target} was not learned"
    card = whole_card(
        "\n".join([*lines, ""]),
        row.plan,
        target,
        context,
        languages=list(scores.by_language),
        cautions=(fell,) if collapsed_on(row.scores, target) else (),
    )
    export_target(folder, context, about, card=card)
