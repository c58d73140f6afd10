"""Airflow sensors of this provider, one module per service."""
