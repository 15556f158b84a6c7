"""What the rows of a study, and the tokenizer of its encoder, say before anything is started."""

import tempfile
from pathlib import Path

from search.base_encoder import encoder_at_hand
from search.callbacks import StartCallbacks
from search.home import Home
from search.planning.row_warnings import row_warnings, token_warnings
from spaces.study_file.study import StudySettings
from trainables.rows.rows import Rows

TOKENISED_ROWS = 1000  # of each task, language and split: a share of cut rows to a point or two
NO_ENCODER = (
    "the encoder is not on this machine yet: what its tokenizer and max_length cost, and whether "
    "the retrieval layer exists, is checked as the study starts"
)


def check_rows(settings: StudySettings, home: Home, callbacks: StartCallbacks) -> list[str]:
    """Read all rows of a study and warn about them; if its encoder is on this machine, check that
    it fits the study, and warn about what its tokenizer makes of some rows of each language.

    Args:
        home: the home folder, where an encoder that was made lies.
        callbacks: `on_checked` and `on_prepared` are called.

    Raises:
        Refusal: rows are missing or invalid, or the encoder does not fit the study.
    """
    rows = Rows.of(settings)
    warnings = list(row_warnings(settings, rows, on_done=callbacks.on_checked))
    folder = encoder_at_hand(settings, home)
    if folder is None:
        return [*warnings, NO_ENCODER]
    from trainables.encoders.model import BaseEncoder  # it imports torch
    from trainables.features.features import Data
    from trainables.training.context import check_encoder

    base = BaseEncoder.load(str(folder))
    check_encoder(settings, base)
    with tempfile.TemporaryDirectory(prefix="transfer-search-") as scratch:
        data = Data(Path(scratch), base, rows)
        of_tokens = token_warnings(
            settings, data, max_rows=TOKENISED_ROWS, on_done=callbacks.on_prepared
        )
        return [*warnings, *of_tokens]
