"""The dashboard and the alert rules that people copy from ``deploy/``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from duly import Scheduler
from duly.observe import Metrics
from tests.support.sources import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "duly.json"
RULES = ROOT / "deploy" / "prometheus" / "duly.rules.yml"
GUIDE = ROOT / "docs" / "guides" / "metrics.md"
OF_HISTOGRAMS = tuple(f"_{part}" for part in ("bucket", "sum", "count"))


@pytest.fixture(scope="module")
def exported() -> dict[str, str]:
    """The names of all metrics, as they are exposed, and their types."""
    scheduler = Scheduler("sqlite:///unused.db")
    names = {}
    for metric in Metrics.of(scheduler).describe():
        ending = "_total" if metric.type == "counter" else ""
        names[metric.name + ending] = metric.type
    return names


def expressions(node: Any) -> Iterator[str]:
    """Yield all expressions of PromQL in a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            yield from expressions(value)
    elif isinstance(node, list):
        for each in node:
            yield from expressions(each)


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bduly_\w+", text))


def exists(name: str, exported: dict[str, str]) -> bool:
    if name in exported:
        return exported[name] != "histogram"
    stem = next((name.removesuffix(end) for end in OF_HISTOGRAMS if name.endswith(end)), name)
    return exported.get(stem) == "histogram"


def test_the_dashboard_is_complete(exported: dict[str, str]) -> None:
    """It parses, each panel has a place, a title and a query, and every metric exists."""
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) > 10
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["gridPos"].keys() == {"x", "y", "w", "h"}
        assert list(expressions(panel))
    used = {name for text in expressions(dashboard) for name in metrics_in(text)}
    assert not {name for name in used if not exists(name, exported)}


def test_the_alert_rules_are_complete(exported: dict[str, str]) -> None:
    """They parse, each names what happened and what to do, and every metric exists."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["expr"].count("(") == rule["expr"].count(")")
    used = {name for text in expressions(group) for name in metrics_in(text)}
    assert not {name for name in used if not exists(name, exported)}


def test_the_guide_lists_every_metric(exported: dict[str, str]) -> None:
    """With its type; and none that does not exist."""
    rows = re.findall(r"^\| `(duly_\w+)` \| (\w+)", GUIDE.read_text(), re.MULTILINE)
    assert dict(rows) == exported
