"""The command line: ``python -m trainer COMMAND``."""

import sys

from trainer import commands, correcting, explaining, judging, making, racing, repeating, taking
from zoo.command import main

if __name__ == "__main__":
    rooms = (making, judging, taking, explaining, correcting, racing, commands, repeating)
    sys.exit(main("python -m trainer", [command for room in rooms for command in room.COMMANDS]))
