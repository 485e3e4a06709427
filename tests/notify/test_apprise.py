"""Channels of apprise: the library sends, and its failures are tried again."""

from __future__ import annotations

import json

import pytest

from duly.errors import ConfigurationError, NotDelivered
from duly.notify import apprise
from tests.notify.conftest import Received, sample

# The library itself imports what later versions of Python lack, and does without it there.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_service_of_apprise_receives_title_and_text(receiver: Received) -> None:
    """Here by apprise's own kind of webhook."""
    receiver.status = 200
    url = receiver.url.replace("http://", "json://").partition("?")[0]
    apprise(url).send(sample(error="ValueError", message="no"))
    [(_path, _headers, body)] = receiver.requests
    sent = json.loads(body)
    assert (sent["title"], sent["type"]) == ("Job nightly failed", "warning")
    assert "ValueError: no" in sent["message"]
    receiver.status = 500
    with pytest.raises(NotDelivered, match="could not send"):
        apprise(url).send(sample())


def test_a_url_that_apprise_does_not_know_is_a_failure() -> None:
    """It is not shown, because it usually contains a secret."""
    channel = apprise("nonsense://token", name="chat")
    with pytest.raises(NotDelivered, match="does not accept the URL of channel 'chat'") as refused:
        channel.send(sample())
    assert "token" not in str(refused.value) + repr(channel)
    with pytest.raises(ConfigurationError, match="name='…'"):
        apprise(lambda: "slack://x")
