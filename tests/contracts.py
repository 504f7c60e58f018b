"""Contracts as tests want them."""

from __future__ import annotations

from typing import Any

import pytest

from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract


def change_contract(patch: pytest.MonkeyPatch, dataset: str, **changes: Any) -> Contract:
    """Gives this process a contract with some parts changed, as long as the patch lasts."""
    changed = get_contracts()[dataset].model_copy(update=changes)
    for derived in changed.__dict__.keys() - Contract.model_fields.keys():
        del changed.__dict__[derived]  # kept by the copy, of the parts that it had before
    patch.setitem(get_contracts()._by_dataset, dataset, changed)
    return changed
