"""The page that `mkd eval --report` writes. Needs the default expert; what the page does in a browser
is tested where there is Chromium."""

import base64
import html.parser
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

from program import SKIPPED, Program, ProgramTest, main

SHORT = ["--epochs", "1", "--size", "64"]
VOID = {"meta", "img", "br", "input", "link", "wbr", "hr"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;"
LIMIT = 4 << 20  # bytes of a page


class Page(html.parser.HTMLParser):
    """Elements in the order of the file, each with its attributes, text and depth."""

    def __init__(self, file):
        super().__init__(convert_charrefs=True)
        self.source = pathlib.Path(file).read_bytes().decode("utf-8")
        self.elements, self.open = [], []
        self.feed(self.source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        element = {"tag": tag, "attrs": dict(attrs), "text": "", "path": list(self.open)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1]["tag"] == tag, (tag, self.getpos(), self.open[-1:])
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attrs):
        wanted = {name.replace("_", "-"): value for name, value in attrs.items()}
        return [
            element
            for element in self.elements
            if element["tag"] == tag and wanted.items() <= element["attrs"].items()
        ]

    def with_class(self, name):
        return [e for e in self.elements if name in (e["attrs"].get("class") or "").split()]

    def inside(self, outer):
        return [element for element in self.elements if any(e is outer for e in element["path"])]

    def live(self):
        return {
            e["attrs"]["data-live"]: e["text"] for e in self.elements if "data-live" in e["attrs"]
        }

    def value(self, name):
        """Of the <data> of that id."""
        return number(self.all("data", id=name)[0])

    def scores(self):
        return json.loads(self.all("script", id="scores")[0]["text"])


def number(element):
    value = element["attrs"]["value"]
    return float(value) if value else None


def percent(rate):
    return "\u2013" if rate is None else f"{100 * rate:.1f}\u202f%"


def points_of(path):
    """The corners of an SVG path of M, L, H and V."""
    x = y = 0.0
    for command, numbers in re.findall(r"([MLHV])([0-9. ]+)", path):
        values = [float(value) for value in numbers.split()]
        if command in "ML":
            x, y = values
        elif command == "H":
            x = values[0]
        else:
            y = values[0]
        yield x, y


class Report(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.env = {"MKD_EXPERT": str(cls.program.expert())}
        shared = tempfile.TemporaryDirectory(prefix="mkd-program-")
        cls.addClassCleanup(shared.cleanup)
        cls.shared = pathlib.Path(shared.name)
        cls.data = cls.shared / "demo"
        cls.model = cls.shared / "demo.mkd"
        cls.file = cls.shared / "report.html"
        cls.program.run("demo-data", cls.data)
        cls.program.run("train", cls.data, "-o", cls.model, *SHORT, env=cls.env)
        done = cls.program.run(
            "eval", cls.model, cls.data, "--format", "json", "--report", cls.file
        )
        assert done.returncode == 0, done.stderr
        cls.metrics = json.loads(done.stdout)
        cls.page = Page(cls.file)

    def report(self, status, data, *options, model=None):
        file = self.folder / "report.html"
        self.expect(status, "eval", model or self.model, data, "--report", file, "-q", *options)
        return Page(file)

    def check_structure(self, page):
        ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
        self.assertEqual(len(ids), len(set(ids)))
        for element in page.elements:
            attrs = element["attrs"]
            self.assertFalse([name for name in attrs if name.startswith("on")], attrs)
            self.assertNotIn("srcset", attrs)
            self.assertIn(attrs.get("aria-labelledby", ids[0]), ids)
            if "href" in attrs:
                self.assertIn(attrs["href"][1:], ids)
            if element["tag"] == "img":
                self.assertIn("alt", attrs)
                kind, data = attrs["src"].split(",")
                self.assertEqual(kind, "data:image/jpeg;base64")
                self.assertEqual(base64.b64decode(data, validate=True)[:3], b"\xff\xd8\xff")
            else:
                self.assertNotIn("src", attrs)
        levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"])]
        self.assertEqual(levels[0], 1)
        self.assertEqual(levels.count(1), 1)
        for before, after in zip(levels, levels[1:]):
            self.assertLessEqual(after, before + 1)
        self.assertEqual(len(page.all("script")), 2)
        self.assertFalse(page.all("link") + page.all("iframe") + page.all("object"))
        policy = page.all("meta", http_equiv="Content-Security-Policy")[0]["attrs"]["content"]
        self.assertIn("default-src 'none'", policy)
        styles = "".join(e["text"] for e in page.all("style"))
        self.assertNotRegex(styles, r"url\(|@import|@font-face")
        self.assertFalse("{{" in page.source)
        self.assertFalse("\0" in page.source)
        self.assertLess(len(page.source), LIMIT)

    def test_structure(self):
        self.check_structure(self.page)
        others = re.sub(r"base64,[^\"]*", "", self.page.source)
        self.assertEqual(re.findall(r"(?i)https?:.{20}|[\"'(]//.{20}", others), [])

    def test_headline_figures_are_those_of_json(self):
        m = self.metrics
        wanted = {
            "image-auroc": (m["image"]["auroc"], m["image"]["auroc_ci95"]),
            "image-ap": (m["image"]["ap"], m["image"]["ap_ci95"]),
            "pixel-auroc": (m["pixel"]["auroc_all"], None),
            "aupro-30": (m["pixel"]["aupro_0.3"], None),
        }
        for name in ["detection_rate", "false_alarm_rate"]:
            rates = m["at_threshold"]
            wanted[name.replace("_", "-")] = rates[name], rates[f"{name}_ci95"]
        for name, (value, interval) in wanted.items():
            element = self.page.all("data", id=name)[0]
            self.assertEqual(number(element), value, name)
            self.assertEqual(element["text"], percent(value))
            cell = element["path"][-1]
            others = [e for e in self.page.inside(cell) if e["tag"] == "data"][1:]
            self.assertEqual([number(e) for e in others], interval or [], name)
            self.assertEqual([e["text"] for e in others], [percent(v) for v in interval or []])

    def test_table_of_kinds_is_that_of_json(self):
        rows = self.page.inside(self.page.all("table", **{"class": "kinds"})[0])
        rows = [row for row in rows if row["tag"] == "tr"][2:]  # behind the head and good
        self.assertEqual(len(rows), len(self.metrics["kinds"]))
        for row, (kind, m) in zip(rows, self.metrics["kinds"].items()):
            cells = self.page.inside(row)
            self.assertEqual([e["text"] for e in cells if e["tag"] == "th"], [kind])
            values = [number(e) for e in cells if e["tag"] == "data"]
            image, pixel = m["image"], m["pixel"]
            wanted = [image["auroc"], image["ap"], pixel["auroc_all"], pixel["aupro_0.3"]]
            self.assertEqual(values, wanted)
            count = m["images"]["anomalous"]
            found = round(m["at_threshold"]["detection_rate"] * count)
            detected = [e["text"] for e in cells if "data-kind" in e["attrs"]]
            self.assertEqual(detected, [f"{found} of {count}"])

    def score(self, folder):
        done = self.expect(0, "score", self.model, folder, "--format", "jsonl")
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def test_scores_and_verdicts_are_those_of_score(self):
        scores = self.page.scores()
        kinds = sorted(self.metrics["kinds"])
        good = self.score(self.data / "test" / "good")
        bad = [self.score(self.data / "test" / kind) for kind in kinds]
        self.assertEqual(scores["normal"], sorted(r["score"] for r in good))
        self.assertEqual(scores["kinds"], [sorted(r["score"] for r in rs) for rs in bad])
        self.assertEqual(scores["threshold"], good[0]["threshold"])
        alarms = sum(r["anomalous"] for r in good)
        detected = sum(r["anomalous"] for rs in bad for r in rs)
        live = self.page.live()
        images = self.metrics["images"]
        self.assertEqual(live["alarms"], str(alarms))
        self.assertEqual(live["passed"], str(images["normal"] - alarms))
        self.assertEqual(live["detected"], str(detected))
        self.assertEqual(live["missed"], str(images["anomalous"] - detected))
        rates = self.metrics["at_threshold"]
        self.assertEqual(live["detection_rate"], percent(rates["detection_rate"]))
        self.assertEqual(live["alarm_rate"], percent(rates["false_alarm_rate"]))

    def test_curves_enclose_their_areas(self):
        curves = [e["attrs"]["d"] for e in self.page.with_class("curve")]
        ring = self.page.all("circle", id="roc-ring")[0]["attrs"]
        left, top, side = (float(ring[f"data-{name}"]) for name in ["left", "top", "side"])
        for curve, value in zip(curves, ["auroc", "ap"], strict=True):
            points = [((x - left) / side, 1 - (y - top) / side) for x, y in points_of(curve)]
            steps = zip(points, points[1:])
            area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in steps)
            self.assertAlmostEqual(area, self.metrics["image"][value], delta=0.003)
        rates = self.metrics["at_threshold"]
        self.assertAlmostEqual(
            (float(ring["cx"]) - left) / side, rates["false_alarm_rate"], delta=0.001
        )
        self.assertAlmostEqual(
            1 - (float(ring["cy"]) - top) / side, rates["detection_rate"], delta=0.001
        )

    def gallery(self, page, name):
        """(file, verdict, score, views) of the images of a group."""
        section = page.all("section", aria_labelledby=name)[0]
        for item in [e for e in page.inside(section) if e["tag"] == "li"]:
            inside = page.inside(item)
            yield (
                next(e["text"] for e in inside if e["tag"] == "h3"),
                next(e["text"] for e in inside if "verdict" in e["attrs"].get("class", "")),
                next(number(e) for e in inside if e["tag"] == "data"),
                [e["attrs"]["alt"] for e in inside if e["tag"] == "img"],
            )

    def test_gallery_shows_the_extremes(self):
        results = {}
        for kind in ["good", *self.metrics["kinds"]]:
            for result in self.score(self.data / "test" / kind):
                results[os.path.relpath(result["path"], self.data)] = result
        normal = [name for name in results if name.startswith("test/good/")]
        anomalous = [name for name in results if name not in normal]
        wanted = {
            "lowest-anomalous": sorted(anomalous, key=lambda name: results[name]["score"])[:8],
            "highest-normal": sorted(normal, key=lambda name: -results[name]["score"])[:8],
        }
        seen = set()
        for group, names in wanted.items():
            images = list(self.gallery(self.page, group))
            self.assertEqual([image[0] for image in images], names)
            seen.update(names)
        for name, verdict, score, views in [
            image
            for group in [*wanted, "hits"]
            for image in (self.gallery(self.page, group) if self.page.all("h2", id=group) else [])
        ]:
            self.assertEqual(score, results[name]["score"])
            alarm = results[name]["anomalous"]
            if name in normal:
                self.assertEqual(verdict, "false alarm" if alarm else "called normal")
                self.assertEqual(views, [f"{v}: {name}" for v in ["Image", "Heat map", "Overlay"]])
            else:
                self.assertEqual(verdict, "detected" if alarm else "missed")
                names = ["Image", "Ground truth", "Heat map", "Overlay"]
                self.assertEqual(views, [f"{view}: {name}" for view in names])

    def test_facts_of_the_model(self):
        info = json.loads(self.expect(0, "info", self.model, "--format", "json").stdout)
        section = self.page.all("section", aria_labelledby="model")[0]["text"]
        for fact in [
            info["expert"],
            info["expert_sha256"][:12],
            f"seed {info['seed']}",
            f"{info['trained_images']} normal images",
            info["recipe"]["name"],
            info["recipe"]["localize"],
            f"{info['calibration']['held_out_images']} held-out",
            f"{info['calibration']['threshold']:.4g}",
        ]:
            self.assertIn(fact, section)

    def test_same_page_again_on_any_number_of_threads(self):
        page = self.report(0, self.data, "--threads", "3")
        self.assertTrue(page.source == self.page.source)

    def small_data(self, kind="hole", good="000.png"):
        """A data set of few images, with a kind and a file of that name."""
        data = self.folder / "small"
        for folder, name in [("good", "good"), ("hole", kind)]:
            (data / "test" / name).mkdir(parents=True)
            for image in sorted((self.data / "test" / folder).iterdir())[:3]:
                shutil.copy(image, data / "test" / name)
        folder = data / "test" / "good"
        os.rename(folder / "000.png", folder / os.fsdecode(good))
        return data

    def test_hostile_names_stay_texts(self):
        data = self.small_data(HOSTILE, b"<\xffscript><svg onload=x>.png")
        hostile = self.folder / f"{HOSTILE}</title>".replace("/", "|")
        data = data.rename(hostile)
        page = self.report(0, data)
        self.check_structure(page)
        self.assertEqual(page.all("h1")[0]["text"], hostile.name)
        self.assertIn(HOSTILE, [e["text"] for e in page.all("th")])
        shown = [e["text"] for e in page.all("h3")]
        self.assertIn(f"test/{HOSTILE}/001.png", shown)
        self.assertIn("test/good/<\ufffdscript><svg onload=x>.png", shown)
        self.assertFalse("<img src=x" in page.source or "<svg onload" in page.source)

    def test_without_masks(self):
        page = self.report(0, self.small_data())
        self.check_structure(page)
        self.assertEqual(page.all("data", id="pixel-auroc"), [])
        self.assertTrue("the data has no masks" in page.source)
        self.assertFalse("Ground truth" in page.source)
        self.assertFalse("Pixel AUROC" in page.source)
        self.assertTrue("Heat map:" in page.source)

    def test_without_maps(self):
        model = self.folder / "scores.mkd"
        self.expect(
            0, "train", self.data, "-o", model, *SHORT, "--set", "localize=none", env=self.env
        )
        page = self.report(0, self.data, model=model)
        self.check_structure(page)
        self.assertTrue("the model makes no heat maps" in page.source)
        self.assertFalse("Heat map:" in page.source)
        self.assertTrue("Ground truth:" in page.source)

    def test_maps_without_threshold_have_no_common_scale(self):
        page = self.report(0, self.small_data(), "--localize", "gradient")
        self.check_structure(page)
        self.assertTrue("Heat map:" in page.source)
        self.assertEqual(page.with_class("scale"), [])
        self.assertTrue(self.page.with_class("scale"))

    def test_images_that_cannot_be_read_are_told(self):
        data = self.small_data()
        (data / "test" / "hole" / "<b>.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        page = self.report(1, data)
        self.check_structure(page)
        section = page.all("section", aria_labelledby="unreadable")[0]
        self.assertIn("<b>.png", section["text"])
        self.assertTrue("1 image could not be evaluated" in page.source)
        self.assertEqual(self.page.all("section", aria_labelledby="unreadable"), [])

    def test_a_path_that_cannot_be_written_is_refused_before_the_work(self):
        for path in [self.folder / "absent" / "report.html", self.folder]:
            done = self.expect(3, "eval", self.model, self.data, "--report", path)
            self.assertIn(os.fsencode(path), done.stderr)
            self.assertEqual(done.stdout, b"")
        self.assertEqual(os.listdir(self.folder), [])

    def test_what_fails_leaves_the_old_page(self):
        data = self.small_data()
        file = self.folder / "report.html"
        file.write_text("old")
        self.expect(3, "eval", self.model, data / "test", "--report", file)
        done = self.program.run(
            *["eval", self.model, data, "--report", file, "-q"],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)),
            restore_signals=False,  # Python ignores SIGXFSZ, so that writing fails instead
        )
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn(b"report.html", done.stderr)
        self.assertEqual(file.read_text(), "old")
        self.assertEqual(sorted(os.listdir(self.folder)), ["report.html", "small"])


