"""Airflow triggers of this provider, one module per service."""
