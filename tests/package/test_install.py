"""An installation, moved to another place: what is in it, what the library exports, and programs
that find it with CMake and with pkg-config."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

from package import BUILD, FLAGS, ROOT, PackageTest, compiler

CMAKE = os.environ["MKD_CMAKE"]
STATIC = os.environ["MKD_STATIC"] == "1"
CONSUMER = pathlib.Path(__file__).resolve().parent / "consumer"
VERSION = re.search(r"project\(mkd VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]


class Install(PackageTest):
    @classmethod
    def setUpClass(cls):
        shared = tempfile.TemporaryDirectory(prefix="mkd-package-")
        cls.addClassCleanup(shared.cleanup)
        first = pathlib.Path(shared.name) / "first"
        install = [CMAKE, "--install", BUILD, "--prefix", first]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        cls.prefix = first.rename(first.with_name("moved"))
        cls.libraries = next(cls.prefix.rglob("libmkd.so")).parent

    def test_files(self):
        files = {os.fspath(path.relative_to(self.prefix)) for path in self.prefix.rglob("*")}
        wanted = {"bin/mkd", "include/mkd/mkd.h", "share/man/man1/mkd.1"}
        wanted |= {f"share/mkd/recipes/{recipe.name}" for recipe in (ROOT / "recipes").iterdir()}
        if (BUILD / "expert" / "efficientnet-lite0.safetensors").is_file():
            wanted.add("share/mkd/efficientnet-lite0.safetensors")
        self.assertLessEqual(wanted, files)
        self.assertEqual((self.libraries / "libmkd.a").is_file(), STATIC)
        for path in self.libraries.rglob("*.cmake"):
            self.assertNotIn(os.fspath(ROOT), path.read_text(), path)

    def test_program_finds_its_library(self):
        done = self.run_command(self.prefix / "bin" / "mkd", "--version")
        self.assertTrue(done.startswith(f"mkd {VERSION}\n"), done)

    def test_program_finds_its_expert(self):
        if not (self.prefix / "share/mkd/efficientnet-lite0.safetensors").is_file():
            self.skipTest("the build has no default expert")
        mkd, data = self.prefix / "bin" / "mkd", self.folder / "data"
        self.run_command(mkd, "demo-data", data)
        model = self.folder / "m.mkd"
        self.run_command(
            mkd, "train", data, "-o", model, "--size", "64", "--epochs", "1", env={"MKD_EXPERT": ""}
        )
        self.assertTrue(model.is_file())

    def test_exports_the_public_interface_only(self):
        header = (ROOT / "include" / "mkd" / "mkd.h").read_text()
        public = set(re.findall(r"^MKD_API [^(;]*?(\w+)\(", header, re.M))
        self.assertGreater(len(public), 30)
        library = self.libraries / "libmkd.so"
        table = self.run_command("nm", "-D", "--defined-only", library)
        self.assertEqual({line.split()[-1] for line in table.splitlines()}, public)

    def test_neither_prints_nor_exits(self):
        """Nor would a macro, or an assertion, unnoticed by tests/source."""
        table = self.run_command("nm", "-D", "--undefined-only", self.libraries / "libmkd.so")
        used = {line.split()[-1].split("@")[0] for line in table.splitlines()}
        prints = {"printf", "fprintf", "vprintf", "vfprintf", "dprintf", "vdprintf"}
        prints |= {f"__{name}_chk" for name in prints}
        prints |= {"puts", "fputs", "putchar", "putc", "fputc", "perror", "stdout", "stderr"}
        exits = {"exit", "_exit", "_Exit", "quick_exit", "abort", "__assert_fail"}
        self.assertEqual(used & (prints | exits), set())

    def test_soname(self):
        dynamic = self.run_command("readelf", "-d", self.libraries / "libmkd.so")
        self.assertIn("Library soname: [libmkd.so.0]", dynamic)

    def check(self, program):
        self.assertEqual(self.run_command(program), f"{VERSION}\n")

    def test_cmake(self):
        for target in ["mkd::mkd", "mkd::mkd_static"] if STATIC else ["mkd::mkd"]:
            build = self.folder / target.replace(":", "-")
            compiled_by = f"-DCMAKE_C_COMPILER={compiler('c')[0]}"
            places = [f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DMKD_TARGET={target}"]
            self.run_command(CMAKE, "-S", CONSUMER, "-B", build, compiled_by, *places)
            self.run_command(CMAKE, "--build", build)
            self.check(build / "consumer")

    def test_cmake_refuses_another_version(self):
        source = self.folder / "other"
        shutil.copytree(CONSUMER, source)
        text = (source / "CMakeLists.txt").read_text()
        (source / "CMakeLists.txt").write_text(text.replace("mkd 0.1 ", "mkd 0.2 "))
        command = [CMAKE, "-S", source, "-B", source / "build"]
        command += [f"-DCMAKE_PREFIX_PATH={self.prefix}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("0.2", done.stderr)

    def test_pkg_config(self):
        env = {"PKG_CONFIG_PATH": os.fspath(self.libraries / "pkgconfig")}
        kinds = {"shared": ["--cflags", "--libs"]}
        if STATIC:
            kinds["static"] = ["--static", *kinds["shared"]]
        for kind, options in kinds.items():
            flags = shlex.split(self.run_command("pkg-config", *options, "mkd", env=env))
            if kind == "static":
                flags = ["-l:libmkd.a" if flag == "-lmkd" else flag for flag in flags]
            program = self.folder / kind
            self.run_command(
                *compiler("c"),
                CONSUMER / "main.c",
                *flags,
                f"-Wl,-rpath,{self.libraries}",
                "-o",
                program,
            )
            self.check(program)
        self.assertEqual(self.run_command("pkg-config", "--modversion", "mkd", env=env).strip(), VERSION)


if __name__ == "__main__":
    if FLAGS:
        sys.exit(77)  # a build for sanitizers or coverage is not one to install
    unittest.main(verbosity=2)
