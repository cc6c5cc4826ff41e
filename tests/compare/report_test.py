#!/usr/bin/env python3
"""The report of `switchboard compare --html`, in Chromium, driven by plain W3C WebDriver.

    python3 tests/compare/report_test.py PATH_TO_switchboard
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from browser import CHROMEDRIVER, DEADLINE_S, SPACE, TAB, Browser  # noqa: E402
from lifeline import following  # noqa: E402

switchboard = None


def make_report(folder):
    """Runs a small comparison; returns the page and its data. What the page is called would be HTML if it were let."""
    page, data = folder / "<" / "script><b id=injected>.html", folder / "report.json"
    page.parent.mkdir()
    done = subprocess.run(following(switchboard, "compare", "--scenario=short,idle,crash",
                                    "--strategies=serial,prefork:2", "--rounds=2", "--seconds=0.01", "--limit=300",
                                    "--clients=20", f"--html={page}", f"--json={data}"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE_S)
    if done.returncode != 0:
        raise AssertionError(f"compare: status {done.returncode}\n{done.stdout}")
    return page, json.loads(data.read_text())


TABLES = """
    return [...document.querySelectorAll("section.scenario")].map(section => ({
        id: section.id,
        tables: [...section.querySelectorAll("table")].map(table => ({
            caption: table.caption.textContent,
            head: [...table.tHead.rows[0].cells].map(cell => cell.textContent),
            rows: [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.innerText.split("\\n"))),
            scoped: [...table.querySelectorAll("th")].every(cell => cell.scope),
        })),
    }));"""

CANVASES = """
    return [...document.querySelectorAll("canvas")].map(canvas => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const colours = new Set(new Uint32Array(data.buffer));
        return { colours: colours.size, label: canvas.getAttribute("aria-label"), role: canvas.getAttribute("role"),
                 tables: canvas.closest(".figure").querySelectorAll("table caption").length };
    });"""


@unittest.skipUnless(CHROMEDRIVER, "there is no chromedriver (chromium-driver)")
class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="switchboard-")
        cls.addClassCleanup(cls.folder.cleanup)
        folder = pathlib.Path(cls.folder.name)
        cls.page, cls.data = make_report(folder)
        (folder / "browser").mkdir()
        cls.browser = Browser(folder / "browser")
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.resize(1280, 720)
        self.browser.colours("light")
        self.browser.open(self.page)

    def tearDown(self):
        self.assertEqual(self.browser.log(), [])

    def section(self, name):
        return next(section for section in self.browser.run(TABLES) if section["id"] == f"scenario-{name}")

    def summaries(self):
        """(scenario, contestant, metric, its summary) of each figure that a table shows."""
        for scenario in self.data["scenarios"]:
            for contestant in scenario["contestants"]:
                for metric, summary in contestant["summary"].items():
                    if metric in scenario["shown"]:
                        yield scenario, contestant, metric, summary

    def assertShows(self, text, value, digits):
        self.assertRegex(text, r"^-?[\d,]+" + (rf"\.\d{{{digits}}}$" if digits else "$"))
        self.assertAlmostEqual(float(text.replace(",", "")), value, delta=0.5000001 * 10 ** -digits)

    def test_the_page_has_its_data_in_it_and_asks_nobody_for_anything(self):
        self.assertEqual(json.loads(self.browser.run("return document.getElementById('data').textContent")), self.data)
        self.assertEqual(self.browser.run("return performance.getEntriesByType('resource').map(one => one.name)"), [])
        self.assertEqual(self.browser.run("""
            return [...document.querySelectorAll("[src], [href]")]
                .map(one => one.getAttribute("src") ?? one.getAttribute("href"))
                .filter(address => !/^(#|data:)/.test(address))"""), [])

    def test_text_of_the_data_stays_text(self):
        self.assertTrue(self.browser.run("return document.getElementById('injected') === null"))
        self.assertEqual(self.browser.run("return document.querySelector('.command').textContent"),
                         " ".join(self.data["command"]))

    def test_each_scenario_has_its_title_lesson_and_verdict(self):
        text = self.browser.run("return document.body.innerText")
        top = self.browser.run("return document.getElementById('top').innerText")
        for scenario in self.data["scenarios"]:
            for wanted in (scenario["title"], scenario["lesson"], *scenario["verdict"]):
                self.assertIn(wanted, text)
            self.assertIn(scenario["verdict"][0], top)
        self.assertIn(self.data["test"]["name"], text)

    def test_every_chart_is_drawn_and_has_its_table(self):
        canvases = self.browser.run(CANVASES)
        self.assertGreaterEqual(len(canvases), len(self.data["scenarios"]))
        for canvas in canvases:
            self.assertGreater(canvas["colours"], 10, canvas)
            self.assertEqual(canvas["tables"], 1, canvas)
            self.assertEqual(canvas["role"], "img")
            self.assertTrue(canvas["label"])

    def test_tables_have_captions_and_scopes(self):
        for section in self.browser.run(TABLES):
            self.assertTrue(section["tables"])
            for table in section["tables"]:
                self.assertTrue(table["caption"])
                self.assertTrue(table["scoped"], table["caption"])

    def test_the_table_of_a_scenario_has_the_medians_of_the_data(self):
        sections = {section["id"]: section["tables"][-1] for section in self.browser.run(TABLES)}
        checked = 0
        for scenario, contestant, metric, summary in self.summaries():
            about = self.data["metrics"][metric]
            table = sections[f"scenario-{scenario['name']}"]
            column = table["head"].index(f"{about['title']} ({about['unit']})" if about["unit"] else about["title"])
            row = next(row for row in table["rows"] if row[0][0] == contestant["name"])
            self.assertShows(row[column][0], summary["median"], about["digits"])
            checked += 1
        self.assertGreater(checked, 10)

    def test_the_first_chart_of_a_scenario_is_what_decides_in_it(self):
        for scenario in self.data["scenarios"]:
            about = self.data["metrics"][scenario["primary"]]
            if not any(scenario["primary"] in one["summary"] for one in scenario["contestants"]):
                self.assertIn("No strategy has a figure", self.browser.run(
                    "return document.getElementById(arguments[0]).innerText", f"scenario-{scenario['name']}"))
                continue
            table = self.section(scenario["name"])["tables"][0]
            self.assertIn(about["title"], table["caption"])
            for row in table["rows"]:
                contestant = next(one for one in scenario["contestants"] if one["name"] == row[0][0])
                summary = contestant["summary"].get(scenario["primary"])
                if summary:
                    self.assertShows(row[1][0], summary["median"], about["digits"])
                    self.assertIn(summary["judgement"] or "–", row[4][0])

    def test_the_timeline_has_a_bar_for_each_request(self):
        shown = self.browser.run("""
            return [...document.querySelectorAll(".timeline")].map(figure => {
                [...figure.querySelectorAll("button")].at(-1).click();
                return [...figure.querySelectorAll(".strategy")].map(panel =>
                    [panel.querySelector("h4").firstChild.textContent, panel.querySelectorAll("g.request").length]);
            });""")
        recorded = [sorted([one["name"], len(one["timeline"]["requests"])] for one in scenario["contestants"]
                           if one["timeline"]) for scenario in self.data["scenarios"]]
        self.assertEqual([sorted(figure) for figure in shown], [figure for figure in recorded if figure])
        self.assertTrue(shown)

    def test_all_requests_are_there_in_figures(self):
        rows = self.browser.run("""
            const details = document.querySelector(".timeline details");
            details.open = true;
            return new Promise(done => setTimeout(() => done(details.querySelectorAll("tbody tr").length)));""")
        recorded = [sum(len(one["timeline"]["requests"]) for one in scenario["contestants"] if one["timeline"])
                    for scenario in self.data["scenarios"]]
        self.assertEqual(rows, next(filter(None, recorded)))

    def test_charts_and_page_follow_the_colours_that_are_preferred(self):
        background = "return getComputedStyle(document.body).backgroundColor"
        picture = "return document.querySelector('canvas').toDataURL()"
        light = self.browser.run(background), self.browser.run(picture)
        self.browser.colours("dark")
        dark = self.browser.run(background), self.browser.run(picture)
        self.assertNotEqual(light[0], dark[0])
        self.assertNotEqual(light[1], dark[1])
        self.browser.colours("light")
        self.assertEqual((self.browser.run(background), self.browser.run(picture)), light)

    def test_a_narrow_window_need_not_be_scrolled_sideways(self):
        for width in (400, 1280):
            self.browser.resize(width, 720)
            self.browser.open(self.page)
            self.assertLessEqual(self.browser.run("return document.scrollingElement.scrollWidth"), width)

    def test_the_keyboard_reaches_every_control(self):
        controls = self.browser.run("""
            const controls = document.querySelectorAll("a[href], button, input, summary");
            controls.forEach((control, n) => control.dataset.n = n);
            return controls.length;""")
        reached = []
        for _ in range(controls + 100):
            self.browser.press(TAB)
            n = self.browser.run("return document.activeElement.dataset.n ?? null")
            if n is not None and n in reached:
                break
            reached += [] if n is None else [n]
        self.assertEqual(reached, [str(n) for n in range(controls)])

    def test_a_box_takes_a_strategy_off_the_timeline(self):
        count = "return [...document.querySelectorAll('.timeline .strategy')].filter(one => !one.hidden).length"
        before = self.browser.run(count)
        self.browser.run("document.querySelector('.timeline input').focus()")
        self.browser.press(SPACE)
        self.assertEqual(self.browser.run(count), before - 1)

    def test_it_prints_on_white_and_is_itself_again(self):
        self.browser.colours("dark")
        self.browser.run("""
            window.papers = [];
            addEventListener("beforeprint", () => papers.push(getComputedStyle(document.documentElement)
                .getPropertyValue("--ink")));""")
        screen = self.browser.run("return getComputedStyle(document.documentElement).getPropertyValue('--ink')")
        self.assertEqual(self.browser.print()[:5], b"%PDF-")
        inks = self.browser.run("return window.papers")
        self.assertTrue(inks)
        self.assertNotIn(screen, inks)
        self.assertFalse(self.browser.run("return document.documentElement.classList.contains('paper')"))


if __name__ == "__main__":
    switchboard = sys.argv.pop(1)
    unittest.main(verbosity=2)
