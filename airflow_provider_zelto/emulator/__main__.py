"""The command ``zelto-emulator``: a local Zelto, Roark and Coval until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from airflow_provider_zelto.emulator import explain_missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the emulator until SIGINT or SIGTERM and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except ModuleNotFoundError as error:
        return _fail(explain_missing(error))
    except OSError as error:
        return _fail(f"cannot listen on {options.host} port {options.port}: {error.strerror}")
    except ValueError as error:
        return _fail(str(error))
    return 0


def _serve(options: argparse.Namespace) -> None:
    # Imported here, so that a missing extra is one clear line and --help needs none.
    from airflow_provider_zelto.emulator.app import create_app
    from airflow_provider_zelto.emulator.control import DEFAULT_KEY, Control
    from airflow_provider_zelto.emulator.server import Server, exposure_warning
    from airflow_provider_zelto.emulator.settings import Settings

    settings = Settings(any_conversation=options.any_conversation, latency=options.latency)
    control = Control(options.api_key or [DEFAULT_KEY], settings)
    server = Server(create_app(control), options.host, options.port)
    if warning := exposure_warning(options.host):
        print(f"zelto-emulator: warning: {warning}", file=sys.stderr)
    server.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.request_stop())
    print(f"Zelto emulator listening on {server.url}", flush=True)
    server.join()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zelto-emulator",
        description=(
            "A local Zelto to develop and test DAGs against, a Roark below /roark and a Coval below /coval. "
            "Open its URL in a browser to watch."
        ),
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        help="accepted API key; give it again for more (default: zelto-emulator-key)",
    )
    parser.add_argument(
        "--any-conversation", action="store_true", help="take every id of the right form for a call"
    )
    parser.add_argument(
        "--latency",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="wait before each answer (default: 0)",
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _fail(message: str) -> int:
    print(f"zelto-emulator: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
