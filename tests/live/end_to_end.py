"""One Airflow from end to end: the demo, and the connection forms as its API or its page gives them."""

from __future__ import annotations

import json
import re
import sys
from html import unescape

from airflow_provider_zelto.get_provider_info import get_provider_info
from tests.live.airflow_home import IS_AIRFLOW_3
from tests.live.demo import Say, main
from tests.live.local_airflow import LocalAirflow
from tests.live.processes import LiveError

_FIELDS_OF_ALL_CONNECTIONS = {"host", "login", "port", "schema", "password"}


def check_forms(airflow: LocalAirflow, say: Say) -> None:
    """Compare each connection form with what the provider declares; LiveError where they differ."""
    for declared in get_provider_info()["connection-types"]:
        name = declared["connection-type"]
        behaviour = declared["ui-field-behaviour"]
        shown = _FIELDS_OF_ALL_CONNECTIONS - set(behaviour["hidden-fields"])
        extras = {field: details["label"] for field, details in declared["conn-fields"].items()}
        expected = {**{field: behaviour["relabeling"].get(field) for field in shown}, **extras}
        if (found := (_form if IS_AIRFLOW_3 else _form_of_airflow_2)(airflow, name)) != expected:
            raise LiveError(f"The form of {name} has {found} instead of {expected}.")
        say(name, f"its form has {', '.join(label or field for field, label in sorted(found.items()))}")


def _form(airflow: LocalAirflow, name: str) -> dict[str, str | None]:
    """Give the labels of a form's fields, None where Airflow has its own, as the page asks for them."""
    hooks = airflow.api.get("/ui/connections/hook_meta").json()
    (hook,) = [hook for hook in hooks if hook["connection_type"] == name]
    standard = {
        "schema" if field == "url_schema" else field: about
        for field, about in hook["standard_fields"].items()
        if field != "description"
    }
    return {
        **{
            field: (about or {}).get("title")
            for field, about in standard.items()
            if not (about or {}).get("hidden")
        },
        **{field: about["schema"]["title"] for field, about in hook["extra_fields"].items()},
    }


def _form_of_airflow_2(airflow: LocalAirflow, name: str) -> dict[str, str | None]:
    """Read the same from the page, which holds the forms of all connection types."""
    page = airflow.api.get("/connection/add").text
    script = page.partition('<script id="field_behaviours" type="text/json">')[2].partition("</script>")[0]
    behaviour = json.loads(unescape(script))[name]
    shown = _FIELDS_OF_ALL_CONNECTIONS - set(behaviour["hidden_fields"])
    labels = re.findall(rf'<label for="extra__{name}__(\w+)" control-label>\s*(.*?)\s*</label>', page)
    return {**{field: behaviour["relabeling"].get(field) for field in shown}, **dict(labels)}


if __name__ == "__main__":
    sys.exit(main(check_forms))
