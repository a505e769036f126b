#!/bin/bash
# SPDX-License-Identifier: MIT
# The report in a browser: no complaint on its console, no sideways scrolling on a screen and on a
# telephone, everything to be read without scripts, and the search finds what it should. Needs
# Chromium and its driver (Debian: chromium, chromium-driver), and is skipped without.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
for needed in chromium chromedriver gnuplot python3; do
    command -v "$needed" >/dev/null || {
        echo "SKIP: no $needed"
        exit 77
    }
done

cat >small.cfg <<END
name = "small";
extends = "$source/experiments/bandit/bandit.cfg";
seeds = [1, 2];
budget: { steps = 40; };
evaluation: { every = 10; };
algorithms = (
    { type = "dpo"; },
    { type = "sail-pr"; label = "sail-pr, a label of many words that has to break somewhere"; }
);
sweep = (
    { option = "algorithm.beta"; values = [0.1, 0.3]; }
);
END
"$program" run small.cfg -q -r small.db || exit 1

# A bandit answers with a number; here are texts for it, such as would break a page if any would.
cat >responses.py <<'END'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
store.execute("UPDATE trials SET status = 'diverged', reason = 'step 20: <b>not a number</b>' "
              "WHERE id = (SELECT max(id) FROM trials)")
trials = store.execute("SELECT trial, max(step), label FROM readings JOIN trials ON trials.id = trial "
                       "WHERE evaluated GROUP BY trial").fetchall()
for trial, step, label in trials:
    for item in range(8):
        prompt = f"Prompt {item}: " + ("x" * 400 if item == 5 else "what is <i>this</i> & that?")
        response = {0: "</p><script>document.title = 'owned'</script>",
                    1: "wörd" * 200,
                    2: "",
                    3: "The needle of " + label + " lies here.",
                    4: "line one\nline two\n\n    indented"}.get(item, f"answer {item} of {label}")
        store.execute("INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?, ?)",
                      (trial, step, item, prompt, response))
store.commit()
END
python3 responses.py small.db || exit 1
"$program" report small.db -o page.html || exit 1

cat >browse.py <<'END'
import json, os, re, subprocess, sys, urllib.request

folder, failures = os.getcwd(), []

def check(claim, good, found=""):
    if not good:
        failures.append(claim)
        print(f"FAIL: {claim}: {found}")

class Driver:
    def __init__(self):
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        self.port = None
        for line in self.process.stdout:
            found = re.search(r"successfully on port (\d+)", line)
            if found:
                self.port = int(found.group(1))
                break

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method,
                                         headers={"Content-Type": "application/json"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.load(direct.open(request, timeout=300))["value"]

class Page:
    """The report in a window of its own, `script` telling whether its scripts run."""

    def __init__(self, driver, width, script=True):
        flags = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
                 "disable-background-networking", "disable-component-update", "disable-sync",
                 f"user-data-dir={folder}/profile-{width}-{script}", f"window-size={width},900"]
        options = {"args": ["--" + flag for flag in flags]}
        if width < 500: # no window is as narrow as a telephone
            options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": 844,
                                                            "pixelRatio": 2}}
        if not script:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        made = driver.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.driver, self.path = driver, f"/session/{made['sessionId']}"
        driver.call("POST", self.path + "/url", {"url": f"file://{folder}/page.html"})

    def run(self, text):
        return self.driver.call("POST", self.path + "/execute/sync", {"script": text, "args": []})

    def element(self, selector):
        found = self.driver.call("POST", self.path + "/element",
                                 {"using": "css selector", "value": selector})
        return self.path + "/element/" + list(found.values())[0]

    def click(self, selector):
        self.driver.call("POST", self.element(selector) + "/click", {})

    def type(self, selector, text):
        self.driver.call("POST", self.element(selector) + "/clear", {})
        self.driver.call("POST", self.element(selector) + "/value", {"text": text})

    def log(self):
        return self.driver.call("POST", self.path + "/se/log", {"type": "browser"})

    def close(self):
        self.driver.call("DELETE", self.path)

SHOWN = "return [...document.querySelectorAll('.item')].filter(i => i.checkVisibility())"
ANSWERS = "[...document.querySelectorAll('.answer')]"

