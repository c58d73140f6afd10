"""Airflow hooks of this provider, one module per service."""
