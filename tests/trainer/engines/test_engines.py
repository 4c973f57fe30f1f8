"""What every engine keeps to; a new one is tested on arrival."""

import pytest

from trainer.engines import Engine, Exit, engines
from trainer.processes import Process
from trainer.runs import Runs


def test_the_local_engine_is_always_there() -> None:
    assert "local" in engines()


@pytest.mark.parametrize("name", engines())
def test_an_engine_knows_a_process_that_is_gone(name: str) -> None:
    engine = engines()[name]
    assert isinstance(engine, Engine)
    assert engine.poll(Process(2**22 + 1, "1")) == Exit(None)


@pytest.mark.parametrize("name", engines())
def test_an_engine_has_nothing_to_cancel_where_nothing_runs(name: str, runs: Runs) -> None:
    assert engines()[name].cancel(runs.store.runs / "none", force=False)