class Browser(Report):
    """What the page does in Chromium."""

    @classmethod
    def setUpClass(cls):
        names = ["chromium", "chromium-browser", "google-chrome"]
        cls.chromium = next(filter(None, map(shutil.which, names)), None)
        if not cls.chromium:
            cls.skipTest(cls, "there is no Chromium")
        super().setUpClass()

    def run_page(self, script, width=1200):
        """The JSON that `script` returns, run in the page after loading, in a frame of that width."""
        probe = f"""<script>addEventListener("load", () => {{
            const result = (() => {{ {script} }})();
            parent.postMessage(JSON.stringify(result), "*");
        }});</script>"""
        page = self.folder / "page.html"
        page.write_text(self.page.source.replace("</body>", probe + "</body>"))
        frame = self.folder / "frame.html"
        frame.write_text(
            f"""<!DOCTYPE html><iframe src="page.html" style="width:{width}px"></iframe><pre></pre>
            <script>addEventListener("message", (message) => {{
                document.querySelector("pre").textContent = message.data;
            }});</script>"""
        )
        done = subprocess.run(
            [
                *[self.chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"],
                *[f"--user-data-dir={self.folder / 'profile'}", "--virtual-time-budget=10000"],
                frame.as_uri(),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=120,
            check=True,
        )
        text = re.search(r"<pre>(.*?)</pre>", done.stdout.decode(), re.DOTALL).group(1)
        self.assertTrue(text, done.stderr)
        return json.loads(html.unescape(text))

    def test_nothing_is_wider_than_the_page(self):
        for width in [320, 360, 700, 1200]:
            wider = """
                const most = document.documentElement.clientWidth;
                return [...document.body.querySelectorAll("*")]
                    .filter((e) => e.getBoundingClientRect().right > most + 0.5)
                    .map((e) => `${e.tagName} ${e.className}`);"""
            self.assertEqual(self.run_page(wider, width), [], width)

    def test_slider_moves_the_threshold(self):
        shown = """
            const slider = document.querySelector("#slider input");
            const texts = () => Object.fromEntries([...document.querySelectorAll("[data-live]")]
                .map((text) => [text.dataset.live, text.textContent]));
            const kinds = () => [...document.querySelectorAll("[data-kind]")]
                .map((text) => text.textContent);
            const state = () => ({ ...texts(), kinds: kinds(), cut: document.getElementById("cut")
                .textContent, valuetext: slider.getAttribute("aria-valuetext") });
            const states = [state()];
            for (const place of [0, 0.5, 1]) {
                slider.value = place;
                slider.dispatchEvent(new Event("input"));
                states.push(state());
            }
            document.getElementById("reset").click();
            states.push(state());
            return { states, hidden: document.getElementById("slider").hidden };"""
        found = self.run_page(shown)
        self.assertFalse(found["hidden"])
        first, least, middle, most, last = found["states"]
        self.assertEqual(first, last)
        images = self.metrics["images"]
        self.assertEqual(least["detected"], str(images["anomalous"]))
        self.assertEqual(least["alarm_rate"], percent(1))
        self.assertEqual(most["missed"], str(images["anomalous"]))
        self.assertEqual(most["alarms"], "0")
        self.assertEqual(middle["cut"], middle["valuetext"])
        scores, cut = self.page.scores(), float(middle["cut"])
        counts = [f"{sum(s > cut for s in kind)} of {len(kind)}" for kind in scores["kinds"]]
        self.assertEqual(middle["kinds"], counts)
        self.assertEqual(middle["alarms"], str(sum(s > cut for s in scores["normal"])))


def load_tests(loader, _tests, _pattern):
    """Browser inherits what makes the page, but not the tests."""
    suite = loader.loadTestsFromTestCase(Report)
    own = [name for name in vars(Browser) if name.startswith("test_")]
    suite.addTests(Browser(name) for name in own)
    return suite


def needs_expert():
    if Program(sys.argv[1]).expert() is None:
        print("skipped: there is no expert; scripts/fetch-expert.sh build/expert, or set MKD_EXPERT")
        sys.exit(SKIPPED)


if __name__ == "__main__":
    needs_expert()
    main()
