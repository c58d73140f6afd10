from __future__ import annotations

import asyncio
import gc

import pytest

from airflow_provider_zelto.triggers.zelto import CustomerMetricsTrigger

POLLS = 50


@pytest.mark.parametrize("answer", ["nothing yet", "no such call"])
def test_a_wait_leaves_nothing_to_the_garbage_collector(emulator, call, answer):
    """A full collection of a triggerer's heap stops every wait in it, so that none should cause one."""
    if answer == "no such call":
        emulator.fault(status=404, method="GET")
    trigger = CustomerMetricsTrigger(conversation_id=call, poke_interval=0.001)

    async def wait_for_a_while() -> int:
        async with trigger.hook() as hook:
            wait = asyncio.create_task(trigger._wait(hook))
            while len(emulator.journal()) < 5:
                await asyncio.sleep(0.01)
            # What earlier tests left may take several turns, each of which sets the next free.
            while gc.collect():
                pass
            gc.disable()
            try:
                while len(emulator.journal()) < 5 + POLLS:
                    await asyncio.sleep(0.01)
                return gc.collect()
            finally:
                gc.enable()
                wait.cancel()

    # The emulator lives in this process too, and leaves a little; a cycle a poll is 24 objects and more.
    assert asyncio.run(wait_for_a_while()) < 10 * POLLS
