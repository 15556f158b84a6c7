"""Turns off what libraries print without being asked, in our processes only."""

import logging
import os

import transformers


def quiet_libraries() -> None:
    """Turn off the progress bars and warnings of transformers, and the threads of tokenizers."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
