"""A function as a channel."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from duly.errors import ConfigurationError
from duly.model.checks import label
from duly.model.notice import Notice

Tell = Callable[[Notice], object]


@dataclass(frozen=True, slots=True)
class FunctionChannel:
    """Calls a function of the application with each notice.

    Attributes:
        name: its name.
        function: the function; whatever it raises means that the notice was not sent.
    """

    name: str
    function: Tell

    def send(self, notice: Notice) -> None:
        """See `Channel.send`."""
        self.function(notice)


def notify(function: Tell, *, name: str | None = None) -> FunctionChannel:
    """Return a channel that calls ``function(notice)``.

    The function is called from the thread that sends all notices of this process, so it must
    return within 30 seconds. If it raises, it is called again later. In rare cases it is called
    twice with the same notice, whose ``id`` is the same then.

    Args:
        function: a plain function that takes a `Notice`.
        name: the channel's name; default: the name of the function.

    Raises:
        ConfigurationError: it is a coroutine function or has no name.
    """
    given: object = function
    if not callable(given) or inspect.iscoroutinefunction(given):
        raise ConfigurationError(
            f"notify({given!r}): give a plain function that takes a Notice; one that awaits can "
            "use asyncio.run"
        )
    own = name if name is not None else getattr(function, "__name__", "")
    if own in ("", "<lambda>"):
        raise ConfigurationError("this function has no name of its own; give notify(…, name='…')")
    return FunctionChannel(label(191)("name", own), function)
