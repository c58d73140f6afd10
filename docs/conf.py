"""How Sphinx builds the documentation."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_zelto import __version__

# Airflow writes a configuration file when it is imported: not into the home of whoever builds this.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parent / "_build" / "airflow")

project = "Airflow provider for Zelto"
author = "the authors of airflow-provider-zelto"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# Without the network there is nothing to resolve other projects' names against, and what the hooks stand on
# is not public; all other names of ours must resolve.
nitpick_ignore_regex = [(r"py:.*", r"(?!airflow_provider_zelto).*|airflow_provider_zelto\.api_client\..*")]

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_copyright = False
# The search finds the names, and the index is wider than a window.
html_use_index = html_domain_indices = False
