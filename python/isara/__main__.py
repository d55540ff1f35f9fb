# SPDX-License-Identifier: Apache-2.0
"""python -m isara: the program that the wheel installed, in this process's place."""
import os
import sys
import sysconfig


def program() -> str:
    """Where pip puts scripts: the environment's own, the user's, or beside a --target directory."""
    target = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin")
    user = sysconfig.get_path("scripts", "posix_user") if os.name == "posix" else ""
    for directory in (sysconfig.get_path("scripts"), user, target):
        path = os.path.join(directory, "isara")
        if os.path.isfile(path) and not _is_script(path):
            return path
    sys.exit("python -m isara: the program isara is neither in %s nor in %s; pip install --force-reinstall isara" % (sysconfig.get_path("scripts"), target))


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) != b"\x7fELF"


if __name__ == "__main__":
    path = program()
    os.execv(path, [path] + sys.argv[1:])
