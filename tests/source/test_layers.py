"""Who includes whom: exactly the table of CONTRIBUTING.md. And what src/ and programs/ never do."""

import collections
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PROGRAMS = ROOT / "programs"

PRINTS_OR_EXITS = re.compile(
    r"\b(v?f?printf|v?dprintf|f?puts|f?putc|putchar|perror|psignal|v?syslog|v?warnx?|v?errx?"
    r"|_?exit|_Exit|quick_exit|abort|assert)\s*\(|\b(stdout|stderr)\b"
)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in (".c", ".h"))


def code(path):
    """The text of a file without comments and literals."""
    comment = r"/\*.*?\*/|//[^\n]*"
    literal = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])  # lines keep their numbers
    return re.sub(f"{comment}|{literal}", blank, path.read_text(), flags=re.S)


def includes(path):
    """Pairs of the delimiter and the name of each #include."""
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', path.read_text(), re.M)


def allowed():
    """The table of CONTRIBUTING.md: folder -> set of folders."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = re.search(r"^## Who may include whom$(.*?)^## ", text, re.M | re.S)[1]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.M)
    return {folder: set(re.findall(r"`(\w+)`", others)) for folder, others in rows}


class Layers(unittest.TestCase):
    def setUp(self):
        self.edges = collections.defaultdict(lambda: collections.defaultdict(list))
        for path in files(SOURCE):
            folder = path.relative_to(SOURCE).parts[0]
            for delimiter, name in includes(path):
                if delimiter == '"' or (SOURCE / name).is_file():
                    self.assertTrue((SOURCE / name).is_file(), f"{path}: {name} is not below src/")
                    if not name.startswith(folder + "/"):
                        self.edges[folder][name.split("/")[0]].append(f"{path}: {name}")

    def test_table_names_all_folders(self):
        folders = {path.name for path in SOURCE.iterdir() if path.is_dir()}
        self.assertEqual(set(allowed()), folders)

    def test_a_folder_comes_after_those_it_includes(self):
        """So there is no cycle."""
        before = set()
        for folder, others in allowed().items():
            self.assertLessEqual(others, before, folder)
            before.add(folder)

    def test_no_include_is_missing_from_the_table(self):
        table = allowed()
        for folder, others in self.edges.items():
            for other, where in others.items():
                self.assertIn(other, table.get(folder, ()), where)

    def test_table_allows_nothing_that_is_not_used(self):
        for folder, others in allowed().items():
            self.assertEqual(others - set(self.edges[folder]), set(), folder)

    def test_kernels_know_only_core_and_themselves(self):
        for path in files(SOURCE / "nn" / "kernels"):
            for delimiter, name in includes(path):
                if delimiter == '"':
                    self.assertRegex(name, r"^(core|nn/kernels)/", path)

    def test_programs_use_the_public_header_only(self):
        for path in files(PROGRAMS):
            for delimiter, name in includes(path):
                if delimiter == '"':
                    self.assertTrue((path.parent / name).is_file(), f"{path}: {name}")
                    self.assertNotIn("/", name, path)
                elif any((ROOT / folder / name).is_file() for folder in ("include", "src")):
                    self.assertEqual(name, "mkd/mkd.h", path)

    def test_library_neither_prints_nor_exits(self):
        for path in files(SOURCE):
            for number, line in enumerate(code(path).splitlines(), 1):
                self.assertIsNone(PRINTS_OR_EXITS.search(line), f"{path}:{number}: {line}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
