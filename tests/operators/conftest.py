from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The messages that were logged."""
    said: list[str] = []
    number = logger.add(lambda message: said.append(str(message.record["message"])), level="INFO")
    yield said
    logger.remove(number)
