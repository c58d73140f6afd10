"""What importing this provider adds to a process that has imported airflow.sdk, beside the HTTP provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.processes import fresh_environment, measure
from tests.bench.report import print_table

TARGET = 0.25
_COMPARED = {
    f"airflow_provider_zelto.{kind}.zelto": f"airflow.providers.http.{kind}.http"
    for kind in ("operators", "sensors", "triggers", "hooks")
}
_HAS_TARGET = "airflow_provider_zelto.operators.zelto"
_MEASURED = """
import json, sys, time
import airflow.sdk
modules, wall, cpu = len(sys.modules), time.perf_counter(), time.process_time()
import {module}
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, len(sys.modules) - modules]))
"""


@dataclass(frozen=True)
class Costs:
    """
    What an import added, in several fresh interpreters.

    :ivar walls: milliseconds on the clock, in ascending order.
    :ivar cpu: milliseconds of CPU, the median; other processes disturb it less.
    :ivar modules: how many modules came in.
    """

    walls: Sequence[float]
    cpu: float
    modules: int

    @property
    def wall(self) -> float:
        return median(self.walls)


def run(runs: int = 5) -> None:
    """Measure all modules in turn, so that what disturbs the machine disturbs them alike, and print."""
    modules = [module for pair in _COMPARED.items() for module in pair]
    samples: dict[str, list[tuple[float, float, int]]] = {module: [] for module in modules}
    with fresh_environment() as environment:
        for module in modules:
            _import(module, environment)  # compiles what is not compiled yet
        for number in range(runs):
            for module in reversed(modules) if number % 2 else modules:
                samples[module].append(_import(module, environment))
    costs = {module: _costs(samples[module]) for module in modules}
    columns = ("import", "adds, ms", "least – most", "CPU, ms", "modules", "ratio", "ratio, CPU", "target")
    rows = [row for ours, theirs in _COMPARED.items() for row in _rows(ours, theirs, costs)]
    print_table(f"Imports after airflow.sdk: median of {runs} fresh interpreters", columns, rows)


def _import(module: str, environment: Mapping[str, str]) -> tuple[float, float, int]:
    wall, cpu, modules = measure(["-c", _MEASURED.format(module=module)], environment)
    return wall * 1000, cpu * 1000, modules


def _costs(samples: Sequence[tuple[float, float, int]]) -> Costs:
    walls, cpus, modules = zip(*samples, strict=True)
    return Costs(sorted(walls), median(cpus), modules[0])


def _rows(ours: str, theirs: str, costs: Mapping[str, Costs]) -> list[tuple[str, ...]]:
    mine, peer = costs[ours], costs[theirs]
    ratios = f"{mine.wall / peer.wall:.2f}", f"{mine.cpu / peer.cpu:.2f}"
    target = f"≤ {TARGET:.2f}" if ours == _HAS_TARGET else ""
    return [(*_row(ours, mine), *ratios, target), (*_row(theirs, peer), "", "", "")]


def _row(module: str, costs: Costs) -> tuple[str, ...]:
    spread = f"{costs.walls[0]:.0f} – {costs.walls[-1]:.0f}"
    return module, f"{costs.wall:.0f}", spread, f"{costs.cpu:.0f}", str(costs.modules)
