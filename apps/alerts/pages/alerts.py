"""The pages of alerts, for the users of their client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.alerts import alerts as service
from apps.alerts import evaluations
from apps.alerts.api.schemas import NewAlert, show_alerts
from apps.alerts.frequencies import check_frequency, describe, next_times, schedule_of
from apps.alerts.history import show_run
from apps.alerts.models import Alert, Client, Dependency, Membership, Task, User
from apps.alerts.pages.alert_form import KINDS, AlertForm
from apps.alerts.pages.browser import Browser, Sender, Visitor
from apps.alerts.pages.chart import chart_of
from apps.alerts.scheduling import tag_of
from apps.alerts.triggering import trigger_by_hand
from apps.zones import time_zones
from duly.errors import FrequencyError

router = APIRouter(prefix="/alerts", include_in_schema=False)

PAGE, ROWS, DRAWN = 50, 12, 100
TIMES = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """The query of the list."""

    show: Literal["active", "inactive"] | None = None
    client: UUID | None = None
    page: Annotated[int, Query(ge=1, le=100_000)] = 1


@router.get("", name="alerts")
async def alerts(browser: Visitor, choice: Annotated[Choice, Depends(Choice)]) -> Response:
    """List the alerts of the user's clients."""
    user, services = browser.user, browser.services
    mine = service.alerts_of(user)
    if choice.client is not None:
        mine = mine.where(Alert.client_id == choice.client)
    wanted = mine
    if choice.show is not None:
        wanted = mine.where(Alert.is_active if choice.show == "active" else ~Alert.is_active)
    wanted = wanted.order_by(Alert.name, Alert.id)
    async with services.database.session() as session:
        counting = mine.with_only_columns(Alert.is_active, func.count()).group_by(Alert.is_active)
        counts = {bool(row[0]): int(row[1]) for row in await session.execute(counting)}
        found = list(await session.scalars(wanted.limit(PAGE).offset((choice.page - 1) * PAGE)))
        values = await evaluations.latest(session, [alert.id for alert in found])
        clients = await clients_of(session, user)
    chosen = {None: sum(counts.values()), "active": counts.get(True, 0),
              "inactive": counts.get(False, 0)}  # fmt: skip
    return await browser.show(
        "alerts.html", alerts=await show_alerts(services, found), values=values, clients=clients,
        choice=choice, counts=chosen, pages=max(1, -(-chosen[choice.show] // PAGE)),
    )  # fmt: skip


@router.get("/new", name="new-alert")
async def new(browser: Visitor) -> Response:
    """Show the form of an alert to be."""
    async with browser.services.database.session() as session:
        clients = await clients_of(session, browser.user)
    first = next(iter(clients), None)
    form = AlertForm.new(first, browser.services.settings.default_timezone)
    return await _form(browser, form)


@router.post("/new")
async def create(browser: Sender) -> Response:
    """Create an alert, or show the form with its errors."""
    user, services = browser.user, browser.services
    form = AlertForm.sent(await browser.request.form())
    values = _validated(browser, form)
    if not isinstance(values, NewAlert):
        return await _form(browser, form, faults=values)
    try:
        async with services.database.begin() as session:
            alert = await service.create(services, session, user, values.model_dump())
    except HTTPException as error:
        return await _form(browser, form, faults={"form": str(error.detail)})
    return browser.go_to("alert", {"done": "created"}, alert_id=alert.id)


@router.post("/preview", name="preview-frequency")
async def preview(browser: Sender, part: bool = False) -> Response:
    """Show the next times of the form's frequency: as a part for scripts, or on the whole form."""
    form = AlertForm.sent(await browser.request.form())
    if not part:
        return await _form(browser, form, alert_id=form.text("alert_id") or None)
    return await browser.show("preview.html", preview=_preview(browser, form))


@router.get("/{alert_id}", name="alert")
async def show(browser: Visitor, alert_id: UUID, done: str = "") -> Response:
    """Show an alert with its evaluations, runs, tasks and dependencies."""
    return await _alert(browser, alert_id, done=done)


@router.get("/{alert_id}/edit", name="edit-alert")
async def edit(browser: Visitor, alert_id: UUID) -> Response:
    """Show the form of an alert."""
    async with browser.services.database.session() as session:
        alert = await service.find(session, browser.user, alert_id)
    form = AlertForm.of(alert, browser.services.settings.default_timezone)
    return await _form(browser, form, alert_id=str(alert_id))


@router.post("/{alert_id}/edit")
async def change(browser: Sender, alert_id: UUID) -> Response:
    """Change an alert, or show the form with its errors."""
    user, services = browser.user, browser.services
    form = AlertForm.sent(await browser.request.form())
    async with services.database.session() as session:
        stored = await service.find(session, user, alert_id)
    values = _validated(browser, form, stored)
    if not isinstance(values, NewAlert):
        return await _form(browser, form, alert_id=str(alert_id), faults=values)
    changes = values.model_dump()
    if _is_unchanged(browser, form, stored):
        del changes["frequency"]  # one that has passed is not a reason to refuse another name
    try:
        async with services.database.begin() as session:
            alert = await service.find(session, user, alert_id, change=True)
            await service.update(services, session, user, alert, changes)
    except HTTPException as error:
        faults = form.fault_of(error)
        return await _form(browser, form, alert_id=str(alert_id), faults=faults)
    return browser.go_to("alert", {"done": "changed"}, alert_id=alert_id)


@router.post("/{alert_id}/trigger", name="trigger-alert")
async def trigger(browser: Sender, alert_id: UUID) -> Response:
    """Trigger an alert now, as its user."""
    try:
        instance = await trigger_by_hand(browser.services, browser.user, alert_id)
    except HTTPException as error:
        if error.status_code != 409:
            raise
        return await _alert(browser, alert_id, fault=str(error.detail))
    done = "triggered" if instance.condition_met else "evaluated"
    return browser.go_to("alert", {"done": done}, alert_id=alert_id)


@router.post("/{alert_id}/activity", name="switch-alert")
async def switch(browser: Sender, alert_id: UUID, active: bool = False) -> Response:
    """Activate or deactivate an alert."""
    user, services = browser.user, browser.services
    try:
        async with services.database.begin() as session:
            alert = await service.find(session, user, alert_id, change=True)
            await service.update(services, session, user, alert, {"is_active": active})
    except HTTPException as error:
        if error.status_code != 422:
            raise
        return await _alert(browser, alert_id, fault=str(error.detail))
    done = "activated" if active else "deactivated"
    return browser.go_to("alert", {"done": done}, alert_id=alert_id)


@router.post("/{alert_id}/delete", name="delete-alert")
async def delete(browser: Sender, alert_id: UUID) -> Response:
    """Delete an alert."""
    user, services = browser.user, browser.services
    async with services.database.begin() as session:
        alert = await service.find(session, user, alert_id, change=True)
        await service.remove(services, session, user, alert)
    return browser.go_to("alerts")


@router.post("/{alert_id}/tasks/{task_id}", name="finish-task")
async def finish_task(browser: Sender, alert_id: UUID, task_id: UUID) -> Response:
    """Mark a task of an alert as done."""
    async with browser.services.database.begin() as session:
        alert = await service.find(session, browser.user, alert_id)
        task = await session.get(Task, task_id)
        if task is None or task.client_id != alert.client_id:
            raise HTTPException(404, "This task does not exist.")
        task.status = "done"
    return browser.go_to("alert", alert_id=alert_id)


@router.post("/{alert_id}/dependencies", name="add-parent")
async def add_parent(browser: Sender, alert_id: UUID) -> Response:
    """Let an alert run after another one, or change how it does."""
    form = AlertForm.sent(await browser.request.form())
    try:
        parent, delay = UUID(form.text("parent")), int(form.text("delay") or 0)
    except ValueError:
        return await _alert(browser, alert_id, fault="Choose an alert, and a delay in seconds.")
    condition: Any = form.text("condition")
    if condition not in _CONDITIONS or not 0 <= delay <= 86_400:
        return await _alert(browser, alert_id, fault="Choose a delay of 0 to 86,400 seconds.")

    def add(links: list[_Link]) -> list[_Link]:
        return [*(one for one in links if one[0] != parent), (parent, condition, delay)]

    return await _relink(browser, alert_id, add)


@router.post("/{alert_id}/dependencies/{parent_id}/remove", name="remove-parent")
async def remove_parent(browser: Sender, alert_id: UUID, parent_id: UUID) -> Response:
    """Let an alert no longer run after another one."""
    return await _relink(
        browser, alert_id, lambda links: [one for one in links if one[0] != parent_id]
    )


_CONDITIONS = ("on_success", "on_triggered", "on_failure", "always")
_Link = tuple[UUID, Any, int]


async def _relink(
    browser: Browser, alert_id: UUID, change_links: Callable[[list[_Link]], list[_Link]]
) -> Response:
    user, services = browser.user, browser.services
    try:
        async with services.database.begin() as session:
            alert = await service.find(session, user, alert_id, change=True)
            stored = await service.parents_of(session, alert)
            links = [(link.parent_id, link.condition, link.delay_seconds) for link, _ in stored]
            await service.set_parents(services, session, user, alert, change_links(links))
    except HTTPException as error:
        return await _alert(browser, alert_id, fault=str(error.detail))
    return browser.go_to("alert", {"done": "linked"}, alert_id=alert_id)


async def clients_of(session: AsyncSession, user: User) -> dict[UUID, str]:
    """Return the names of a user's clients by id, in the order of the names."""
    query = select(Client.id, Client.name).join(Membership, Membership.client_id == Client.id)
    query = query.where(Membership.user_id == user.id).order_by(Client.name, Client.id)
    return {row.id: row.name for row in await session.execute(query)}


async def _alert(
    browser: Browser, alert_id: UUID, *, done: str = "", fault: str | None = None
) -> Response:
    """Show the page of an alert."""
    user, services = browser.user, browser.services
    async with services.database.session() as session:
        alert = await service.find(session, user, alert_id)
        instances = await evaluations.recent(session, alert_id, limit=DRAWN)
        clients = await clients_of(session, user)
        parents = await service.parents_of(session, alert)
        children = select(Alert.id, Alert.name).join(Dependency, Dependency.child_id == Alert.id)
        children = children.where(Dependency.parent_id == alert_id, Alert.deleted_at.is_(None))
        others = select(Alert.id, Alert.name).where(
            Alert.client_id == alert.client_id, Alert.id != alert_id, Alert.deleted_at.is_(None)
        )
        context = {
            "children": (await session.execute(children.order_by(Alert.name))).all(),
            "others": (await session.execute(others.order_by(Alert.name))).all(),
        }
    [shown] = await show_alerts(services, [alert])
    runs = await services.scheduler.aio.runs(tag=tag_of(alert_id), limit=ROWS)
    return await browser.show(
        "alert.html", status=409 if fault else 200, alert=shown, client=clients[alert.client_id],
        zone=shown["timezone"] or services.settings.default_timezone,
        instances=instances[:ROWS], chart=chart_of([one for one, _ in instances]),
        runs=[show_run(run) for run in runs], parents=parents, done=done, fault=fault, **context,
    )  # fmt: skip


async def _form(
    browser: Browser, form: AlertForm, *, alert_id: str | None = None,
    faults: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    """Show the form, with the next times of its frequency."""
    async with browser.services.database.session() as session:
        clients = await clients_of(session, browser.user)
    shown = _preview(browser, form)
    return await browser.show(
        "form.html", status=422 if faults else 200, form=form, clients=clients, kinds=KINDS,
        zones=time_zones(), alert_id=alert_id, preview=shown,
        faults={**(shown["faults"] if faults else {}), **(faults or {})},
    )  # fmt: skip


def _preview(browser: Browser, form: AlertForm) -> dict[str, Any]:
    """Return the next times of a form's frequency, or what is wrong with it."""
    settings, now = browser.services.settings, browser.services.clock.now()
    nothing: dict[str, Any] = {"times": [], "faults": {}, "warnings": [], "description": None}
    if form.frequency is None:
        return nothing
    try:
        trigger = check_frequency(form.frequency, settings, now)
    except HTTPException as error:
        return {**nothing, "faults": form.fault_of(error)}
    times = next_times(trigger, now, TIMES)
    return {**nothing, **describe(trigger), "times": times}


def _validated(
    browser: Browser, form: AlertForm, stored: Alert | None = None
) -> NewAlert | dict[str, str]:
    """Return the form's values, or messages; an unchanged frequency need not be in the future."""
    checked = form.checked()
    faults = _preview(browser, form)["faults"]
    if stored is not None and _is_unchanged(browser, form, stored):
        faults = {}
    if isinstance(checked, NewAlert) and not faults:
        return checked
    return {**faults, **({} if isinstance(checked, NewAlert) else checked)}


def _is_unchanged(browser: Browser, form: AlertForm, stored: Alert) -> bool:
    """Return whether the form's frequency means what is stored."""
    rule = form.frequency
    if rule is None or stored.frequency is None:
        return rule == stored.frequency
    try:
        return schedule_of(rule, browser.services.settings).rule == stored.frequency
    except FrequencyError:
        return False
