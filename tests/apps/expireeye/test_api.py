"""The JSON API: accounts, products, items, notices, and who may see what."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from apps.expireeye import accounts
from apps.expireeye.accounts import authenticate
from apps.passwords import hash_password, verify_password
from tests.apps.expireeye.world import Person, World, world_on

PASSWORD = "milk-and-honey"


def error_of(answer: Any) -> tuple[int, str, str | None]:
    """Status, code and field of a refusal; every refusal has this shape."""
    error = answer.json()["error"]
    assert error["message"]
    return answer.status_code, error["code"], error.get("field")


def add_item(owner: Person, **body: Any) -> Any:
    product = owner.post("/products", name="Milk").json()["id"]
    return owner.post("/user-products", **{"productId": product, **body})


def test_19_what_belongs_to_another_does_not_exist(world: World) -> None:
    """404 on every verb, as for an id that nobody has; the owner is not affected."""
    ana, ben = world.person("ana@example.com"), world.person("ben@example.com")
    item = world.item(ana, "Milk", world.soon(5))
    world.tick()
    (notice,) = world.notices()
    for item_id, notice_id in ((item, notice.id), ("nobody's", 999_999)):
        for method, path, body in (
            ("GET", f"/user-products/{item_id}", None),
            ("PATCH", f"/user-products/{item_id}", {"expiryDate": "2030-01-01"}),
            ("DELETE", f"/user-products/{item_id}", None),
            ("POST", f"/notifications/{notice_id}/read", None),
        ):
            assert error_of(ben.call(method, path, json=body))[:2] == (404, "not_found"), path
    assert ben.get("/user-products").json() == {"items": [], "total": 0}
    assert ben.get("/notifications").json() == {"items": [], "unread": 0}
    assert ben.post("/notifications/read-all").status_code == 204
    assert ana.get("/notifications").json()["unread"] == 1
    assert world.items()[item].status == "expired"


def test_registering_and_signing_in(world: World) -> None:
    """The address is stored in lower case; the token opens the API; the password never returns."""
    client = world.client
    body = {"email": " Ana@Example.COM ", "password": PASSWORD, "timeZone": "Asia/Tokyo"}
    made = client.post("/auth/register", json=body)
    assert made.status_code == 201
    assert made.json() == {"id": 1, "email": "ana@example.com", "timeZone": "Asia/Tokyo"}
    assert error_of(client.post("/auth/register", json=body)) == (409, "email_taken", "email")
    credentials = {"email": "ANA@example.com", "password": PASSWORD}
    answer = client.post("/auth/login", json=credentials).json()
    assert answer["expiresIn"] == 3600
    headers = {"authorization": f"Bearer {answer['accessToken']}"}
    assert client.get("/user-products", headers=headers).status_code == 200
    world.clock.advance(3600)
    assert client.get("/user-products", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"email": "ana"}, "bad_email", "email"),
        ({"email": "ana@example.com\nbcc: x"}, "bad_email", "email"),
        ({"email": "a" * 250 + "@example.com"}, "invalid", "email"),
        ({"password": "short"}, "bad_password", "password"),
        ({"password": 12345678}, "invalid", "password"),
        ({"timeZone": "Mars/Base"}, "unknown_zone", "timeZone"),
    ],
)
def test_bad_registrations_are_refused(
    world: World, change: dict[str, Any], code: str, field: str
) -> None:
    """422, naming the field."""
    body = {"email": "ana@example.com", "password": PASSWORD, **change}
    assert error_of(world.client.post("/auth/register", json=body)) == (422, code, field)


def test_ten_failed_logins_block_the_address_for_a_quarter_of_an_hour(world: World) -> None:
    """Then even the right password is not looked at; later it is again."""
    client = world.client
    client.post("/auth/register", json={"email": "ana@example.com", "password": PASSWORD})
    wrong = {"email": "ana@example.com", "password": "wrong"}
    right = {**wrong, "password": PASSWORD}
    for n in range(10):
        body = wrong if n % 2 else {**wrong, "email": "nobody@example.com"}
        assert error_of(client.post("/auth/login", json=body))[:2] == (401, "wrong_credentials")
    refused = client.post("/auth/login", json=right)
    assert error_of(refused)[:2] == (429, "too_many_attempts")
    assert refused.headers["retry-after"] == "900"
    world.clock.advance(900)
    assert client.post("/auth/login", json=right).status_code == 200


def test_passwords_are_hashed(world: World) -> None:
    """With Argon2 and a salt; what is stored lets nobody in but who knows the password."""
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first != second
    assert first.startswith("$argon2id$")
    assert PASSWORD not in first
    assert verify_password(PASSWORD, first)
    assert not verify_password(first, first)
    assert not verify_password(PASSWORD, "none")

    async def try_unknown() -> object:
        return await authenticate(world.services.database, "nobody@example.com", PASSWORD)

    assert world.wait_for(try_unknown) is None


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer {session}", "bearer  {forged}"]
)
def test_only_a_valid_bearer_token_opens_the_api(world: World, header: str) -> None:
    """Neither nonsense nor a token for something else, nor one signed with another key."""
    ana = world.person("ana@example.com")
    header = header.format(
        session=world.services.tokens.issue("session", world.clock.now() - world.soon(-60)),
        forged=ana.token[:-2] + ("AA" if ana.token[-2:] != "AA" else "BB"),
    )
    answer = world.client.get("/user-products", headers={"authorization": header})
    assert error_of(answer)[:2] == (401, "not_signed_in")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_product_has_a_category_and_one_barcode(each_world: World) -> None:
    """Both are optional; another product with the same barcode is refused with 409."""
    ana = each_world.person("ana@example.com")
    made = ana.post("/products", name="Milk", category="Dairy ", barcode="4006381333931")
    assert (made.status_code, made.json()) == (201, {
        "id": made.json()["id"], "name": "Milk", "category": "Dairy", "barcode": "4006381333931",
    })  # fmt: skip
    again = ana.post("/products", name="Other milk", barcode="4006381333931")
    assert error_of(again) == (409, "barcode_taken", "barcode")
    for _ in range(2):
        plain = ana.post("/products", name="Loose rice", barcode=" ")
        assert (plain.status_code, plain.json()["barcode"]) == (201, None)
    listed = ana.get("/products", q="milk").json()
    assert [product["category"] for product in listed["items"]] == ["Dairy"]


def test_products_are_searched_as_text(world: World) -> None:
    """What looks like a pattern is not one; pages and totals agree."""
    ana = world.person("ana@example.com")
    for name in ("100% juice", "100 plums", "Käse", "under_score", "<b>bold</b>"):
        assert ana.post("/products", name=name).status_code == 201

    def found(q: str, **page: int) -> list[str]:
        answer = ana.get("/products", q=q, **page).json()
        return [product["name"] for product in answer["items"]]

    assert found("100%") == ["100% juice"]
    assert found("_") == ["under_score"]
    assert found("KÄSE".lower()) == ["Käse"]
    assert found("<B>") == ["<b>bold</b>"]
    assert len(found("", size=2)) == 2
    assert len(found("", size=2, page=3)) == 1
    assert ana.get("/products").json()["total"] == 5
    for name in ("", "   ", "x" * 201, "a\0b"):
        assert error_of(ana.post("/products", name=name)) == (422, "bad_name", "name")


def test_an_item_from_its_first_day_to_its_last(world: World) -> None:
    """Created, listed, changed, deleted; its notice outlives it."""
    ana = world.person("ana@example.com", zone="Europe/Madrid")
    made = add_item(ana, expiryDate="2026-01-01T01:00:05", quantity=3, note="in the door")
    assert made.status_code == 201
    item = made.json()
    assert item["expiryDate"] == "2026-01-01T00:00:05Z"
    assert (item["status"], item["quantity"], item["note"]) == ("active", 3, "in the door")
    assert item["productName"] == "Milk"
    path = f"/user-products/{item['id']}"
    changed = ana.patch(path, quantity=2).json()
    assert (changed["quantity"], changed["note"]) == (2, "in the door")
    world.tick()
    assert ana.get("/user-products", status="expired").json()["total"] == 1
    assert ana.get("/user-products", status="active").json()["total"] == 0
    assert ana.call("DELETE", path).status_code == 204
    assert ana.get(path).status_code == 404
    assert ana.get("/notifications").json()["unread"] == 1


def test_items_are_filtered(world: World) -> None:
    """By status, and by how soon an active one expires."""
    ana = world.person("ana@example.com")
    for name, date in (("A", "2025-12-01"), ("B", "2026-01-02"), ("C", "2026-03-01")):
        world.item(ana, name, date)
    world.tick()

    def names(**query: Any) -> list[str]:
        return [i["productName"] for i in ana.get("/user-products", **query).json()["items"]]

    assert names() == ["A", "B", "C"]
    assert names(expiringWithinDays=7) == ["B"]
    assert names(expiringWithinDays=60) == ["B", "C"]
    assert names(size=1, page=2) == ["B"]
    for query in ({"status": "rotten"}, {"expiringWithinDays": -1}, {"page": 0}, {"size": 201}):
        assert ana.get("/user-products", **query).status_code == 422


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"expiryDate": "soon"}, (422, "bad_date", "expiryDate")),
        ({"expiryDate": None}, (422, "invalid", "expiryDate")),
        ({"quantity": 0}, (422, "invalid", "quantity")),
        ({"productId": "none"}, (404, "not_found", "productId")),
    ],
)
def test_bad_items_are_refused(
    world: World, change: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    """Naming the field; nothing is stored."""
    ana = world.person("ana@example.com")
    assert error_of(add_item(ana, **{"expiryDate": "2026-06-01", **change})) == expected
    assert world.items() == {}


def test_notices_are_paged_by_id(world: World) -> None:
    """With `afterId` in order, without it newest first; 1 to 500 at a time."""
    ana = world.person("ana@example.com")
    for n in range(3):
        world.item(ana, f"Product {n}", world.soon(1 + n))
    world.tick()
    listed = ana.get("/notifications").json()["items"]
    assert [notice["productName"] for notice in listed] == ["Product 2", "Product 1", "Product 0"]
    assert listed[0].keys() == {
        "id", "type", "message", "productName", "expiryDate", "read", "createdAt",
    }  # fmt: skip
    after = ana.get("/notifications", afterId=listed[2]["id"], limit=1).json()["items"]
    assert [notice["productName"] for notice in after] == ["Product 1"]
    assert ana.post("/notifications/read-all").status_code == 204
    assert ana.get("/notifications").json()["unread"] == 0
    assert ana.get("/notifications", limit=0).status_code == 422


def test_refusals_have_one_shape(world: World) -> None:
    """Unknown paths, wrong verbs, broken JSON."""
    ana = world.person("ana@example.com")
    assert error_of(ana.get("/nothing/here"))[:2] == (404, "not_found")
    assert error_of(ana.call("PUT", "/products"))[:2] == (405, "method_not_allowed")
    assert error_of(ana.call("POST", "/products", content=b"{"))[:2] == (422, "invalid")


def test_a_body_over_64_kib_is_refused(world: World) -> None:
    """Announced or in pieces."""
    ana = world.person("ana@example.com")
    big = b'{"name": "' + b"x" * 66_000 + b'"}'
    assert error_of(ana.call("POST", "/products", content=big))[:2] == (413, "too_large")
    pieces = (big[start : start + 1000] for start in range(0, len(big), 1000))
    headers = {"authorization": f"Bearer {ana.token}", "content-type": "application/json"}
    answer = world.client.post("/products", content=pieces, headers=headers)
    assert error_of(answer)[:2] == (413, "too_large")


def test_metrics_are_for_the_networks_named(world: World, sqlite_url: str) -> None:
    """They count runs, items, notices and pushes; another network gets 403."""
    ana = world.person("ana@example.com")
    world.item(ana, "Milk", world.soon(5))
    with world.socket(ana) as socket:
        assert socket.receive_json()["type"] == "ready"
        world.tick()
        assert socket.receive_json()["productName"] == "Milk"
        text = world.client.get("/metrics").text
    for line in (
        'expireeye_runs_total{outcome="ok"} 1.0',
        "expireeye_items_expired_total 1.0",
        "expireeye_notices_total 1.0",
        'expireeye_pushes_total{result="ok"} 1.0',
        "expireeye_open_sockets 1.0",
        "expireeye_lag_seconds 0.0",
        "expireeye_run_seconds_count 1.0",
    ):
        assert line in text.splitlines()
    world.item(ana, "Eggs", world.soon(-7))
    assert "expireeye_lag_seconds 7.0" in world.client.get("/metrics").text
    with world_on(sqlite_url, metrics_networks="10.0.0.0/8") as other:
        assert error_of(other.client.get("/metrics"))[:2] == (403, "forbidden")


def test_every_answer_forbids_foreign_content(world: World) -> None:
    """The policy is strict, and answers are not cached; static files are."""
    for path in ("/health/live", "/sign-in", "/nothing", "/static/expireeye.css"):
        headers = world.client.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert ("cache-control" in headers) is (path != "/static/expireeye.css")


def test_requests_are_served_while_a_password_is_hashed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow hash does not hold up others: here it ends only after they were answered."""
    hashing, answered = threading.Event(), threading.Event()

    def slow(password: str) -> str:
        hashing.set()
        assert answered.wait(240)
        return hash_password(password)

    monkeypatch.setattr(accounts, "hash_password", slow)
    body = {"email": "ana@example.com", "password": PASSWORD}
    thread = threading.Thread(
        target=world.client.post, args=("/auth/register",), kwargs={"json": body}
    )
    thread.start()
    assert hashing.wait(240)
    assert world.client.get("/health/live").status_code == 200
    answered.set()
    thread.join(60)
    assert world.client.post("/auth/login", json=body).status_code == 200
