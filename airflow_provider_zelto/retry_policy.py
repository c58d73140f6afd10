"""A task's retry policy on Airflow 3.3 and newer: wait as long as the service asked to be left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowOptionalProviderFeatureException

from airflow_provider_zelto.exceptions import APIStatusError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import RetryDecision, RetryPolicy
else:
    try:
        from airflow.providers.common.compat.sdk import RetryDecision, RetryPolicy
    except ImportError:  # before Airflow 3.3
        RetryDecision, RetryPolicy = None, object

LONGEST_DELAY = timedelta(days=1)


class _ZeltoRetryPolicy(RetryPolicy):
    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        """Fail for good, wait as long as was asked for, or leave it to the task's own retries and delay."""
        kind = type(exception).__name__
        if isinstance(exception, AirflowFailException):
            return RetryDecision.fail(f"{kind}: asking again cannot help")
        if isinstance(exception, APIStatusError) and exception.retry_after is not None:
            seconds = min(exception.retry_after, LONGEST_DELAY.total_seconds())
            reason = f"{kind}: {exception.service} asked to wait {exception.retry_after:.0f} s"
            return RetryDecision.retry(timedelta(seconds=seconds), reason)
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Give what makes this policy again: nothing, for it has no settings."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> RetryPolicy:
        """Make it again."""
        return cls()


def zelto_retry_policy() -> RetryPolicy:
    """
    Make a ``retry_policy`` for tasks that talk to Zelto, Roark or Coval. Needs Airflow 3.3 or newer.

    An error that says how long to wait (``Retry-After`` of a 429 or a 503) retries the task after exactly
    that time, at most a day, instead of after ``retry_delay``. Errors that asking again cannot mend fail the
    task. Everything else is left to its ``retry_delay``; ``retries`` limits all of it.

    :raises AirflowOptionalProviderFeatureException: on an older Airflow, naming the version needed.
    """
    if RetryDecision is None:
        raise AirflowOptionalProviderFeatureException(
            f"zelto_retry_policy() needs Airflow 3.3 or newer, this is {airflow_version}. Without it, errors "
            "that asking again cannot mend fail a task at once all the same; give the task a retry_delay as "
            "long as the service may ask to wait."
        )
    return _ZeltoRetryPolicy()
