"""Child processes that are watched while they run and never outlive the block that started them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

# Below those that Linux and macOS give to whoever asks for any.
_OUR_PORTS = range(20_000, 32_000)
_GRACE = 2.0  # seconds between asking a process to end and killing it
_LOG_LINES = 15


class LiveError(Exception):
    """Something that a person has to know about; the message stands alone, without a traceback."""


class Child:
    """
    A process below this one that leads a session of its own and writes to a log file.

    :param name: what people call it.
    :param process: the process.
    :param log: file that takes what it writes.
    """

    def __init__(self, name: str, process: psutil.Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def check(self) -> None:
        """Raise LiveError, with the end of its log, when the process is no more."""
        with suppress(psutil.NoSuchProcess):
            if self.process.status() != psutil.STATUS_ZOMBIE:
                return
        end_of_log = "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        raise LiveError(f"The {self.name} has ended. The last lines of its log:\n{end_of_log}")

    def kill(self) -> None:
        """End the process at once, as a crash would: what it started lives on."""
        self.process.kill()
        self.process.wait(_GRACE)

    def family(self) -> list[psutil.Process]:
        """Give the process and all its descendants, as far as they live."""
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def spawn(
    name: str, command: Sequence[str], env: Mapping[str, str], log: Path, *, piped: bool = False
) -> Child:
    """
    Start a command.

    :param name: what people call it.
    :param command: program and arguments.
    :param env: its whole environment.
    :param log: file that takes stdout and stderr.
    :param piped: connect stdin and stdout to ``process.stdin`` and ``process.stdout`` instead.
    """
    with log.open("ab") as output:
        # A session of its own keeps a Ctrl-C in the terminal from reaching it before its parent decides.
        process = psutil.Popen(
            command,
            env=dict(env),
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else output,
            stderr=output,
            start_new_session=True,
            text=True,
        )
    return Child(name, process, log)


@contextmanager
def ended_afterwards() -> Iterator[list[Child]]:
    """Give a list for children to be put into; all of them are ended, however the block ends."""
    children: list[Child] = []
    try:
        yield children
    finally:
        _end(children)


def _end(children: Sequence[Child]) -> None:
    """Ask the processes and their descendants to end, and kill what is left after the grace period."""
    family = {process for child in children for process in child.family()}
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(family, timeout=_GRACE)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for child in children:
        # What a process that crashed left behind is no longer in its family, but still in its group.
        with suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=_GRACE)


def wait_until(
    ready: Callable[[], T | None], *, what: str, timeout: float, children: Sequence[Child] = ()
) -> T:
    """Ask until the answer is something true; LiveError when a child dies meanwhile or time is up."""
    deadline = time.monotonic() + timeout
    while not (answer := ready()):
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise LiveError(f"{what} did not happen within {timeout:.0f} s.")
        time.sleep(0.2)
    return answer


def free_port(first: int = 0) -> int:
    """Find a free loopback port: ``first`` or the next one that nobody listens on, any when it is 0."""
    # Airflow takes seconds until it listens: by then a port that the system chose may be somebody else's.
    for port in range(first, first + 100) if first else random.sample(_OUR_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LiveError(f"No port is free, of a hundred that were tried from {first or _OUR_PORTS.start} on.")


def die_politely() -> None:
    """Let SIGTERM end this process the way Ctrl-C does, so that its children are ended too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
