"""The configuration from environment variables. An invalid value prevents the start."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from apps.setting_values import checked_database, checked_key, networks_of, parts_of
from duly import CatchUp, JobDefaults

Day = Annotated[int, Field(ge=1, le=365)]


class Settings(BaseSettings):
    """The configuration. Each field is set by the variable of the same name in upper case.

    Attributes:
        environment: ``production`` requires a ``SECRET_KEY``.
        database_url: SQLite or PostgreSQL; it also contains Duly's tables.
        secret_key: signs links, and derives the tokens of magic links.
        base_url: the address of this application in mails.
        mail: where mails go: ``file`` writes them into ``mail_folder``, ``smtp`` sends them to a
            server, ``resend`` to the service of this name.
        allow_private_webhooks: whether webhooks may lead to addresses that are not public.
        scheduler_enabled: whether this process fires and executes, or only serves requests.
        job_coalesce: whether only the newest of several overdue times runs.
        retention_days: how long a completed exchange is kept.
        purge_warning_days: how long before its removal the admin is warned.
        metrics_networks: the networks that may read ``/metrics``, separated by commas.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    environment: Literal["development", "production"] = "development"
    database_url: str = "sqlite:///var/sneaky_klaus.db"
    secret_key: SecretStr = SecretStr("")
    base_url: str = "http://127.0.0.1:8000"
    mail: Literal["file", "smtp", "resend"] = "file"
    mail_from: str = "sneaky-klaus@example.com"
    mail_folder: str = "var/mail"
    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    resend_api_key: SecretStr = SecretStr("")
    resend_url: str = "https://api.resend.com/emails"
    allow_private_webhooks: bool = False
    scheduler_enabled: bool = True
    scheduler_max_workers: int = Field(4, ge=1, le=100)
    job_coalesce: bool = True
    job_max_instances: int = Field(1, ge=1, le=10)
    job_misfire_grace: float = Field(300, ge=1)
    reminder_misfire_grace: float = Field(3600, ge=1)
    default_reminder_days: Annotated[tuple[Day, ...], NoDecode] = (7, 3, 1)
    retention_days: int = Field(30, ge=1)
    purge_warning_days: int = Field(7, ge=0)
    used_token_retention_hours: int = Field(24, ge=0)
    job_history_days: float = Field(90, gt=0)
    shutdown_grace_seconds: float = Field(20, ge=0, le=600)
    metrics_networks: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.0/8", "::1/128")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def job_defaults(self) -> JobDefaults:
        """The options of all jobs that do not set their own."""
        return JobDefaults(
            misfire_grace=self.job_misfire_grace,
            catch_up=CatchUp("latest" if self.job_coalesce else "all"),
            overlap="skip",
            max_running=self.job_max_instances,
            keep=self.job_history_days,
        )

    @field_validator("default_reminder_days", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        return parts_of(value)

    @field_validator("metrics_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return networks_of(value)

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("give the address as people type it: https://klaus.example.com")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        return checked_database(value, "sqlite", "postgresql")

    @model_validator(mode="after")
    def _secrets(self) -> Self:
        if self.mail == "resend" and not self.resend_api_key.get_secret_value():
            raise ValueError("RESEND_API_KEY is required when MAIL is resend")
        if self.purge_warning_days >= self.retention_days:
            raise ValueError("PURGE_WARNING_DAYS must be less than RETENTION_DAYS")
        key = checked_key("SECRET_KEY", self.secret_key, required=self.environment == "production")
        object.__setattr__(self, "secret_key", key)
        return self
