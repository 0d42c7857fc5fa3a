"""What every test may ask for."""

from pathlib import Path

import pytest


@pytest.fixture
def shared() -> Path:
    """The reference data that stands beside the checkout in CI; a clone elsewhere has none."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the reference data folder ../shared/data is not beside this checkout")
    return folder
