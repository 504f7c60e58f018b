"""A platform whose feature tables stand, empty."""

from __future__ import annotations

import pytest

from data_platform.contracts.load import get_contracts
from data_platform.warehouse.connection import transaction
from data_platform.warehouse.tables import ensure_tables
from tests.conftest import Platform


@pytest.fixture
def features(platform: Platform) -> Platform:
    """The platform, with the published tables of ``contracts/features``."""
    with transaction() as connection:
        ensure_tables(connection, get_contracts().of_layer("features"))
    return platform
