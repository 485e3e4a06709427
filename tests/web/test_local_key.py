"""One generated key, for demos."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from duly.errors import ConfigurationError
from duly.executors.process.lookup import find_function
from duly.web import LocalKey, local_key, web_app
from tests.web.site import Site


def browser(site: Site, access: LocalKey) -> TestClient:
    """A browser of nobody yet."""
    app = web_app(site.scheduler, access=access)
    return TestClient(app, base_url="http://localhost:8000", follow_redirects=False)


def test_it_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A generated key is long and unique, and is printed once."""
    first, second = local_key(), local_key()
    assert first.key != second.key
    assert len(first.key) >= 43
    printed = capsys.readouterr().err
    assert printed.count(first.key) == 1
    local_key(key="k" * 16)
    assert "k" * 16 not in capsys.readouterr().err


def test_the_process_of_a_function_prints_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that imports a module to execute a function has no dashboard to sign in to."""
    source = "from duly.web import local_key\nlocal_key()\ndef count(): ...\n"
    (tmp_path / "module_with_a_key.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert find_function("module_with_a_key", "count", "count").__name__ == "count"
    monkeypatch.delitem(sys.modules, "module_with_a_key")
    assert "key=" not in capsys.readouterr().err


def test_it_signs_a_browser_in(site: Site) -> None:
    """The key moves from the URL into an HttpOnly cookie; the rest of the URL is kept."""
    access = local_key(key="correct horse battery")
    client = browser(site, access)
    assert client.get("/jobs").status_code == 401
    answer = client.get("/jobs", params={"text": "a b", "key": access.key})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/jobs?text=a+b"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert client.get("/jobs").status_code == 200
    assert "<strong>local</strong>, admin" in client.get("/").text


@pytest.mark.parametrize(
    "key", ["", "wrong", "correct horse batter", "correct horse battery ", "ключ"]
)
def test_a_wrong_key_is_refused(site: Site, key: str) -> None:
    """It is refused in the URL, as a cookie and as a bearer token."""
    access = local_key(key="correct horse battery")
    client = browser(site, access)
    assert client.get("/", params={"key": key}).status_code == 401
    headers = {"Authorization": f"Bearer {key}".encode()}
    assert client.get("/api/v1/jobs", headers=headers).status_code == 401  # type: ignore[arg-type]
    assert not client.cookies


def test_it_is_a_bearer_token_too(site: Site) -> None:
    """Programs can send the key as a bearer token."""
    access = local_key(key="k" * 32, name="ci", role="viewer")
    client = browser(site, access)
    headers = {"Authorization": f"bearer {access.key}"}
    assert client.get("/api/v1/jobs", headers=headers).status_code == 200
    refused = client.post("/api/v1/jobs/stock/pause", headers=headers)
    assert refused.status_code == 403
    assert "ci has the role viewer" in refused.json()["detail"]


def test_a_short_key_is_refused() -> None:
    """A key that can be guessed is not accepted."""
    with pytest.raises(ConfigurationError, match="16"):
        local_key(key="secret")
