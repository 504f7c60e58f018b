"""The dbt project's materialisations and the step `build`, on a real Postgres."""
