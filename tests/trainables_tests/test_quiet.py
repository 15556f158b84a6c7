import subprocess
import sys

SCRIPT = """
import logging
from trainables.quiet import quiet_libraries
quiet_libraries()
import transformers
assert transformers.utils.logging.get_verbosity() == logging.ERROR
assert not transformers.utils.logging.is_progress_bar_enabled()
logging.getLogger("transformers").warning("advice")
"""


def test_libraries_are_silent() -> None:
    """In a process of its own: what is switched off is switched off for all of it."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "advice" not in done.stderr
