"""Webhooks: signed, sent to the checked address only, and bounded (security rule 8)."""

from __future__ import annotations

import json
import socket
import threading
from datetime import timedelta
from typing import Any

import pytest

from duly import Scheduler
from duly.errors import (
    AddressRefused,
    ConfigurationError,
    NotDelivered,
    PayloadError,
    SignatureError,
)
from duly.notify import check_webhook_url, send_webhook, verify_signature, webhook
from duly.notify.outgoing import Restrictions, check_url, is_public, post, resolve
from duly.notify.signature import signed_headers
from tests.notify.conftest import SECRET, Received, sample
from tests.operations.conftest import START

ANYWHERE = Restrictions(allow_private=True, ports=None)


def hook(received: Received, **options: Any) -> Any:
    return webhook(received.url, secret=SECRET, allow_private=True, ports=None, **options)


# ------------------------------------------------------------------------------ what is sent


def test_the_receiver_can_verify_what_it_receives(receiver: Received) -> None:
    """JSON, the id as idempotency key, and a signature that `verify_signature` accepts."""
    hook(receiver).send(sample(error="ValueError", message="no"))
    [(path, headers, body)] = receiver.requests
    assert path == "/hook?a=1"
    assert verify_signature(headers, body, SECRET) == "0190-an-id"
    sent = {name.lower(): value for name, value in headers.items()}
    assert (sent["idempotency-key"], sent["content-type"]) == ("0190-an-id", "application/json")
    assert sent["host"] == receiver.url.split("/")[2]
    data = json.loads(body)
    assert (data["title"], data["rule"], data["recovery"]) == (
        "Job nightly failed", "failures", False,
    )  # fmt: skip
    assert data["events"][0]["detail"] == {"error": "ValueError", "message": "no"}


def test_a_signature_covers_id_time_and_body() -> None:
    """Whatever is changed, or replayed later, is refused."""
    body = b'{"a":1}'
    headers = signed_headers(SECRET, "id-1", body, START)
    assert verify_signature(headers, body, SECRET, now=START + timedelta(seconds=299)) == "id-1"
    assert verify_signature(
        {**headers, "webhook-signature": "v2,x v1,wrong " + headers["webhook-signature"]},
        body, SECRET, now=START,
    )  # fmt: skip
    forged: list[tuple[dict[str, str], bytes, str]] = [
        (headers, b'{"a":2}', SECRET),
        (headers, body, SECRET + "x"),
        ({**headers, "webhook-id": "id-2"}, body, SECRET),
        ({**headers, "webhook-timestamp": str(int(START.timestamp()) + 1)}, body, SECRET),
        ({**headers, "webhook-timestamp": "soon"}, body, SECRET),
        ({**headers, "webhook-signature": "v1,"}, body, SECRET),
        ({}, body, SECRET),
    ]
    for given, text, secret in forged:
        with pytest.raises(SignatureError):
            verify_signature(given, text, secret, now=START)
    for late in (301, -301):
        with pytest.raises(SignatureError, match="s old"):
            verify_signature(headers, body, SECRET, now=START + timedelta(seconds=late))


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}', START.fromtimestamp(1614265330, START.tzinfo),
    )  # fmt: skip
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["short", "whsec_!!!", "whsec_c2hvcnQ="])
def test_a_weak_secret_is_refused(secret: str) -> None:
    """When the channel is configured."""
    with pytest.raises(ConfigurationError, match="secret of a webhook"):
        webhook("https://hooks.example.com/", secret=secret)


@pytest.mark.parametrize(("status", "final"), [(500, False), (404, False), (410, True)])
def test_another_answer_than_success_is_a_failure(
    receiver: Received, status: int, final: bool
) -> None:
    """It is tried again, unless the address is gone for good."""
    receiver.status = status
    with pytest.raises(NotDelivered, match=str(status)) as refused:
        hook(receiver).send(sample())
    assert (refused.value.final, refused.value.status) == (final, status)


# ------------------------------------------------------------------------------ by an application


def send(received: Received, data: Any = None, **options: Any) -> int:
    options = {"id": "event-1", "secret": SECRET, "allow_private": True, "ports": None, **options}
    return send_webhook(received.url, {"type": "a"} if data is None else data, **options)


