"""Everything that comes from outside may be bad: for each case of a table the exact exit status,
a message that says what is wrong with which file, and nothing lost or left behind."""

import os
import pathlib
import subprocess
import tempfile

import bad_data
import bad_images
import bad_limits
import bad_models
import bad_outputs
import bad_recipes
import bad_usage
import bad_weights
from hostile import World
from program import ProgramTest, main

TABLES = [bad_images, bad_weights, bad_models, bad_recipes, bad_data, bad_outputs, bad_usage, bad_limits]


MOST = 1 << 22  # bytes that are compared of a file


def listing(folder):
    """Path -> size and content of all files."""
    found = {}
    for path, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            full = os.path.join(path, name)
            if os.path.isfile(full):
                with open(full, "rb") as file:
                    found[full] = (os.path.getsize(full), file.read(MOST))
            else:
                found[full] = None
    return found


class BadInputs(ProgramTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="mkd-bad-")
        cls.addClassCleanup(folder.cleanup)

        def run(*arguments):
            done = cls.program.run(*arguments)
            assert done.returncode == 0, done.stderr

        cls.world = World(pathlib.Path(folder.name), run)

    def check(self, case):
        with tempfile.TemporaryDirectory(prefix="mkd-case-") as name:
            folder = pathlib.Path(name)
            arguments = case.make(folder, self.world)
            before = listing(folder)
            done = self.program.run(*arguments, cwd=folder, input=case.stdin, stdin=None)
            said = done.stdout if case.status == 0 else done.stderr
            self.assertEqual(done.returncode, case.status, done.stderr[-2000:])
            self.assertIn(case.says.encode(), said)
            after = listing(folder)
            for path, content in before.items():
                self.assertEqual(after.get(path), content, f"{path} has changed")
            new = sorted(set(after) - set(before))
            if case.status > 1:
                self.assertEqual(new, [], "files of a failed run")
            self.assertFalse([path for path in new if path.endswith(b".tmp")])

    def test_a_closed_input(self):
        command = ["sh", "-c", 'exec "$0" score "$1" - <&-', self.program.path, self.world.model]
        done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard input: cannot read: Bad file descriptor", done.stderr)

    def test_table(self):
        count = 0
        for table in TABLES:
            for case in table.cases():
                count += 1
                with self.subTest(case.name):
                    self.check(case)
        print(f"{count} cases")


if __name__ == "__main__":
    main()
