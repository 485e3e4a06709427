"""``duly notify``: rules, the outbox, and tests of channels, as by the API."""

from __future__ import annotations

import json

from tests.cli.test_management import Shop, call, small

__all__ = ["small"]


def test_notice_rules_and_the_outbox(small: Shop) -> None:
    """Rules are added, listed and removed, and notices retried, as by the API."""
    url = ("--url", small.url)
    added = call(
        "notify", "rules", "add", "nights", *url, "--on", "run.failed", "--to", "pager",
        "--tag", "night", "--every", "60", "--quiet", "22:00", "07:00", "UTC", "--json",
    )  # fmt: skip
    assert added.exit_code == 0, added.output
    rule = json.loads(added.output)
    assert (rule["tags"], rule["quiet"]["start"]) == (["night"], "22:00")
    listed = call("notify", "rules", "list", *url)
    assert "nights\t" in listed.output
    again = call("notify", "rules", "add", "nights", *url, "--on", "run.failed", "--to", "x")
    assert again.exit_code == 4
    assert call("notify", "rules", "remove", "nights", *url, "--yes").exit_code == 0
    assert call("notify", "rules", "remove", "nights", *url, "--yes").exit_code == 3
    bad = call("notify", "rules", "add", "x", *url, "--on", "nonsense", "--to", "pager")
    assert bad.exit_code == 2


def test_a_channel_is_tested(small: Shop) -> None:
    """The exit code tells whether the notice was sent in time."""
    url = ("--url", small.url)
    waiting = call("notify", "test", "pager", *url, "--wait", "0", "--json")
    assert waiting.exit_code == 1
    notice = json.loads(waiting.output)
    assert notice["state"] == "pending"
    listed = call("notify", "outbox", "list", *url, "--state", "pending")
    assert notice["id"] in listed.output
    retried = call("notify", "outbox", "retry", notice["id"], *url)
    assert retried.exit_code == 0
    refused = call("notify", "test", "http://127.0.0.1/", *url)
    assert refused.exit_code == 2
