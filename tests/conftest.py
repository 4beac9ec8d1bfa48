"""What every test shares."""

import sys
from collections import Counter
from collections.abc import Callable

import pytest
import torch

from ccfpse.cli import main


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several tests of one name xdist runs one, without a word."""
    names = Counter(item.nodeid for item in items)
    if shared := [name for name, count in names.items() if count > 1]:
        raise pytest.UsageError(f"tests that share a name: {', '.join(shared)}")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls the entry point in this process; its status, what it printed and what it said on stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ccfpse", *map(str, words)])
        status: object = 0
        try:
            main()
        except SystemExit as leaving:
            status = leaving.code or 0
        said = capsys.readouterr()
        assert isinstance(status, int)
        return status, said.out, said.err

    return run
