"""A process that sends notices: ``sender.py URL SMTP_PORT ROLE``.

As ``slow``, it prints ``sent`` when the mail server has taken a message, and then never returns.
"""

from __future__ import annotations

import sys
import threading

from duly import Scheduler
from duly.notify import Notice, Smtp, email, notify

url, port, role = sys.argv[1:]
scheduler = Scheduler(url, heartbeat="fast")
mail = email("ops@example.com", smtp=Smtp("127.0.0.1", "duly@example.com", int(port), "none"))


def say(word: str) -> None:
    """Print a word at once, for the test that waits for it."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def send_and_hang(notice: Notice) -> None:
    """Send, and hang before that is recorded."""
    mail.send(notice)
    say("sent")
    threading.Event().wait()


channel = notify(send_and_hang if role == "slow" else mail.send, name="mail")
scheduler.notify(channel, on=["run.failed"], name="failures")
scheduler.start()
say("started")
threading.Event().wait()