def test_an_application_sends_its_own_webhook(receiver: Received) -> None:
    """Its JSON, signed at the given time with the given id; the status of the answer returns."""
    receiver.status = 202
    assert send(receiver, {"type": "exchange.matched", "exchange": 7}, signed_at=START) == 202
    [(_path, headers, body)] = receiver.requests
    assert verify_signature(headers, body, SECRET, now=START) == "event-1"
    assert json.loads(body) == {"exchange": 7, "type": "exchange.matched"}
    assert {name.lower(): value for name, value in headers.items()}["idempotency-key"] == "event-1"


def test_the_clock_of_the_machine_signs_by_default(receiver: Received) -> None:
    """So that a receiver accepts it now."""
    send(receiver, secret=lambda: SECRET)
    [(_path, headers, body)] = receiver.requests
    assert verify_signature(headers, body, SECRET) == "event-1"


@pytest.mark.parametrize(
    ("status", "final"), [(500, False), (429, False), (410, True), (302, True)]
)
def test_an_application_learns_the_status(receiver: Received, status: int, final: bool) -> None:
    """And whether to try again; a redirect is refused for good."""
    receiver.status = status
    with pytest.raises(NotDelivered) as refused:
        send(receiver)
    assert (refused.value.status, refused.value.final) == (status, final)


def test_an_application_cannot_be_sent_inside(receiver: Received) -> None:
    """Nothing reaches a server of this machine; the form in which it is entered says so before."""
    for host in ("127.0.0.1", "127.1", "2130706433", "0x7f.1", "localhost", "a.localhost"):
        url = receiver.url.replace("127.0.0.1", host)
        with pytest.raises(AddressRefused, match="is not a public address"):
            send_webhook(url, {}, id="event-1", secret=SECRET, ports=None)
        with pytest.raises(AddressRefused, match="is not a public address"):
            check_webhook_url(url, ports=None)
        check_webhook_url(url, ports=None, allow_private=True)
    with pytest.raises(AddressRefused, match=r"port \d+ is not allowed"):
        check_webhook_url(receiver.url)
    check_webhook_url("https://hooks.example.com/a")
    assert receiver.requests == []


@pytest.mark.parametrize("id", ["", "a\nb: c", "ä", "x" * 192, 7])
def test_an_id_is_a_header(receiver: Received, id: Any) -> None:
    """What cannot be one is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="id is "):
        send(receiver, id=id)
    assert receiver.requests == []


def test_what_is_not_json_is_refused(receiver: Received) -> None:
    """And so are a weak secret, and a timeout that is none."""
    with pytest.raises(PayloadError, match="datetime is not JSON serializable"):
        send(receiver, {"at": START})
    with pytest.raises(ConfigurationError, match="secret of a webhook"):
        send(receiver, secret="short")
    for timeout in (0, -1, float("nan"), 301):
        with pytest.raises(ConfigurationError, match="timeout is "):
            send(receiver, timeout=timeout)
    assert receiver.requests == []


# ------------------------------------------------------------------------------ where to


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fd00:ec2::254",
        "fec0::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::a00:1",
        "64:ff9b::808:808", "64:ff9b:1::1", "2002:a00:1::", "2002:808:808::1", "2001::1",
        "2001:db8::1", "100::1", "nonsense",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    """Private, loopback, link-local, shared, multicast, reserved, and what stands for such ones."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_allowed(address: str) -> None:
    """Nobody needs a list of exceptions."""
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/", "not an http or https URL"),
        ("file:///etc/passwd", "not an http or https URL"),
        ("http:///path", "not an http or https URL"),
        ("https://user:pw@example.com/", "contains an account"),
        ("https://example.com:8443/", "port 8443 is not allowed"),
        ("https://example.com:99999/", "the URL is not valid"),
        ("https://[::1/", "the URL is not valid"),
        ("https://exa\tmple.com/", "characters"),
        ("https://example.com/a b", "characters"),
        ("https://exämple.com/", "characters"),
        ("http://127.0.0.1/", "127.0.0.1 is not a public address"),
        ("http://[::ffff:127.0.0.1]/", "is not a public address"),
    ],
)
def test_urls_that_cannot_be_meant_are_refused(url: str, reason: str) -> None:
    """Before anything is resolved."""
    with pytest.raises(AddressRefused, match=reason):
        check_url(url)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "localhost"])
