"""Configuration from the environment."""

from __future__ import annotations

from typing import Any

import pytest

from apps.expireeye.settings import Settings, SettingsError
from tests.support.processes import Children


def test_every_setting_has_a_default() -> None:
    """An empty environment starts on SQLite, every ten seconds, with a secret of its own."""
    settings = Settings.from_environment({"ALLOWED_ORIGINS": ""})
    assert settings.database_url.startswith("sqlite:///")
    assert (settings.expiry_check_frequency, settings.frequency.grace) == ("10s", 30)
    assert (settings.expiry_batch_size, settings.ws_max_per_user) == (500, 5)
    assert (settings.history_retention_days, settings.shutdown_grace_seconds) == (14, 10)
    other = Settings.from_environment({})
    assert len(settings.jwt_secret) >= 32
    assert settings.jwt_secret != other.jwt_secret


def test_values_are_read() -> None:
    """Numbers, switches, lists, cron fields."""
    settings = Settings.from_environment(
        {
            "SCHEDULER_ENABLED": "false",
            "ALLOWED_ORIGINS": "https://a.example, https://b.example/",
            "EXPIRY_CHECK_FREQUENCY": "0 6,18 * * *",
            "MISFIRE_GRACE_SECONDS": "7.5",
            "LOG_LEVEL": "debug",
            "UNRELATED": "x",
        }
    )
    assert settings.scheduler_enabled is False
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.frequency.trigger.crontab == "0 6,18 * * *"
    assert (settings.frequency.grace, settings.log_level) == (7.5, "DEBUG")


@pytest.mark.parametrize(
    ("name", "grace"), [("10s", 30), ("minute", 300), ("hour", 300), ("daily", 3600)]
)
def test_each_frequency_has_its_grace(name: str, grace: float) -> None:
    """30 seconds, 5 minutes, 5 minutes, 1 hour."""
    assert Settings.from_environment({"EXPIRY_CHECK_FREQUENCY": name}).frequency.grace == grace


BAD = [
    ({"DATABASE_URL": "somewhere"}, "DATABASE_URL"),
    ({"DATABASE_URL": "oracle://host/x"}, "DATABASE_URL"),
    ({"EXPIRY_CHECK_FREQUENCY": "often"}, "EXPIRY_CHECK_FREQUENCY"),
    ({"EXPIRY_CHECK_FREQUENCY": "61 * * * *"}, "EXPIRY_CHECK_FREQUENCY"),
    ({"SCHEDULER_ENABLED": "perhaps"}, "SCHEDULER_ENABLED"),
    ({"SCHEDULER_TIMEZONE": "Mars/Base"}, "SCHEDULER_TIMEZONE"),
    ({"SCHEDULER_HEARTBEAT": "slow"}, "SCHEDULER_HEARTBEAT"),
    ({"EXPIRY_BATCH_SIZE": "0"}, "EXPIRY_BATCH_SIZE"),
    ({"MISFIRE_GRACE_SECONDS": "-1"}, "MISFIRE_GRACE_SECONDS"),
    ({"SHUTDOWN_GRACE_SECONDS": "ten"}, "SHUTDOWN_GRACE_SECONDS"),
    ({"HISTORY_RETENTION_DAYS": "0"}, "HISTORY_RETENTION_DAYS"),
    ({"ENVIRONMENT": "production"}, "JWT_SECRET"),
    ({"JWT_SECRET": "short"}, "JWT_SECRET"),
    ({"WS_MAX_PER_USER": "0"}, "WS_MAX_PER_USER"),
    ({"METRICS_NETWORKS": "10.0.0.0/99"}, "METRICS_NETWORKS"),
    ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
]


@pytest.mark.parametrize(("environ", "name"), BAD)
def test_a_bad_value_names_its_variable(environ: dict[str, str], name: str) -> None:
    """The message begins with the name."""
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_environment(environ)


@pytest.mark.processes
def test_a_bad_value_stops_the_start(children: Children) -> None:
    """The process ends with one line, not with a traceback."""
    child = children.python("-m", "apps.expireeye", env={"EXPIRY_BATCH_SIZE": "many"})
    assert child.wait() == 2
    assert child.output().startswith("cannot start: EXPIRY_BATCH_SIZE: ")
    assert child.output().count("\n") == 1


def test_settings_cannot_be_changed() -> None:
    """What was configured at the start holds."""
    settings: Any = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.expiry_batch_size = 5
