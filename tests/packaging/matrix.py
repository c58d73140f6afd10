"""The versions of Airflow that noxfile.py tests, read from its source."""

from __future__ import annotations

import ast

from packaging.version import Version

from tests.packaging.imports import ROOT


def supported() -> dict[str, str]:
    """Give each supported Airflow with the Python that it is tested on, oldest first."""
    [assigned] = [
        node.value
        for node in ast.parse((ROOT / "noxfile.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SUPPORTED"
    ]
    return dict(sorted(ast.literal_eval(assigned).items(), key=lambda leg: Version(leg[0])))
