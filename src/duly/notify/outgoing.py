"""Requests to addresses that users supply (security rule 8).

The host's name is resolved once, every address that it has is checked, and the connection leads to
the checked address itself. Redirects are not followed, and no proxy is asked.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from urllib.parse import SplitResult, urlsplit

from duly.errors import AddressRefused, NotDelivered
from duly.notify.deadline import Deadline

PORTS = frozenset({80, 443})
STEP_LIMIT_S = 10.0
LIMIT_S = 25.0
MAX_ANSWER = 64 * 1024
_EMBEDDING = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96"))
)
"""IPv6 addresses that stand for IPv4 ones: NAT64, 6to4, Teredo, and the deprecated form."""


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Where requests may go.

    Attributes:
        allow_private: whether to addresses that are not public too, for intranets and tests.
        ports: the ports; ``None``: any.
    """

    allow_private: bool = False
    ports: Collection[int] | None = PORTS


PUBLIC = Restrictions()


def check_url(url: str, allowed: Restrictions = PUBLIC) -> SplitResult:
    """Return the parts of a URL that may be requested, as far as that is known without its host.

    Raises:
        AddressRefused: its scheme, port, or account is not allowed, or its host is an address that
            may not be contacted.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"the URL is not valid: {error}") from error
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise AddressRefused("the URL is not an http or https URL with a host")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("the URL has characters that need to be escaped")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("the URL contains an account")
    if allowed.ports is not None and (port or _default_port(parts)) not in allowed.ports:
        raise AddressRefused(f"port {port} is not allowed; allowed are {sorted(allowed.ports)}")
    if not allowed.allow_private:
        _refuse_host(host)
    return parts


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Restrictions = PUBLIC,
    *,
    limit: float = LIMIT_S,
) -> int:
    """Send a POST request, and return the status of the answer.

    Args:
        url: the URL.
        body: the body.
        headers: the headers.
        allowed: where the request may go.
        limit: how many seconds it may take, from looking the host up to the end of the answer.

    Raises:
        AddressRefused: it may not be sent there, or the answer redirects elsewhere.
        NotDelivered: the host does not answer properly.
    """
    parts = check_url(url, allowed)
    host, port = parts.hostname or "", parts.port or _default_port(parts)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with Deadline(limit) as deadline:
            address = resolve(host, port, allowed, limit=deadline.left)
            with closing(_connect(parts, address, port, deadline)) as connection:
                connection.request("POST", target, body, dict(headers))
                answer = connection.getresponse()
                answer.read(MAX_ANSWER)
                status, location = answer.status, answer.getheader("location")
    except (OSError, http.client.HTTPException) as error:
        reason = f"{host} does not answer ({type(error).__name__})"
        raise NotDelivered(reason, away=True) from error
    if 300 <= status < 400:
        elsewhere = urlsplit(location or "").hostname or "another path"
        raise AddressRefused(
            f"{host} redirects to {elsewhere!r} ({status}); redirects are not followed",
            status=status,
        )
    return status


def resolve(host: str, port: int, allowed: Restrictions = PUBLIC, *, limit: float = LIMIT_S) -> str:
    """Resolve a host once, and return an address that may be contacted.

    Raises:
        AddressRefused: one of its addresses may not be contacted.
        NotDelivered: it cannot be resolved, or not within ``limit`` seconds.
    """
    try:
        addresses = _look_up(host, port, limit)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(f"{host} cannot be resolved", away=True) from error
    if not addresses:
        raise NotDelivered(f"{host} has no address", away=True)
    if not allowed.allow_private:
        for address in addresses:
            _refuse_private(host, address)
    return addresses[0]


def _look_up(host: str, port: int, limit: float) -> list[str]:
    """Return the addresses of a host; in a thread, because the system sets no limit to it."""
    found: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put([str(info[4][0]) for info in infos])
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=ask, name="duly-resolve", daemon=True).start()
    try:
        answer = found.get(timeout=limit)
    except Empty:
        raise TimeoutError("the name server does not answer") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet.

    ``is_global`` alone passes some addresses on Python 3.11 that stand for private ones.
    """
    try:
        value = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(value, ipaddress.IPv6Address):
        if value.ipv4_mapped is not None or any(value in network for network in _EMBEDDING):
            return False
        if value.is_site_local:
            return False
    return value.is_global and not (value.is_multicast or value.is_reserved)


def _refuse_host(host: str) -> None:
    """Refuse a host that is not public, as far as that is known without a name server.

    Systems also read "127.1" and "2130706433" as addresses, which ``inet_aton`` understands.
    """
    if host == "localhost" or host.endswith(".localhost"):
        raise AddressRefused(f"{host} is not a public address")
    try:
        literal = str(ipaddress.ip_address(host))
    except ValueError:
        try:
            literal = socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            return
    _refuse_private(host, literal)


def _refuse_private(host: str, address: str) -> None:
    if not is_public(address):
        named = address if host == address else f"{address}, an address of {host},"
        raise AddressRefused(f"{named} is not a public address")


def _connect(
    parts: SplitResult, address: str, port: int, deadline: Deadline
) -> http.client.HTTPConnection:
    """Return a connection to this very address, which speaks to the host of the URL."""
    host, step = parts.hostname or "", min(STEP_LIMIT_S, deadline.left)
    connection = http.client.HTTPConnection(host, port, timeout=step)
    deadline.watch(lambda: connection.sock)
    connection.sock = socket.create_connection((address, port), step)
    try:
        if parts.scheme == "https":
            connection.default_port = http.client.HTTPS_PORT
            connection.sock.settimeout(min(STEP_LIMIT_S, deadline.left))  # of the whole handshake
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
    except BaseException:
        connection.close()
        raise
    return connection


def _default_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80
