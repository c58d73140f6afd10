"""The benchmarks: ``python -m tests.bench`` runs all of them. They report figures and never judge."""

from __future__ import annotations

import argparse
import time

from tests.bench import bulk, imports, starts, triggerer, waits
from tests.bench.report import print_machine


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.set_defaults(run=_run_all)
    benchmarks = parser.add_subparsers(title="one of them")

    one = benchmarks.add_parser("imports", help=imports.__doc__, description=imports.__doc__)
    one.add_argument("--runs", type=int, default=5, help="fresh interpreters for each module")
    one.set_defaults(run=lambda options: imports.run(options.runs))

    load = waits.Load()
    one = benchmarks.add_parser("waits", help=waits.__doc__, description=waits.__doc__)
    one.add_argument("--triggers", type=int, default=load.number, help="in one event loop")
    one.add_argument("--poke-interval", type=float, default=load.poke_interval, help="seconds")
    one.add_argument("--seconds", type=float, default=load.seconds, help="how long to watch")
    one.add_argument("--latency", type=float, default=load.latency, help="of the server, seconds")
    one.add_argument("--answers", nargs="+", choices=waits.ANSWERS, default=waits.DEFAULT_ANSWERS)
    one.set_defaults(run=_run_waits)

    rows = bulk.Load()
    one = benchmarks.add_parser("bulk", help=bulk.__doc__, description=bulk.__doc__)
    one.add_argument("--seconds", type=float, default=rows.seconds, help="of each speed measurement")
    one.add_argument("--sizes", type=int, nargs="+", default=rows.sizes, help="rows of the files")
    one.set_defaults(run=lambda options: bulk.run(bulk.Load(options.seconds, tuple(options.sizes))))

    whole = starts.Load()
    one = benchmarks.add_parser("starts", help=starts.__doc__, description=starts.__doc__)
    one.add_argument("--waits", type=int, default=whole.number, help="tasks of one run")
    one.add_argument("--poke-interval", type=float, default=whole.poke_interval, help="seconds")
    one.set_defaults(run=lambda options: starts.run(starts.Load(options.waits, options.poke_interval)))

    many = triggerer.Load()
    words = "Many sensors deferred in one real triggerer, beside as many of HttpSensor."
    one = benchmarks.add_parser("triggerer", help=words, description=triggerer.__doc__)
    one.add_argument("--sizes", type=int, nargs="+", default=many.sizes, help="sensors in the triggerer")
    one.add_argument("--poke-interval", type=float, default=many.poke_interval, help="seconds")
    one.add_argument("--rounds", type=int, default=many.rounds, help="polls of each to watch")
    one.add_argument("--latency", type=float, default=many.latency, help="of the server, seconds")
    one.set_defaults(run=_run_triggerer)

    options = parser.parse_args()
    print_machine()
    begun = time.monotonic()
    options.run(options)
    print(f"\nTook {(time.monotonic() - begun) / 60:.1f} minutes.")


def _run_all(options: argparse.Namespace) -> None:
    imports.run()
    waits.run(waits.Load())
    bulk.run(bulk.Load())
    starts.run(starts.Load(number=20))  # 200 take ten minutes, most of them for the other two sides
    triggerer.run(triggerer.Load())


def _run_waits(options: argparse.Namespace) -> None:
    load = waits.Load(options.triggers, options.poke_interval, options.seconds, options.latency)
    waits.run(load, options.answers)


def _run_triggerer(options: argparse.Namespace) -> None:
    sizes = tuple(options.sizes)
    triggerer.run(triggerer.Load(sizes, options.poke_interval, options.rounds, options.latency))


if __name__ == "__main__":
    main()
