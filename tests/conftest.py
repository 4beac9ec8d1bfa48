"""What every test shares."""

import sys
from collections.abc import Callable

import pytest
import torch

from ccfpse.cli import main


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
