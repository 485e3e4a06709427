"""The state machine as it is drawn, and as it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from duly.model.event import KINDS
from duly.model.run import LIVE, MOVES, RUN_STATES, TERMINAL
from duly.model.step import OUTCOMES
from duly.store import tables
from simulation.invariants import FIRST_STATES
from tests.support.sources import ROOT, Source, sources

PAGE = (ROOT / "docs" / "state_machine.md").read_text()
DASHBOARD = ROOT / "src" / "duly" / "web" / "dashboard"


def test_the_page_shows_every_move_and_no_other() -> None:
    """docs/state_machine.md lists exactly the moves that the code allows."""
    drawn = re.findall(r"^\| `(\w+)` \| `(\w+)` \| \S", PAGE, re.MULTILINE)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(state, to) for state, targets in MOVES.items() for to in targets}


def test_the_page_explains_every_state() -> None:
    """Each state has its line, which says whether it ends the run."""
    states = dict(re.findall(r"^\| `(\w+)` \| [^`|]+ \| (yes)? ?\|$", PAGE, re.MULTILINE))
    assert set(states) == set(RUN_STATES)
    assert {state for state, ends in states.items() if not ends} == LIVE


# ------------------------------------------------------------------------------ every state


def test_every_end_of_a_run_is_an_event() -> None:
    """Listeners and the audit trail learn of every way to end."""
    assert {f"run.{state}" for state in TERMINAL} <= KINDS


def test_every_end_of_a_run_is_an_outcome() -> None:
    """`Step.runs` counts every way to end, and besides them only retries and snoozes."""
    assert set(OUTCOMES) == TERMINAL | {"retried", "snoozed"}


@pytest.mark.parametrize("state", RUN_STATES)
def test_the_database_accepts_every_state(state: str) -> None:
    """The check of the table has it, and so has an index by which the state can be searched."""
    checks = {check.name: str(check.sqltext) for check in tables.run.constraints if check.name}  # type: ignore[attr-defined]
    searchable = f"{tables.NOTABLE} {tables.LIVE}"
    assert f"state = '{state}'" in checks["duly_run_state"]
    assert (f"state = '{state}'" in searchable) is (state != "succeeded")


@pytest.mark.parametrize("state", RUN_STATES)
def test_the_dashboard_shows_every_state_with_a_symbol_and_a_colour(state: str) -> None:
    """`icons.svg` and `states.css` have an entry for it; one without would be left blank."""
    assert f'<symbol id="i-{state}" ' in (DASHBOARD / "templates" / "icons.svg").read_text()
    style = (DASHBOARD / "static" / "styles" / "states.css").read_text()
    assert re.search(
        rf"^(\.is-[\w-]+, )*\.is-{state}(, \.is-[\w-]+)* {{ --tone: ", style, re.MULTILINE
    )


def test_the_simulation_knows_how_each_state_is_entered() -> None:
    """Each state is entered by a move or by a new run."""
    moved_to = {to for targets in MOVES.values() for to in targets}
    assert moved_to | FIRST_STATES == set(RUN_STATES)


# ------------------------------------------------------------------------------ one writer

WRITES_RUNS = {"src/duly/model/transition.py", "src/duly/store/transitions.py"}
WRITERS = {"change", "values", "insert", "insert_rows", "insert_new", "update_rows", "add"}
"""Names of what writes rows."""


def written_states(source: Source) -> Iterator[int]:
    """Lines on which the column ``state`` of a run gets a value, as far as can be read."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _called(node) in WRITERS:
            if any(keyword.arg == "state" for keyword in node.keywords):
                yield node.lineno
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.slice) == "'state'":
                yield node.lineno
        elif isinstance(node, ast.Dict):
            states = [v for k, v in zip(node.keys, node.values, strict=True) if _is_state(k)]
            if any(isinstance(state, ast.Constant) and state.value in RUN_ONLY for state in states):
                yield node.lineno
    for found in re.finditer(r"(?i)\bset\s+state\s*=", source.text):
        yield source.text.count("\n", 0, found.start()) + 1


RUN_ONLY = frozenset(RUN_STATES)
"""States that no job has: a dictionary with one of them is a row of a run."""


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)


def _is_state(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and key.value in ("state", "to_state")


def test_one_module_writes_the_state_of_a_run() -> None:
    """The value is made in `model/transition.py` and written by `store/transitions.py` alone."""
    writers = {
        f"{source}:{line}"
        for source in sources("src")
        if str(source) not in WRITES_RUNS
        for line in written_states(source)
    }
    assert writers == set()


@pytest.mark.parametrize(
    "line",
    [
        "runs.change(tx, ids, state=to)",
        "update(run).values(state='ready')",
        "row['state'] = 'missed'",
        "runs.change(tx, ids, **{'state': 'cancelled'})",
        "text('UPDATE duly_run SET state = 1')",
    ],
)
def test_the_rule_finds_what_it_looks_for(tmp_path: Path, line: str) -> None:
    """A check that never fails proves nothing."""
    file = tmp_path / "wrong.py"
    file.write_text(line)
    assert list(written_states(Source(file))) == [1]
