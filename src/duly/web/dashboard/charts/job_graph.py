"""The jobs around a job, drawn in layers from left to right: each runs after those to its left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from unicodedata import east_asian_width

from duly.model.job import JobRecord
from duly.operations.jobs.neighbours import JobLink, Neighbours

NODE_WIDTH, NODE_HEIGHT = 210, 40
_STEP_X, _STEP_Y = 280, 56
_MARGIN = 6
_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Node:
    """A job in the drawing.

    Attributes:
        job: the job.
        x: the left edge.
        y: the upper edge.
        label: its id, shortened if it is too long.
    """

    job: JobRecord
    x: int
    y: int
    label: str


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from a job to one that runs after it.

    Attributes:
        link: the dependency.
        path: the curve, as in the attribute ``d`` of a path.
    """

    link: JobLink
    path: str


@dataclass(frozen=True, slots=True)
class JobGraph:
    """The drawing.

    Attributes:
        nodes: the jobs, in the order in which they run.
        edges: the arrows between them.
        before: the jobs that the job itself runs after.
        after: the jobs that run after it.
    """

    nodes: list[Node]
    edges: list[Edge]
    before: list[tuple[JobRecord, str]]
    after: list[tuple[JobRecord, str]]
    width: int
    height: int


def job_graph(job: JobRecord, found: Neighbours) -> JobGraph:
    """Return the drawing of a job and the jobs around it."""
    layers = _layers(job.id, found.links)
    jobs = {each.id: each for each in [*found.jobs, job]}
    columns: dict[int, list[str]] = {}
    for name in sorted(jobs, key=lambda name: (layers.get(name, 0), name)):
        columns.setdefault(layers.get(name, 0), []).append(name)
    height = max(map(len, columns.values())) * _STEP_Y
    places = {
        name: (
            _MARGIN + number * _STEP_X,
            _MARGIN + (height - len(names) * _STEP_Y) // 2 + row * _STEP_Y,
        )
        for number, (_layer, names) in enumerate(sorted(columns.items()))
        for row, name in enumerate(names)
    }
    return JobGraph(
        nodes=[Node(jobs[name], *place, shortened(name)) for name, place in places.items()],
        edges=[Edge(link, _path(places[link.parent], places[link.child])) for link in found.links],
        before=[(jobs[link.parent], link.on) for link in found.links if link.child == job.id],
        after=[(jobs[link.child], link.on) for link in found.links if link.parent == job.id],
        width=(len(columns) - 1) * _STEP_X + NODE_WIDTH + 2 * _MARGIN,
        height=height - (_STEP_Y - NODE_HEIGHT) + 2 * _MARGIN,
    )


def shortened(name: str) -> str:
    """Return a name that fits into a node; wide characters count twice."""
    room, kept = _LENGTH, ""
    for letter in name:
        room -= 2 if east_asian_width(letter) in "WF" else 1
        if room < 0:
            return f"{kept[:-1]}…"
        kept += letter
    return kept


def _layers(job_id: str, links: Iterable[JobLink]) -> dict[str, int]:
    """Return the layer of each job: the job itself has 0, and links lead to higher layers."""
    layers = {job_id: 0}
    pairs = {(link.parent, link.child) for link in links}
    for _ in range(2 * len(pairs) + 1):
        changed = False
        for parent, child in sorted(pairs):
            if layers.get(parent, -1) >= 0 and layers.get(child, 0) <= layers[parent]:
                layers[child], changed = layers[parent] + 1, True
            if layers.get(child, 1) <= 0 and layers.get(parent, 0) >= layers[child]:
                layers[parent], changed = layers[child] - 1, True
        if not changed:
            break
    return layers


def _path(parent: tuple[int, int], child: tuple[int, int]) -> str:
    x1, y1 = parent[0] + NODE_WIDTH, parent[1] + NODE_HEIGHT // 2
    x2, y2 = child[0] - 3, child[1] + NODE_HEIGHT // 2
    bend = max(30, (x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
