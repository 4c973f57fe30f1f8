"""What an error says about a machine that ran out of something."""

from __future__ import annotations

import errno

from zoo.errors import BadPlan, StudioError


def exhausted(error: BaseException | None) -> StudioError | None:
    """What ``error``, or what led to it, says about a machine that ran out of something; None for anything else."""
    if error is None:
        return None
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BadPlan("The disk is full.", "Make room, then resume the run from its last checkpoint.")
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported to be recognised
        return BadPlan("The GPU's memory is full.", "Start it again with a smaller batch, or free the GPU and resume.")
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return BadPlan("The memory is full.", "Start it again with a smaller batch, or close something and resume.")
    return exhausted(error.__cause__ or error.__context__)  # torch tells of a full disk by a RuntimeError of its own
