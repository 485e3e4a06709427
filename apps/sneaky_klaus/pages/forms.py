"""What people fill in: the fields, and what is wrong with them."""

from __future__ import annotations

import re
from datetime import datetime
from unicodedata import category

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    Field,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
    TimeField,
    ValidationError,
)
from wtforms.validators import DataRequired, InputRequired, Length
from wtforms.widgets import CheckboxInput

from apps.mail import is_address
from apps.sneaky_klaus import webhooks
from apps.sneaky_klaus.models import Exchange
from apps.sneaky_klaus.services import services
from apps.web.flask_sign_in import MAX_PASSWORD
from apps.zones import is_time_zone, local_time, time_zones, wall_clock
from duly.errors import AddressRefused

MIN_PASSWORD = 8
_EMAIL = r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+"


def _trim(value: str | None) -> str | None:
    """Return text without white space around it, and without control characters in it."""
    if value is None:
        return None
    return "".join(each for each in value if each in "\n\t" or category(each) != "Cc").strip()


def _one_line(value: str | None) -> str | None:
    return value and " ".join(value.split())


def _text(label: str, longest: int, message: str) -> StringField:
    checks = [DataRequired(message), Length(max=longest)]
    return StringField(label, checks, filters=[_one_line, _trim])


def _email() -> EmailField:
    return EmailField("E-mail", [Length(max=254), _check_address], filters=[_trim])


def _check_address(_form: FlaskForm, field: Field) -> None:
    """Refuse what is not an address of the Internet to which mails can be sent."""
    if not (re.fullmatch(_EMAIL, field.data or "") and is_address(field.data)):
        raise ValidationError("This is not a valid e-mail address.")


def _name() -> StringField:
    return _text("Your name", 120, "Enter the name by which the others know you.")


def _gift_ideas() -> TextAreaField:
    return TextAreaField("Gift ideas", [Length(max=4000)], filters=[_trim])


class SetUpForm(FlaskForm):
    """The account of the first admin."""

    email = _email()
    password = PasswordField(
        "Password",
        [Length(MIN_PASSWORD, MAX_PASSWORD, f"Use {MIN_PASSWORD} to {MAX_PASSWORD} characters.")],
    )


class ExchangeForm(FlaskForm):
    """An exchange; its date and time are those of its zone."""

    name = _text("Name", 120, "Give the exchange a name.")
    description = TextAreaField("Description", [Length(max=4000)], filters=[_trim])
    date = DateField("Date", [InputRequired("Choose a date.")])
    time = TimeField("Time", [InputRequired("Choose a time.")])
    timezone = SelectField("Time zone", choices=time_zones, default="UTC", validate_choice=False)

    @classmethod
    def of(cls, exchange: Exchange) -> ExchangeForm:
        """Return the form of a stored exchange, filled in with what was sent."""
        local = local_time(exchange.exchange_date, exchange.timezone)
        form = cls(obj=exchange, date=local.date(), time=local.time())
        form.stored = exchange.exchange_date
        return form

    stored: datetime | None = None

    @property
    def event(self) -> datetime:
        """The instant of the exchange."""
        local = datetime.combine(self.date.data, self.time.data)
        return wall_clock(local, str(self.timezone.data))

    def validate_timezone(self, field: Field) -> None:
        """Refuse an unknown zone."""
        if not is_time_zone(field.data or ""):
            raise ValidationError("This time zone does not exist.")

    def validate_date(self, field: Field) -> None:
        """Refuse a date that has passed, unless it is the stored one."""
        if not (field.data and self.time.data and is_time_zone(self.timezone.data or "")):
            return
        try:
            passed = self.event <= services().clock.now() and self.event != self.stored
        except OverflowError:
            raise ValidationError("Choose another date.") from None
        if passed:
            raise ValidationError("This date has passed; choose one in the future.")


class RegistrationForm(FlaskForm):
    """A participant-to-be."""

    name = _name()
    email = _email()
    gift_ideas = _gift_ideas()


class LinkForm(FlaskForm):
    """The address of a participant who wants to sign in."""

    email = _email()


class ProfileForm(FlaskForm):
    """What participants may change of themselves."""

    name = _name()
    gift_ideas = _gift_ideas()
    reminder_enabled = BooleanField("Remind me by e-mail before the exchange")


class RemindersForm(FlaskForm):
    """On which days before an exchange its participants are reminded."""

    reminder_days = StringField("Days before the exchange")

    def validate_reminder_days(self, field: Field) -> None:
        """Refuse what is not a list of different numbers of days."""
        try:
            days = [int(part) for part in (field.data or "").replace(",", " ").split()]
        except ValueError:
            raise ValidationError("Give whole numbers of days, such as 7, 3, 1.") from None
        if not all(1 <= day <= 365 for day in days):
            raise ValidationError("Give numbers from 1 to 365.")
        if len(set(days)) < len(days):
            raise ValidationError("Give each number of days once.")
        if len(days) > 10:
            raise ValidationError("Give at most 10 numbers of days.")
        self.days = sorted(days, reverse=True)

    days: list[int]


class _Boxes(SelectMultipleField):
    """Several choices, as boxes to tick."""

    option_widget = CheckboxInput()


class WebhookForm(FlaskForm):
    """Where events are sent, and which."""

    url = StringField(
        "URL", [DataRequired("Give the URL of the receiver."), Length(max=2000)], filters=[_trim]
    )
    events = _Boxes(
        "Events", [DataRequired("Choose at least one event.")],
        choices=webhooks.EVENTS,
    )  # fmt: skip
    active = BooleanField("Send events", default=True)

    def validate_url(self, field: Field) -> None:
        """Refuse a URL that is not valid, or leads to a private address."""
        try:
            webhooks.check_url(field.data or "")
        except AddressRefused as error:
            raise ValidationError(str(error)) from None
