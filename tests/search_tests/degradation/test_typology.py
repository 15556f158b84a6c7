"""Distances between languages, beside those that urielplus makes of the same tables."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from search.degradation import typology
from search.degradation.typology import KINDS, SCRIPT, Distances, distances, family_of
from spaces.languages import LANGUAGES
from spaces.refusal import Refusal


@pytest.fixture(scope="module")
def from_english() -> Distances:
    return distances("en", LANGUAGES)


def test_every_language_is_in_every_table(from_english: Distances) -> None:
    """A code that URIEL does not have would have raised; what it says little of is left out."""
    for kind in ("syntactic", "featural", "genetic", "geographic", SCRIPT):
        assert from_english[kind].keys() == LANGUAGES.keys()
    assert {"et", "ht", "kk"} <= LANGUAGES.keys() - from_english["phonological"].keys()


def test_distances_are_what_they_should_be(from_english: Distances) -> None:
    for kind, by_language in from_english.items():
        assert by_language["en"] == 0
        assert all(0 <= distance <= 1 for distance in by_language.values())
        assert by_language["de"] < by_language["zh"], kind
    from_german = distances("de", ["en", "zh"])
    for kind in from_english:
        assert from_german[kind]["en"] == from_english[kind]["de"], "as far there as back"
    assert from_english["genetic"]["fi"] == 1, "another family"
    assert from_english["genetic"]["eu"] == 1, "an isolate"
    assert (from_english[SCRIPT]["tr"], from_english[SCRIPT]["ru"]) == (0, 1)


@pytest.mark.parametrize(("source", "languages"), [("en", ["xx"]), ("xx", ["en"]), ("en", [])])
def test_what_is_not_known_is_left_out(source: str, languages: list[str]) -> None:
    assert distances(source, languages) == {kind: {} for kind in (*KINDS, SCRIPT)}


def test_languages_outside_the_table_have_distances_too() -> None:
    found = distances("sv", ["nb", "cs", "zh-Hant", "pt-BR", "pt", "sr-Latn", "en"])
    for kind in ("syntactic", "featural", "genetic", "geographic"):
        assert found[kind]["nb"] < found[kind]["zh-Hant"], kind
        assert found[kind]["pt-BR"] == found[kind]["pt"], "URIEL knows languages, not regions"
    assert found[SCRIPT] == {
        **dict.fromkeys(("nb", "cs", "pt-BR", "pt", "sr-Latn", "en"), 0.0),
        "zh-Hant": 1.0,
    }


def test_a_language_without_a_script_or_a_row_of_uriel_has_no_such_distance() -> None:
    found = distances("en", ["tlh", "de", "sk"])
    assert found[SCRIPT] == {"de": 0.0, "sk": 0.0}
    assert found["syntactic"].keys() == {"de"}, "URIEL has no features of Slovak and Klingon"


@pytest.mark.parametrize("code", LANGUAGES)
def test_uriels_families_are_those_of_the_table(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a language outside the table falls into the same family as its relatives in it."""
    language = LANGUAGES[code]
    bare = replace(language, family="")
    monkeypatch.setattr(typology, "known_language", lambda _: bare)
    isolated = {"eu", "qu"}  # URIEL's table has no families for them
    expected = code if code in isolated else language.family
    assert family_of(code) == expected


@pytest.mark.parametrize(
    ("code", "family"),
    [
        ("sv", "Indo-European"),
        ("zh-Hant", "Sino-Tibetan"),
        ("yue", "Sino-Tibetan"),
        ("de", "Indo-European"),
        ("ain", "Ainu"),
        ("xx", "xx"),
    ],
)
def test_the_family_of_any_language(code: str, family: str) -> None:
    assert family_of(code) == family


_THEIRS = """
import json, sys
from urielplus.urielplus import URIELPlus
uriel, pairs = URIELPlus(), json.loads(sys.argv[1])
print(json.dumps([float(uriel.new_distance(kind, [a, b])) for kind, a, b in pairs]))
"""


def test_they_are_those_of_urielplus(tmp_path: Path, from_english: Distances) -> None:
    """On a copy of the package: it writes into its own folder and sets up the root logger."""
    shutil.copytree(str(files("urielplus")), tmp_path / "urielplus")
    pairs = [(kind, code) for kind in KINDS for code in ("de", "zh", "ar", "hi")]
    asked = json.dumps([(k, LANGUAGES["en"].uriel, LANGUAGES[code].uriel) for k, code in pairs])
    printed = subprocess.run(
        [sys.executable, "-c", _THEIRS, asked],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = [from_english[kind][code] for kind, code in pairs]
    assert ours == pytest.approx(json.loads(printed), abs=1e-4)


_READ = """
import sys
from search.degradation.typology import distances
import urielplus
assert urielplus.__file__.startswith(sys.argv[1]), urielplus.__file__
print(distances("en", ["de"])["genetic"]["de"])
"""


def _copied(tmp_path: Path) -> Path:
    """A package of its own, as small as it may be."""
    folder = tmp_path / "urielplus"
    lies = folder / "database" / "original_uriel"
    shutil.copytree(str(files("urielplus") / "database" / "original_uriel"), lies)
    (folder / "__init__.py").touch()
    return folder


def _read(tmp_path: Path) -> str:
    """What a process makes of it that finds this package first."""
    root = Path(typology.__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-B", "-c", _READ, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{root}"},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_package_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    folder = _copied(tmp_path)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(folder.rglob("*"))
    try:
        assert float(_read(tmp_path)) == pytest.approx(0.6336, abs=1e-4)
        assert sorted(folder.rglob("*")) == before, "and nothing was put beside its tables"
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize("harm", ["missing", "no table"])
def test_tables_that_cannot_be_read_are_a_line(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "database" / "original_uriel"
    folder.mkdir(parents=True)
    if harm == "no table":
        for table in {table for table, _ in KINDS.values()}:
            (folder / f"{table}.npz").write_text("<html>not found</html>")
    monkeypatch.setattr(typology, "files", lambda name: tmp_path)
    with pytest.raises(Refusal, match=r"distances .* not known: table features .*urielplus"):
        typology._table.__wrapped__("features")  # what is read is kept: past the cache
