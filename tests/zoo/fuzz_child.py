"""Coverage-guided fuzzing of what the confined child reads in Python itself; started by ``test_fuzz``.

    python tests/zoo/fuzz_child.py CORPUS -max_total_time=600

The first byte chooses between an archive, a table and a picture's bytes. What a person can fix is no failure.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["zoo.archive", "zoo.rows", "zoo.decode", "zoo.facts", "zipfile", "tarfile"]):
    from zoo.archive import unpack
    from zoo.columns import Columns
    from zoo.decode import decode
    from zoo.errors import StudioError
    from zoo.rows import read


def one(content: bytes) -> None:
    kind, rest = content[:1], content[1:]
    room = Path(tempfile.mkdtemp(dir=TOP))
    try:
        if kind < b"\x55":
            for member in unpack(io.BytesIO(rest), room, 1 << 22, 1000):
                assert member.file.isdigit() or member.why
        elif kind < b"\xaa":
            tables = [{"path": "t.csv", "name": "t.csv", "given": "", "features": {}}]
            for _ in read([io.BytesIO(rest)], tables, room, Columns(), 1 << 22, 0):
                pass
        else:
            decode(rest, 32)
    except StudioError:
        pass
    finally:
        shutil.rmtree(room)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        TOP = scratch
        atheris.Setup(sys.argv, one)
        atheris.Fuzz()
