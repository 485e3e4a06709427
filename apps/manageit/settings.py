"""The configuration from environment variables. An invalid value prevents the start."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url

from apps.setting_values import checked_database, checked_key, networks_of
from apps.zones import is_time_zone

Meal = Literal["Breakfast", "Lunch", "Snacks", "Dinner"]
ConfigName = Literal["development", "testing", "production"]


class CleanupTable(NamedTuple):
    """A table whose old rows the clean-up deletes."""

    table: str
    column: str
    days: int


def _time(value: object) -> object:
    return time.fromisoformat(value) if isinstance(value, str) else value


def _meal_times(value: object) -> object:
    """Read ``Lunch=14:00,Dinner=22:00``."""
    if not isinstance(value, str):
        return value
    return dict(part.strip().split("=", 1) for part in value.split(",") if part.strip())


def _cleanup_tables(value: object) -> object:
    """Read ``table:column:days``, separated by commas."""
    if not isinstance(value, str):
        return value
    return [part.strip().split(":") for part in value.split(",") if part.strip()]


Clock = Annotated[time, BeforeValidator(_time)]

MEAL_TIMES: dict[Meal, str] = {
    "Breakfast": "10:00", "Lunch": "14:00", "Snacks": "18:00", "Dinner": "22:00",
}  # fmt: skip


class Settings(BaseSettings):
    """The configuration. Each field is set by the variable of the same name in upper case.

    Attributes:
        app_config: ``production`` requires a ``SECRET_KEY``; ``testing`` starts no scheduler.
        database_url: SQLite or MariaDB/MySQL (``mysql+pymysql://…``); also contains Duly's tables.
        db_host: set with the other ``db_`` fields instead of ``database_url``.
        scheduler_enabled: whether this process fires and executes, or only serves requests.
        scheduler_timezone: the zone of all times and dates of the messes.
        cleanup_tables: further tables that the clean-up covers: ``table:column:days kept``.
        alert_interval_minutes: how often alerts are generated.
        alert_window_days: the number of days, today included, that alerts look at.
        high_waste_kg: a floor that wastes more than this within the window raises an alert.
        low_rating: a meal that is rated below this raises an alert.
        low_rating_min_count: the number of ratings that it needs.
        critical_rating: admins are told of feedback rated so, or lower.
        meal_notify_times: when admins are told, for each meal: ``Lunch=14:00,Dinner=22:00``.
        mail_host: the SMTP server; without one, notices are only stored.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    app_config: ConfigName = "development"
    database_url: str = "sqlite:///var/manageit.db"
    db_host: str | None = None
    db_port: int = Field(3306, ge=1, le=65535)
    db_user: str = "root"
    db_password: SecretStr = SecretStr("")
    db_name: str = "manageit"
    db_pool_size: int = Field(5, ge=1, le=100)
    secret_key: SecretStr = SecretStr("")
    scheduler_enabled: bool = True
    scheduler_timezone: str = "Asia/Kolkata"
    cleanup_time: Clock = time(0, 0)
    cleanup_tables: Annotated[
        tuple[CleanupTable, ...], NoDecode, BeforeValidator(_cleanup_tables)
    ] = ()
    alert_interval_minutes: int = Field(60, ge=1, le=1440)
    alert_window_days: int = Field(7, ge=1, le=90)
    high_waste_kg: float = Field(50, ge=0)
    low_rating: float = Field(3.0, ge=1, le=5)
    low_rating_min_count: int = Field(1, ge=1)
    critical_rating: int = Field(2, ge=1, le=5)
    meal_notify_times: Annotated[
        dict[Meal, Clock], NoDecode, BeforeValidator(_meal_times), Field(validate_default=True)
    ] = {}
    report_time: Clock = time(23, 30)
    history_retention_days: float = Field(90, gt=0)
    shutdown_grace_seconds: float = Field(12, ge=0, le=600)
    mail_host: str | None = None
    mail_port: int = Field(587, ge=1, le=65535)
    mail_security: Literal["starttls", "tls", "none"] = "starttls"
    mail_username: str | None = None
    mail_password: SecretStr | None = None
    mail_from: str = "manageit@example.com"
    metrics_networks: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.0/8", "::1/128")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def starts_scheduler(self) -> bool:
        """Whether the scheduler starts in a process that serves."""
        return self.scheduler_enabled and self.app_config != "testing"

    @property
    def zone(self) -> ZoneInfo:
        """The zone of all times and dates of the messes."""
        return ZoneInfo(self.scheduler_timezone)

    @property
    def url(self) -> URL:
        """The database."""
        if self.db_host is None:
            return make_url(self.database_url)
        return URL.create(
            "mysql+pymysql", self.db_user, self.db_password.get_secret_value() or None,
            self.db_host, self.db_port, self.db_name,
        )  # fmt: skip

    @field_validator("meal_notify_times")
    @classmethod
    def _every_meal(cls, value: dict[Meal, time]) -> dict[Meal, time]:
        return {
            meal: value.get(meal, time.fromisoformat(usual)) for meal, usual in MEAL_TIMES.items()
        }

    @field_validator("metrics_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return networks_of(value)

    @field_validator("scheduler_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if not is_time_zone(value):
            raise ValueError(f"{value!r} is not an IANA time zone")
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        return checked_database(value, "sqlite", "mysql", "mariadb")

    @model_validator(mode="after")
    def _secret(self) -> Self:
        key = checked_key("SECRET_KEY", self.secret_key, required=self.app_config == "production")
        object.__setattr__(self, "secret_key", key)
        return self
