"""The mail catcher shows mails, and lets nothing in them run."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.testclient import TestClient

from apps.mail import FolderMailer, Mail
from apps.mail_catcher.app import mail_catcher
from apps.mail_catcher.mails import newest

LINK = "https://klaus.example.com/auth/magic/12ab"
HTML = f'<!doctype html><html><body><script>alert(1)</script><a href="{LINK}">Sign in</a></body>'


def caught(folder: Path, *subjects: str) -> TestClient:
    """A catcher, and a mail with each subject, the first one first."""
    for number, subject in enumerate(subjects):
        mailer = FolderMailer(folder, "klaus@example.com")
        mailer.send(Mail("ana@example.com", subject, f"<b>Hello</b>, {LINK}.\n", HTML), subject)
        (file,) = (path for path in folder.iterdir() if path.stat().st_mtime > 1e6)
        os.utime(file, (number, number))
    return TestClient(mail_catcher(folder, "Sneaky Klaus"))


def test_the_newest_mail_comes_first(tmp_path: Path) -> None:
    """The list names subjects and recipients; without any mail it says so."""
    assert "No mail has been sent yet." in caught(tmp_path / "nothing").get("/").text
    page = caught(tmp_path, "First", "Second").get("/").text
    assert page.index("Second") < page.index("First")
    assert "to ana@example.com" in page


def test_links_in_the_text_can_be_clicked(tmp_path: Path) -> None:
    """A link ends before the full stop, and everything else is shown as it is."""
    client = caught(tmp_path, "Sign in")
    page = client.get(f"/{newest(tmp_path)[0].id}").text
    assert f'&lt;b&gt;Hello&lt;/b&gt;, <a href="{LINK}">{LINK}</a>.' in page


def test_the_html_of_a_mail_is_sandboxed(tmp_path: Path) -> None:
    """No script runs in it, and its links open in a window of their own."""
    client = caught(tmp_path, "Sign in")
    response = client.get(f"/{newest(tmp_path)[0].id}/html")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert '<base target="_blank"><body>' in response.text


def test_only_mails_are_read(tmp_path: Path) -> None:
    """Neither an unknown id nor a path leads to a file."""
    (tmp_path / "secret.eml").write_text("Subject: secret\n\n")
    client = caught(tmp_path / "mails", "First")
    assert client.get("/0123").status_code == 404
    assert client.get("/..%2Fsecret").status_code == 404
