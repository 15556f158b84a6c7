"""Silence for what libraries print and warn of their own accord, in our processes only."""

import logging
import os

import transformers


def quiet_libraries() -> None:
    """Progress bars and advice of transformers off, tokenizers without threads of their own."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
