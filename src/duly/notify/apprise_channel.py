"""Channels of the library apprise: Slack, Teams, Discord, ntfy and a hundred others."""

from __future__ import annotations

from dataclasses import dataclass, field

from duly.errors import ConfigurationError, NotDelivered
from duly.model.checks import label
from duly.model.notice import Notice
from duly.notify.secrets import SecretText, literal, reveal


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """Sends notices to a service that apprise knows.

    Attributes:
        name: its name.
        url: the service's URL, as apprise takes it.
    """

    name: str
    url: SecretText = field(repr=False)

    def send(self, notice: Notice) -> None:
        """See `Channel.send`."""
        try:
            from apprise import Apprise, NotifyType  # noqa: PLC0415 - takes 300 ms
        except ModuleNotFoundError as error:
            raise NotDelivered("apprise is not installed: pip install 'duly[apprise]'") from error
        service = Apprise()
        if not service.add(reveal(self.url)):
            raise NotDelivered(f"apprise does not accept the URL of channel {self.name!r}")
        kind = NotifyType.SUCCESS if notice.is_recovery else NotifyType.WARNING
        if not service.notify(title=notice.title, body="\n".join(notice.lines), notify_type=kind):
            raise NotDelivered(f"apprise could not send to channel {self.name!r}; see its log")


def apprise(url: SecretText, *, name: str | None = None) -> AppriseChannel:
    """Return a channel of a service that apprise knows; needs ``duly[apprise]``.

    The service does not learn that a notice is sent again, which happens in rare cases.

    Args:
        url: the service's URL, such as ``slack://…``; ``secret("NAME")``, or a function that
            returns it. It usually contains a secret, and is not stored.
        name: the channel's name; default: the URL's scheme, if the URL is given as text.

    Raises:
        ConfigurationError: it has no name, or the URL no scheme.
    """
    own = name
    known = literal(url) or ""
    if own is None and "://" in known:
        own = "apprise:" + known.partition("://")[0]
    if own is None:
        raise ConfigurationError("give apprise() a URL such as 'slack://…', and a name='…'")
    return AppriseChannel(label(191)("name", own), url)
