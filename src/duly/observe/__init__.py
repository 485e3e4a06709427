"""Metrics of a scheduler, for Prometheus."""

from __future__ import annotations

from duly.observe.metrics import Metrics as Metrics
from duly.observe.server import serving as serving
