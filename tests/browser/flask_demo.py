"""The same application in Flask, where pages poll: WSGI cannot stream."""

from __future__ import annotations

from flask import Flask

from duly.integrations.flask import init_app
from duly.web import local_key
from tests.browser.demo import KEY, scheduler

app = Flask("demo")
init_app(app, scheduler, web="/duly", access=local_key(key=KEY))
