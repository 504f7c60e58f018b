"""The platform on one machine: embedded PostgreSQL, Airflow's components, and what keeps `dp` warm."""