def fits(page, width):
    wide, room = page.run("const e = document.scrollingElement; return [e.scrollWidth, e.clientWidth]")
    check(f"nothing to scroll sideways at {width}", wide <= room, f"{wide} of {room}")
    check(f"the window is {width} wide", abs(room - width) <= 20, room)

def whole(page):
    check("figures are drawn", page.run("return document.querySelectorAll('figure svg').length") >= 5)
    check("figures say what they show", page.run(
        "return [...document.querySelectorAll('figure svg')].every(s => s.ariaLabel.length > 40)"))
    check("figures have their numbers", page.run(
        "return [...document.querySelectorAll('figure')].every(f => f.querySelector('td'))"))
    check("text of the store stays text", page.run("return document.title") == "small",
          page.run("return document.title"))
    check("all answers are there", page.run(f"return {ANSWERS}.length") == 32,
          page.run(f"return {ANSWERS}.length"))

def open_all_by_hand(page):
    """Everything is reached by the page's own means: a click on each summary."""
    count = page.run("return document.querySelectorAll('.item').length")
    for i in range(1, count + 1):
        if not page.run(f"return document.querySelector('.item:nth-child({i})').open"):
            page.click(f".item:nth-child({i}) > summary")
    check("without scripts all answers can be read", page.run(
        f"return {ANSWERS}.every(a => a.checkVisibility() && a.getBoundingClientRect().height > 20)"))

def search(page):
    check("all prompts are shown at first", page.run(SHOWN + ".length") == 8)
    page.type("#query", "NEEDLE sail")
    check("the search finds every word, in any case", page.run(SHOWN + ".map(i => i.dataset.item)")
          == ["3"], page.run(SHOWN + ".map(i => i.dataset.item)"))
    check("what is found is open", page.run(SHOWN + ".every(i => i.open)"))
    check("it says how many", page.run("return document.getElementById('shown').textContent")
          == "1 of 8 prompts")
    for i in range(page.run("return document.querySelectorAll('[name=method]').length")):
        if "sail" in page.run(f"return document.querySelectorAll('[name=method]')[{i}].parentNode.textContent"):
            page.click(f"fieldset label:nth-of-type({i + 1}) input")
    check("hidden methods are not searched", page.run(SHOWN + ".length") == 0)
    page.type("#query", "dpo")
    check("other methods are", page.run(SHOWN + ".length") > 0)
    check("hidden methods are hidden", page.run(
        f"return {ANSWERS}.filter(a => a.checkVisibility() && a.textContent.includes('sail')).length") == 0)
    page.type("#query", "nowhere to be found")
    check("nothing is found where nothing is", page.run(SHOWN + ".length") == 0)

def winners(page):
    page.run("document.querySelector('#winner').value = '0';"
             "document.querySelector('#winner').dispatchEvent(new Event('input', {bubbles: true}))")
    check("the prompts that a method won", page.run(
        SHOWN + ".every(i => i.dataset.best.split(' ').includes('0'))"))
    page.run("document.querySelector('#winner').value = '';"
             "document.querySelector('#order').value = 'spread';"
             "document.querySelector('#order').dispatchEvent(new Event('input', {bubbles: true}))")
    spread = page.run(SHOWN + ".map(i => +i.dataset.spread)")
    check("the widest spread comes first", len(spread) == 8 and spread == sorted(spread, reverse=True),
          spread)

driver = Driver()
try:
    for width in (1280, 390):
        page = Page(driver, width)
        fits(page, width)
        whole(page)
        if width == 1280:
            winners(page)
        search(page)
        page.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        fits(page, width)
        said = page.log()
        check("the console is silent", said == [], said)
        if width == 1280:
            seconds = page.run("return performance.getEntriesByType('navigation')[0].duration / 1000")
            print(f"{os.path.getsize('page.html') / 1000:.0f} kB, loaded in {seconds:.2f} s")
        page.close()
    page = Page(driver, 1280, script=False)
    check("the search waits for scripts", not page.run(
        "return document.querySelector('#filter').checkVisibility()"))
    whole(page)
    open_all_by_hand(page)
    page.close()
finally:
    driver.process.terminate()
    driver.process.wait()
sys.exit(1 if failures else 0)
END
python3 browse.py || exit 1
echo "the report stands in a browser"
