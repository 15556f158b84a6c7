"""export: write one target of a trial as a Hugging Face folder."""

from functools import partial
from pathlib import Path

from search.callbacks import OnDone, ignore
from search.home import Home
from search.record.address import RecordAddress
from search.trials.gains import collapsed_on
from search.trials.ranking import TrialRow
from search.winner.register import about_target, whole_card
from search.winner.searched_study import SearchedStudy
from spaces.phases import TrialPlan
from spaces.refusal import Refusal
from trainables.encoders.model import TransferModel
from trainables.exporting.model_folder import export_target
from trainables.exporting.onnx_folder import write_onnx
from trainables.exporting.onnx_graph import check_installed
from trainables.quiet import quiet_libraries
from trainables.training.context import TrialContext
from trainables.training.trial import DEV, scoring_of
from trainables.whole import check_new


def export_trial(
    address: RecordAddress,
    folder: Path,
    home: Home,
    *,
    target: str,
    trial: int | None,
    onnx: bool = False,
    int8: bool = False,
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
        onnx: write it in ONNX too, and compare the answers on validation rows.
        int8: with `onnx`, also with weights of 8 bits.
        data_root: overrides the folder of the rows that the search read.
        encoder: overrides the folder of its encoder, which must be the same one.
        on_pretrained: called with how many of how many steps are done, where the encoder is one
            that has to be made first.

    Raises:
        Refusal: an unknown study, trial or target, a folder that is not empty, a phase that is not
            in the phase store, an architecture that ONNX does not have.
    """
    quiet_libraries()
    check_new(folder)
    if int8 and not onnx:
        raise Refusal("--int8 is about the file of --onnx; give both")
    if onnx:
        check_installed()
    searched = SearchedStudy.read(address, data_root=data_root, encoder=encoder)
    searched.check_target(target)
    row = searched.choose(trial)
    _, context = searched.open(home, on_pretrained=on_pretrained)
    about, card = (
        about_target(row.plan, target, context),
        _card(address.study, row, target, context),
    )
    add = partial(_add_onnx, row.plan, target, context, is_int8=int8) if onnx else None
    export_target(folder, context, about, card=card, add=add)


def _card(study: str, row: TrialRow, target: str, context: TrialContext) -> str:
    """The card of a model that a search has trained."""
    assert row.scores is not None
    scores = next(scored for scored in row.scores.targets if scored.task == target)
    lines = [
        f"# {study}-{target}",
        "",
        f"Target `{target}` of trial {row.number} of study `{study}`. Scores "
        f"({scores.main}) on validation rows, which also chose the trial:",
        "",
        "| language | score |",
        "|---|---|",
        *(f"| {code} | {100 * value:.1f} |" for code, value in scores.by_language.items()),
    ]
    collapsed = f"its training collapsed: trial {row.number} did not learn {target}"
    return whole_card(
        "\n".join([*lines, ""]),
        row.plan,
        target,
        context,
        languages=list(scores.by_language),
        cautions=(collapsed,) if collapsed_on(row.scores, target) else (),
    )


def _add_onnx(
    plan: TrialPlan,
    target: str,
    context: TrialContext,
    draft: Path,
    model: TransferModel,
    *,
    is_int8: bool,
) -> None:
    """Write the ONNX files, which are compared as the study scores its validation rows."""
    chosen = plan.target(target)
    scoring = scoring_of(chosen, context, split=DEV)
    write_onnx(draft, model, chosen.task, context, scoring, is_int8=is_int8)
