"""Looks at the status page in headless Chromium, while it stands well and while it does not. `.ci/page` calls it.

  look.py BRIDGE STAGE FOLDER     the program, the stage (tests/page/main.rs), where screenshots go
"""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from urllib.parse import urlparse

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

BRIDGE, STAGE, FOLDER = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
PATIENCE_S = 40
SIZES = {"desktop": (1280, 900, False), "phone": (390, 844, True)}
PIPELINE = """
[[pipeline]]
name = "{name}"
[pipeline.source]
table = "{name}"
region = "eu-central-1"
endpoint_url = "{endpoint}"
[pipeline.sink]
stream = "{name}-cdc"
region = "eu-central-1"
endpoint_url = "{endpoint}"
oversize = "halt"
"""


def wait(what, condition):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"waited in vain for {what}")


class Stage:
    def __init__(self):
        self.process = subprocess.Popen([STAGE, "--stage"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint = self.process.stdout.readline().strip()

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


class Worker:
    """A real `run`, with a page where it has a port."""

    def __init__(self, stage, name, port=None):
        listen = f"127.0.0.1:{port}" if port else ""
        head = f"""
[worker]
id = "{name}"
[lease_table]
endpoint_url = "{stage.endpoint}"
region = "eu-central-1"
heartbeat_interval = "1s"
checkpoint_interval = "1s"
[http]
listen = "{listen}"
"""
        self.toml = head + "".join(PIPELINE.format(name=name, endpoint=stage.endpoint) for name in ("orders", "customers"))
        self.log = tempfile.TemporaryFile("w+")
        self.start()

    def start(self):
        environment = {"DDB_KINESIS_BRIDGE_CONFIG_TOML": self.toml, "AWS_ACCESS_KEY_ID": "test", "PATH": os.environ["PATH"],
                       "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
        self.process = subprocess.Popen([BRIDGE, "run"], env=environment, stdout=self.log, stderr=subprocess.STDOUT)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"the worker ended with {code} on SIGTERM"


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return json.load(answer)


class Browser:
    def __init__(self, url):
        self.url, self.shots, self.allowed = url, 0, ()
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))

    def looks(self, size, scheme):
        width, height, mobile = SIZES[size]
        self.width = width
        metrics = {"width": width, "height": height, "mobile": mobile, "deviceScaleFactor": 1}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self):
        self.driver.get(self.url)

    def ask(self, script):
        return self.driver.execute_script(f"return {script}")

    def text(self, selector):
        return self.ask(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def all(self, selector, value):
        return self.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map((element) => element.{value})")

    def says(self, selector, *parts):
        try:
            WebDriverWait(self.driver, PATIENCE_S).until(lambda _: all(part in self.text(selector) for part in parts))
        except Exception:
            raise SystemExit(f"{selector} does not come to say {parts}, but: {self.text(selector)!r}") from None

    def shot(self, name):
        image = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
        (FOLDER / f"{name}.png").write_bytes(base64.b64decode(image["data"]))
        self.shots += 1

    def fits(self, name):
        wide = self.ask("document.documentElement.scrollWidth")
        assert wide <= self.width, f"{name}: the page is {wide} wide on a screen of {self.width}"

    def is_legible(self, name):
        """No text of a shard's row lies on another's."""
        overlaps = self.ask("""[...document.querySelectorAll('.shards tr[data-shard]')].flatMap((row) => {
            const boxes = [...row.querySelectorAll('.mono, td')].filter((part) => part.innerText).map((part) => {
                const range = document.createRange();
                range.selectNodeContents(part);
                return [part.innerText, range.getBoundingClientRect()];
            });
            return boxes.flatMap(([one, a], index) => boxes.slice(index + 1).filter(([, b]) => a.left < b.right - 1 &&
                b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1).map(([other]) => `${one} on ${other}`));
        })""")
        cut = self.ask("[...document.querySelectorAll('.shards td')].filter((cell) => cell.scrollWidth > cell.clientWidth + 1).length")
        assert not overlaps and not cut, f"{name}: {overlaps[:3]}, {cut} cells are cut off"

    def check_logs(self):
        """No error in the console but those that a step allows, and no request to anybody but the worker."""
        for entry in self.driver.get_log("browser"):
            is_allowed = any(part in entry["message"] for part in self.allowed)
            assert entry["level"] != "SEVERE" or is_allowed, f"console: {entry['message']}"
        hosts = set()
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                url = urlparse(event["params"]["request"]["url"])
                hosts.add((url.scheme, url.netloc))
        own = urlparse(self.url)
        assert hosts <= {(own.scheme, own.netloc)}, f"requests to {hosts}"
        self.allowed = ()
        return len(hosts)


def shards_shown(browser, url):
    """The page shows every unfinished shard that /status.json has, with its state, and nothing that it has not."""
    def agree():
        status = get(f"{url}status.json")
        shards = [shard for pipeline in status["pipelines"] for shard in pipeline["shards"]]
        told = {(shard["shard"], shard["standing"]) for shard in shards}
        rows = browser.ask("[...document.querySelectorAll('.shards tr[data-shard]:not(.finished)')]"
                           ".map((row) => [row.querySelector('th').innerText, row.querySelector('td.state').innerText])")
        # Narrow screens leave the ids' beginning out.
        return bool(told) and len(rows) == len(told) and all(
            any(shard.endswith(name.split()[0]) and state == standing for shard, standing in told) for name, state in rows)
    wait("the shards of /status.json on the page", agree)


def carrying(browser):
    """There are lines in the charts, of lag where this worker holds a shard of the pipeline; changes come and go."""
    def moves():
        lines = "document.querySelectorAll('.{} path:not(.area)').length"
        rates, lags = browser.ask(lines.format("rate")), browser.ask(lines.format("lag"))
        figures = browser.all("#figures dd", "innerText")
        return rates >= 4 and lags >= 1 and all(re.match(r"0*\.?0*[1-9]", figure) for figure in figures[:3])
    wait("rates and charts", moves)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    stage = Stage()
    first, second = Worker(stage, "worker-a", port), Worker(stage, "worker-b")
    browser = None
    try:
        wait("a worker that is ready", lambda: get(f"{url}worker.json")["ready"])
        browser = Browser(url)
        walk(stage, first, browser, url)
        print(f"page: all as it should be; {browser.shots} screenshots")
    except BaseException:
        for worker in (first, second):
            worker.log.seek(0)
            print(worker.toml.splitlines()[2], worker.log.read()[-4000:], sep="\n")
        raise
    finally:
        if browser:
            browser.driver.quit()
        for process in (first.process, second.process, stage.process):
            process.kill()


def walk(stage, worker, browser, url):
    browser.looks("desktop", "light")
    browser.open()
    wait("both workers' leases", lambda: all(one["leases"] for one in get(f"{url}status.json")["workers"]))
    browser.says("#verdict", "Healthy")
    carrying(browser)
    stage("split")
    browser.says("#pipeline-orders .counts", "8 being read")
    parents = browser.all("#pipeline-orders .shards tr.finished", "innerText")
    assert len(parents) == 4, f"the finished parents stand above their children: {parents}"
    shards_shown(browser, url)
    assert sorted(browser.all("#workers tbody tr", "dataset.worker")) == ["worker-a", "worker-b"]
    for size in SIZES:
        for scheme in ("light", "dark"):
            browser.looks(size, scheme)
            browser.open()
            carrying(browser)
            shards_shown(browser, url)
            browser.fits(f"{size}, {scheme}")
            browser.is_legible(f"{size}, {scheme}")
            browser.shot(f"healthy-{size}-{scheme}")
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 26)", "dark is dark"
    browser.check_logs()

    # The worker goes and comes back under an open page.
    browser.looks("desktop", "light")
    worker.stop()
    browser.says("#verdict", "No answer")
    browser.shot("no-answer-desktop-light")
    worker.start()
    browser.says("#verdict", "Healthy")
    carrying(browser)
    browser.allowed = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    browser.check_logs()

    # The lease table cannot be read: the page says so and goes on.
    stage("deny")
    browser.says("#summary", "Ready", "there is no status", "dynamodb:Query on table `ddb-kinesis-bridge`")
    browser.shot("no-status-desktop-light")
    stage("allow")
    browser.says("#verdict", "Healthy")
    browser.allowed = ("status.json", )
    browser.check_logs()

    # A gap, a halted shard, and children that wait for it.
    lost = stage("gap")
    browser.says("#pipeline-customers .gaps", lost, "retention")
    browser.says("#verdict", "Healthy", "1 possible gap")
    stage("halt")
    browser.says("#pipeline-orders .shards", "halted")
    halted = browser.all("#pipeline-orders tr[data-state=halted]", "dataset.shard")
    assert len(halted) == 1, halted
    browser.says("#pipeline-orders .notes", f"Halted: {halted[0]}", "the target stream takes 4096")
    browser.says("#why", halted[0])
    stage("split")
    browser.says("#pipeline-orders .counts", "2 waiting", "1 halted")
    shards_shown(browser, url)
    for size, scheme in (("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")):
        browser.looks(size, scheme)
        browser.open()
        carrying(browser)
        browser.says("#verdict", "eady")
        shards_shown(browser, url)
        browser.fits(f"troubled, {size}, {scheme}")
        browser.is_legible(f"troubled, {size}, {scheme}")
        browser.shot(f"troubled-{size}-{scheme}")
    browser.check_logs()


if __name__ == "__main__":
    main()
