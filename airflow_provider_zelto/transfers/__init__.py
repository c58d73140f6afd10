"""Airflow transfers of this provider: metrics from elsewhere into Zelto."""
