"""What people fill in: the fields, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import abort
from flask_wtf import FlaskForm
from wtforms import (
    DateField,
    DecimalField,
    Field,
    IntegerField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
    ValidationError,
)
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange

from apps.manageit import messes
from apps.manageit.menus import MEALS
from apps.manageit.services import today

_MAX = Decimal("99999.99")


def read_date(text: str, status: int = 422) -> date:
    """Return the date of a path or a query; refuse one that has no day before or after it."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found in (date.min, date.max):
        abort(status, f"{text!r} is not a date; write it as 2026-06-15.")
    return found


def first_error(form: FlaskForm) -> str:
    """Return the first message of a form, for answers that have room for one only."""
    errors: dict[str, list[str]] = form.errors
    return next(text for texts in errors.values() for text in texts)


def _trim(value: str | None) -> str | None:
    return value.strip() if value else value


def _meal() -> SelectField:
    return SelectField("Meal", choices=MEALS)


def _text(label: str, longest: int, message: str) -> StringField:
    return StringField(label, [DataRequired(message), Length(max=longest)], filters=[_trim])


class _Amount(DecimalField):
    """An amount with the two decimals that the database stores."""

    data: Decimal | None

    def process_formdata(self, valuelist: Sequence[Any]) -> None:
        """Round the value; refuse one that is not finite."""
        super().process_formdata(valuelist)
        try:
            self.data = self.data and self.data.quantize(Decimal("0.01"))
        except InvalidOperation:
            self.data = None
            raise ValueError(self.gettext("Not a valid decimal value.")) from None


def _kilograms() -> DecimalField:
    return _Amount(
        "Waste in Kg",
        [
            InputRequired("Enter the waste in kilograms."),
            NumberRange(0, _MAX, "Waste is at least 0 Kg, and less than 100,000."),
        ],
    )


def _price() -> DecimalField:
    return _Amount(
        "Price in ₹",
        [InputRequired("Enter a price."), NumberRange(0, _MAX, "A price is 0 or more.")],
    )


class FeedbackForm(FlaskForm):
    """A rating of a meal of today."""

    mess = SelectField("Mess", choices=lambda: [row["name"] for row in messes.active()])
    meal = _meal()
    rating = IntegerField("Rating", [NumberRange(1, 5, "Choose a rating from 1 to 5.")])
    comment = TextAreaField("Comment", [Length(max=1000)], filters=[_trim])


class _Dated(FlaskForm):
    menu_date = DateField("Date", [InputRequired("Choose a date.")], default=today)
    meal = _meal()

    def validate_menu_date(self, field: Field) -> None:
        """Refuse a date that has passed."""
        if field.data and field.data < today():
            raise ValidationError("This day has passed; choose today or a later day.")


class DatedForm(_Dated):
    """An item that replaces the regular menu of a meal on one day."""

    item_name = _text("Item", 120, "Name the item.")
    category = StringField("Category", [Length(max=40)], filters=[_trim])


class NonVegForm(_Dated):
    """A non-vegetarian extra of a meal on one day."""

    item_name = _text("Item", 120, "Name the item.")
    price = _price()


class WasteForm(FlaskForm):
    """What a floor has thrown away on a day."""

    floor = _text("Floor", 40, "Name the floor.")
    waste_date = DateField("Date", [InputRequired("Choose a date.")], default=today)
    total_waste = _kilograms()
    meal = SelectField("Meal", choices=[SelectChoice("", "The whole day"), *MEALS])

    def validate_waste_date(self, field: Field) -> None:
        """Refuse a day that has not come yet."""
        if field.data and field.data > today():
            raise ValidationError("This day has not come yet.")


class MealTimeForm(FlaskForm):
    """When the admins are told of a meal's feedback."""

    time = TimeField("Time", [InputRequired("Write the time as 14:30.")])