def test_other_spellings_of_an_address_do_not_help(host: str) -> None:
    """What counts is the address that the system would connect to."""
    with pytest.raises(AddressRefused, match="is not a public address"):
        post(f"http://{host}/", b"", {})


def test_one_private_address_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that has public and private addresses is not trusted."""
    found = [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1, an address of example\.com"):
        resolve("example.com", 80)


def test_a_name_is_resolved_once(receiver: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection leads to the checked address; a second answer of the name server is no use."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    asked = list[Any]()

    def answer(host: str, *_args: Any, **_options: Any) -> Any:
        if host == "hooks.example.com":
            asked.append(host)
        address = "127.0.0.1" if len(asked) <= 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("socket.getaddrinfo", answer)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert post(f"http://hooks.example.com:{port}/x", b"{}", {}, ANYWHERE) == 204
    assert asked == ["hooks.example.com"]
    assert receiver.requests[0][1]["Host"] == f"hooks.example.com:{port}"


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1/", "http://169.254.169.254/latest", "/elsewhere"]
)
def test_redirects_are_not_followed(receiver: Received, target: str) -> None:
    """Wherever they lead; the reason names the redirect."""
    receiver.status, receiver.headers = 307, {"Location": target}
    with pytest.raises(AddressRefused, match="redirects are not followed"):
        hook(receiver).send(sample())
    assert len(receiver.requests) == 1


def test_a_redirect_is_refused_in_the_audit_trail(
    receiver: Received, prepared_database_url: str
) -> None:
    """With the reason, and the notice is not tried again."""
    scheduler = Scheduler(prepared_database_url)
    receiver.status, receiver.headers = 302, {"Location": "http://169.254.169.254/latest"}
    scheduler.notify(hook(receiver, name="hook"), on=["run.failed"])
    scheduler.prepare()
    scheduler.send_test_notice("hook")
    assert scheduler.send_notices() == 0
    [refused] = scheduler.events(kind="notice.refused")
    assert "redirects to '169.254.169.254' (302)" in refused.detail["reason"]
    assert [notice.state for notice in scheduler.notices()] == ["dead"]
    scheduler.store.dispose()


# ------------------------------------------------------------------------------ bounds


def serve_once(talk: Any) -> tuple[socket.socket, threading.Thread]:
    """Accept one connection, and let ``talk`` handle it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            try:
                talk(connection)
            except OSError:
                return

    thread = threading.Thread(target=accept)
    thread.start()
    return listener, thread


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_never_ends_is_left(head: bytes) -> None:
    """The time for the whole request is limited."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(head)
        while not ended.wait(0.05):
            connection.sendall(b"x")

    listener, thread = serve_once(drip)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    try:
        with pytest.raises(NotDelivered, match="does not answer"):
            post(url, b"", {}, ANYWHERE, limit=0.3)
    finally:
        ended.set()
        thread.join()
        listener.close()


def test_a_handshake_that_never_ends_is_left() -> None:
    """Although each byte of it comes in time."""
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")  # the head of a long record of TLS
        while not ended.wait(0.05):
            connection.sendall(b"x")

    listener, thread = serve_once(drip)
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
    try:
        with pytest.raises(NotDelivered, match="does not answer"):
            post(url, b"", {}, ANYWHERE, limit=0.3)
    finally:
        ended.set()
        thread.join()
        listener.close()


def test_a_name_server_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that the system takes to give up does not count."""
    ended = threading.Event()

    def wait(*_args: Any, **_options: Any) -> Any:
        ended.wait()
        raise OSError

    monkeypatch.setattr("socket.getaddrinfo", wait)
    try:
        with pytest.raises(NotDelivered, match="cannot be resolved") as refused:
            send_webhook("https://hooks.example.com/", {}, id="1", secret=SECRET, timeout=0.05)
        assert refused.value.away
    finally:
        ended.set()


def test_of_a_large_answer_only_the_beginning_is_read() -> None:
    """64 KiB; the connection is closed then."""
    sent = list[int]()

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(10_000):
            connection.sendall(b"x" * 10_000)
            sent.append(10_000)

    listener, thread = serve_once(flood)
    try:
        assert post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"", {}, ANYWHERE) == 200
    finally:
        thread.join()
        listener.close()
    assert sum(sent) < 50_000_000
