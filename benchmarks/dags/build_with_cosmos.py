"""The peer: Cosmos, which makes an Airflow task of each dbt model; here one dbt process works for all of them."""

from __future__ import annotations

from cosmos import DbtDag, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior

from data_platform.settings import get_settings

settings = get_settings()
dbt = settings.project_root / ".venv" / "bin" / "dbt"

build_with_cosmos = DbtDag(
    dag_id="build_with_cosmos",
    schedule=None,
    is_paused_upon_creation=False,
    project_config=ProjectConfig(
        dbt_project_path=settings.dbt_project_dir,
        manifest_path=settings.dbt_project_dir / "target" / "manifest.json",
        project_name="data_platform",
    ),
    profile_config=ProfileConfig(
        profile_name="data_platform",
        target_name="dev",
        profiles_yml_filepath=settings.dbt_project_dir / "profiles.yml",
    ),
    execution_config=ExecutionConfig(
        execution_mode=ExecutionMode.WATCHER,
        invocation_mode=InvocationMode.SUBPROCESS,
        dbt_executable_path=str(dbt),
    ),
    render_config=RenderConfig(
        load_method=LoadMode.DBT_MANIFEST,
        invocation_mode=InvocationMode.SUBPROCESS,
        dbt_executable_path=dbt,
        test_behavior=TestBehavior.NONE,
    ),
)
