from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    *("starlette", "uvicorn", "fastapi", "aiohttp", "httpx_aiohttp", "requests", "pandas", "numpy"),
    *("flask", "flask_appbuilder", "wtforms", "pytest", "hypothesis"),
}
AIRFLOW = "from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseSensorOperator"


def imported_by(statement: str, *, after: str) -> set[str]:
    """Give the top-level modules that a statement loads in a fresh interpreter that has run another."""
    code = (
        f"import json, sys\n{after}\nbefore = set(sys.modules)\n{statement}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(ended.stdout.splitlines()[-1]))


def test_a_dag_file_pays_for_no_heavy_library():
    modules = ("operators.zelto", "sensors.zelto")
    imported = imported_by(
        f"import {', '.join(f'airflow_provider_zelto.{name}' for name in modules)}", after=AIRFLOW
    )
    assert "airflow_provider_zelto" in imported
    assert imported & HEAVY == set()


def test_what_every_airflow_process_reads_imports_nothing_but_the_standard_library():
    imported = imported_by("import airflow_provider_zelto.get_provider_info", after="pass")
    assert imported - set(sys.stdlib_module_names) == {"airflow_provider_zelto"}
