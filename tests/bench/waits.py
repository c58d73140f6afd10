"""A thousand waits in one event loop, beside as many of the HTTP provider's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.connections import connections
from tests.bench.processes import fresh_environment, measure
from tests.bench.report import Measured, print_comparison
from tests.bench.server import serving
from tests.bench.wait_figures import Wait

CPU_TARGET = 1.0
STALL_TARGET = 0.2
SIDES: Mapping[str, Sequence[str]] = {
    "CustomerMetricsTrigger": ["--trigger=CustomerMetricsTrigger"],
    "plain install": ["--trigger=CustomerMetricsTrigger", "--plain"],
    "HttpSensorTrigger": ["--trigger=HttpSensorTrigger"],
}


@dataclass(frozen=True)
class Answer:
    """
    How the server answers while the triggers wait.

    HttpSensorTrigger waits on nothing but a 404, so that an empty list for the one is a 404 for the other.

    :ivar words: what CustomerMetricsTrigger is answered.
    :ivar status: what everyone is answered instead once all are waiting, or None.
    :ivar has_targets: whether this is the wait that the targets are about.
    """

    words: str
    status: int | None = None
    has_targets: bool = False


ANSWERS = {
    "list": Answer("an empty list", has_targets=True),
    "404": Answer("404", status=404),
    "503": Answer("503", status=503),
}
DEFAULT_ANSWERS = ("list", "503")


@dataclass(frozen=True)
class Load:
    """
    How much waiting there is.

    :ivar number: triggers in the event loop.
    :ivar poke_interval: seconds between two polls of a trigger.
    :ivar seconds: how long it is watched once all are waiting.
    :ivar latency: seconds the server takes to answer.
    """

    number: int = 1000
    poke_interval: float = 5.0
    seconds: float = 30.0
    latency: float = 0.05


def run(load: Load, answers: Sequence[str] = DEFAULT_ANSWERS) -> None:
    """Measure each side in a process of its own, with each kind of answer, and print."""
    for answer in map(ANSWERS.__getitem__, answers):
        waits = [_wait(side, answer.status, load) for side in SIDES.values()]
        title = (
            f"Waits: {load.number} triggers polling every {load.poke_interval:g} s for {load.seconds:g} s, "
            f"answered with {answer.words} after {load.latency * 1000:g} ms"
        )
        figures = [figure.of(waits, with_target=answer.has_targets) for figure in _FIGURES]
        print_comparison(title, list(SIDES), figures)


def _wait(side: Sequence[str], status: int | None, load: Load) -> Wait:
    with serving(latency=load.latency) as url, fresh_environment(connections(url)) as environment:
        arguments = [
            *("-m", "tests.bench.waiting", *side, f"--url={url}", f"--number={load.number}"),
            *(f"--poke-interval={load.poke_interval}", f"--seconds={load.seconds}"),
            *(() if status is None else (f"--status={status}",)),
        ]
        return Wait.model_validate(measure(arguments, environment))


@dataclass(frozen=True)
class _Figure:
    name: str
    read: Callable[[Wait], float]
    form: str = ".0f"
    target: float | None = None

    def of(self, waits: Sequence[Wait], *, with_target: bool) -> Measured:
        target = self.target if with_target else None
        return Measured(self.name, [self.read(wait) for wait in waits], self.form, target)


_FIGURES = (
    _Figure("polls", lambda wait: wait.waiting.polls),
    _Figure("CPU per poll, ms", lambda wait: wait.waiting.cpu_per_poll, ".2f", CPU_TARGET),
    _Figure("CPU in all, s", lambda wait: wait.waiting.cpu, ".1f"),
    _Figure("worst stall of the event loop, ms", lambda wait: wait.waiting.worst_stall, target=STALL_TARGET),
    _Figure("– garbage collection apart", lambda wait: wait.waiting.worst_stall_besides_gc),
    _Figure("full garbage collections", lambda wait: wait.waiting.stalls.full_collections),
    _Figure("at the start: CPU, s", lambda wait: wait.start.cpu, ".1f"),
    _Figure("– worst stall, ms", lambda wait: wait.start.worst_stall),
    _Figure("– garbage collection apart", lambda wait: wait.start.worst_stall_besides_gc),
    _Figure("memory added, MB", lambda wait: wait.memory / 2**20),
    _Figure("lines logged", lambda wait: wait.log_lines),
    _Figure("still waiting at the end", lambda wait: wait.still_waiting),
)
