"""The vocabulary: each thing has one word, which is the field's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.sources import ROOT, Source, sources

# Names that the code had once; docs/design/vocabulary.md says what it calls the things now.
RETIRED = {
    *("held", "told", "born", "somebody", "nobody", "whoever"),
    *("Heart", "Life", "rhythm", "Ear", "Hearing", "Soloist", "solo", "lifeline", "hurry"),
    *("Flight", "Flights", "Lane", "Room", "Landing", "Chores", "Rounds", "Places", "taker"),
    *("ClaimAtBirth", "Verdict", "judge", "Standing", "Pace", "take_part", "occurrences"),
    *("Living", "Steering", "Asking", "Telling", "Examining", "Limiting", "Declaring", "Wiring"),
}
MODULES = RETIRED | {"among", "joined", "alone", "turns", "shapes", "words", "strip"}
NOUNS = "trigger|job|run|task|queue|calendar|option|function|number|text|rule|scheduler|database"
PHRASES = re.compile(
    r"\b(?:somebody|nobody|whoever|says whether|so many|so long"
    rf"|(?<!there )(?:is|are) no (?:{NOUNS}|such|whole|valid|module|host|ISO|more)s?)\b",
    re.IGNORECASE,
)
PAGES = [
    path for kind in ("html", "js", "css") for path in sorted((ROOT / "src").rglob(f"*.{kind}"))
]


def test_retired_names_stay_retired() -> None:
    """No variable, parameter, attribute, function, class or module has a retired name."""
    assert not [
        f"{source}:{line} {name}"
        for source in sources("src")
        for line, name in names(source)
        if name in RETIRED
    ]
    assert not [str(source) for source in sources("src") if source.path.stem in MODULES]


def test_texts_avoid_retired_phrases() -> None:
    """Docstrings, comments, messages and pages name the actor and say "is not a valid …"."""
    texts = [(str(source), source.text) for source in sources("src")]
    texts += [(str(path.relative_to(ROOT)), path.read_text()) for path in PAGES]
    assert not [
        f"{name}:{number} {found[0]}"
        for name, text in texts
        for number, line in enumerate(text.splitlines(), 1)
        if (found := PHRASES.search(line))
    ]


@pytest.mark.parametrize(
    "text",
    ["somebody locked it", "'x' is no trigger", "Says whether it is due", "given so many seconds"],
)
def test_phrases_are_found(text: str) -> None:
    """A check that never fails proves nothing."""
    assert PHRASES.search(text)


@pytest.mark.parametrize(
    "text", ["there is no job yet", "it is no longer due", "is not a valid trigger", "untold runs"]
)
def test_good_english_is_left_alone(text: str) -> None:
    """The patterns match what house style replaces, and nothing else."""
    assert not PHRASES.search(text)


def names(source: Source) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a file gives a name to or refers to by name."""
    for node in source.nodes:
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                yield node.lineno, name
