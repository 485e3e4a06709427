"""The rules in docs/design and the code and tests that cite them agree, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sources import ROOT, sources

DESIGN = ROOT / "docs" / "design"
HEADING = re.compile(
    r"^### (?P<rule>(?:Promise|Engine rule|Security rule) \d+|Rule R\d+): .+\n"
    r"(?P<text>(?:(?!#).*\n?)*)",
    re.MULTILINE,
)
PLANNED = "**Not yet built.**"
BOOKS = r"(?P<book>engine rules?|security rules?|promises?)"
NUMBERS = r"(?P<numbers>\d+(?:(?:, | and )\d+)*)"
CITATION = re.compile(rf"\b{BOOKS} {NUMBERS}\b", re.IGNORECASE)
OF_TIME = re.compile(r"\brule (?P<rule>R\d+)\b")
BY_NAME = re.compile(r"\bdef test_rule_(?P<number>\d+)_")
BARE = re.compile(r"(?<!engine )(?<!security )\brules? \d+\b", re.IGNORECASE)
FOLDERS = ("src", "simulation", "tests", "bench", "scripts", "apps")


@dataclass(frozen=True)
class Rule:
    """A rule of the design pages; ``planned`` if the code does not keep it yet."""

    name: str
    page: Path
    planned: bool
    links_to_code: bool


def rules() -> Iterator[Rule]:
    """Every rule of docs/design, in the order of the pages."""
    for page in sorted(DESIGN.glob("*.md")):
        for found in HEADING.finditer(page.read_text()):
            text = found["text"]
            yield Rule(found["rule"].lower(), page, PLANNED in text, "](../../src/duly/" in text)


def cited(text: str) -> Iterator[str]:
    """The rules that a source text cites, named as `Rule.name` is."""
    for found in CITATION.finditer(text):
        book = found["book"].lower().removesuffix("s")
        for number in re.findall(r"\d+", found["numbers"]):
            yield f"{book} {number}"
    for found in OF_TIME.finditer(text):
        yield f"rule {found['rule']}".lower()
    for found in BY_NAME.finditer(text):
        yield f"engine rule {int(found['number'])}"


def test_every_cited_rule_exists() -> None:
    """A reader who looks up a cited number finds the rule."""
    known = {rule.name for rule in rules()}
    unknown = {
        (str(source), name)
        for source in sources(*FOLDERS)
        for name in cited(source.text)
        if name not in known and source.path != Path(__file__)
    }
    assert unknown == set()


def test_every_rule_is_kept_by_a_test() -> None:
    """Each rule is cited by at least one test, unless it says that it is not yet built."""
    tests = [source for source in sources("tests") if source.path != Path(__file__)]
    kept = {name for source in tests for name in cited(source.text)}
    assert [rule.name for rule in rules() if not rule.planned and rule.name not in kept] == []
    assert [rule.name for rule in rules() if rule.planned and rule.name in kept] == []


def test_every_rule_links_to_the_code_that_keeps_it() -> None:
    """A reader of a rule is one click away from its code; a planned rule has none yet."""
    assert [rule.name for rule in rules() if rule.planned == rule.links_to_code] == []


def test_numbers_run_without_gaps() -> None:
    """A rule that is withdrawn keeps its number, so none is ever missing or given twice."""
    found = [rule.name for rule in rules()]
    expected = [
        *(f"engine rule {number}" for number in range(1, 31)),
        *(f"promise {number}" for number in range(1, 7)),
        *(f"rule r{number}" for number in range(1, 9)),
        *(f"security rule {number}" for number in range(1, 13)),
    ]
    assert sorted(found) == sorted(expected)


def test_citations_name_the_page() -> None:
    """Several pages number their rules: a bare "rule 14" would leave open which one is meant."""
    found = [
        (str(source), match[0])
        for source in sources(*FOLDERS)
        if source.path != Path(__file__)
        for match in BARE.finditer(source.text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("(engine rule 14)", ["engine rule 14"]),
        ("Engine rules 1, 2 and 10: who", ["engine rule 1", "engine rule 2", "engine rule 10"]),
        ("Security rule 4. Promise 3.", ["security rule 4", "promise 3"]),
        ("(rule R7)", ["rule r7"]),
        ("def test_rule_06_odd_results() -> None:", ["engine rule 6"]),
        ("rule 14, R7 and promised 3", []),
    ],
)
def test_citations_are_found(text: str, names: list[str]) -> None:
    """In docstrings, comments and the names of tests."""
    assert list(cited(text)) == names
