"""What the tests of the header and of an installation share. CTest gives the build in MKD_*."""

import os
import pathlib
import shlex
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["MKD_BUILD"])
PROGRAM = BUILD / "programs" / "mkd" / "mkd"
LIBRARIES = BUILD / "src"
FLAGS = shlex.split(os.environ["MKD_FLAGS"])  # of the sanitizers that the library is built with


def compiler(language):
    """The compiler of "c" or "c++" as a list, or None."""
    return shlex.split(os.environ["MKD_CC" if language == "c" else "MKD_CXX"]) or None


class PackageTest(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="mkd-package-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_command(self, *command, env=None, cwd=None):
        """Runs to the end, which has to be a good one, and returns standard output."""
        done = subprocess.run(
            list(map(os.fspath, command)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=cwd or self.folder,
            env={**os.environ, **(env or {})},
            check=False,
        )
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout
