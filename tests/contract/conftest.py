import pytest

# So that a failed check tells what it compared.
pytest.register_assert_rewrite(*(f"tests.contract.{name}" for name in ("calls", "content", "life", "stage", "wallclock")))
