"""``python -m apps.manageit --add-user``: what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from apps.manageit import __main__ as command


@pytest.fixture
def call(manageit_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Calls the command on a database, and returns the exit code."""
    monkeypatch.setenv("DATABASE_URL", manageit_sqlite_url)
    monkeypatch.setattr("getpass.getpass", lambda: "a-long-password")

    def call(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["manageit", "--add-user", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.main()
        return int(ended.value.code or 0)

    return call


def test_an_account_is_added_once(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A second one with the same address is refused, with the reason instead of a traceback."""
    assert call("asha@example.com", "--role", "admin") == 0
    assert call("asha@example.com", "--role", "admin") == 2
    assert "asha@example.com has an account already" in capsys.readouterr().err


def test_an_official_needs_a_mess_that_exists(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the messes that do."""
    official = ("olga@example.com", "--role", "mess_official")
    assert call(*official, "--mess", "mess9") == 2
    assert "there is no mess 'mess9'; there are:" in capsys.readouterr().err
