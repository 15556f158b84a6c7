"""Which folder a study's encoder stands for; the pocket base is made at its first use."""

from search.home import Home
from spaces.study import StudySettings


def find_encoder(settings: StudySettings, home: Home) -> str:
    return settings.study.encoder
