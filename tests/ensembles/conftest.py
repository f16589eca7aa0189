"""A short training on the tokens of the first trained ensemble."""

import pytest


@pytest.fixture(scope="session")
def spec(trained):
    return trained[0].spec.model_copy(update={"batch": 4, "steps": 24})


@pytest.fixture(scope="session")
def store(trained):
    return trained[0].store
