"""export: write one target of a trial as a Hugging Face folder."""

from pathlib import Path

from search.callbacks import OnDone, ignore
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
    data_root: str | Path | None = None,
    encoder: str | Path | None = None,
    on_pretrained: OnDone = ignore,
) -> None:
    """Write the encoder, head, tokenizer and card of one target of the best trial, or of the trial
    with the number `trial`.

    Args:
        address: where the record of the study is.
        folder: a new folder.
        target: the target whose model is written.
        trial: the number of another trial than the best.
        data_root: overrides the folder of the rows that the search read.
        encoder: overrides the folder of its encoder, which must be the same one.
        on_pretrained: called with how many of how many steps are done, where the encoder is one
            that has to be made first.

    Raises:
        Refusal: an unknown study, trial or target, a folder that is not empty, a phase that is not
            in the phase store.
    """
    quiet_libraries()
    check_new(folder)
    searched = SearchedStudy.read(address, data_root=data_root, encoder=encoder)
    searched.check_target(target)
    row = searched.choose(trial)
    _, context = searched.open(home, on_pretrained=on_pretrained)
    about = about_target(row.plan, target, context)
    assert row.scores is not None
    scores = next(scored for scored in row.scores.targets if scored.task == target)
    lines = [
        f"# {address.study}-{target}",
        "",
        f"Target `{target}` of trial {row.number} of study `{address.study}`. Scores "
        f"({scores.main}) on validation rows, which also chose the trial:",
        "",
        "| language | score |",
        "|---|---|",
        *(f"| {code} | {100 * value:.1f} |" for code, value in scores.by_language.items()),
    ]
    collapsed = f"its training collapsed: trial {row.number} did not learn {target}"
    card = whole_card(
        "\n".join([*lines, ""]),
        row.plan,
        target,
        context,
        languages=list(scores.by_language),
        cautions=(collapsed,) if collapsed_on(row.scores, target) else (),
    )
    export_target(folder, context, about, card=card)
