"""Airflow operators of this provider, one module per service."""
