"""A headless Chromium that can reach this machine and nothing else, and what it saw on a page.

Names of hosts do not resolve, so a page that needs another host fails here as it would without a network.
"""

import dataclasses
import json
import pathlib
import shutil
from urllib.parse import urlsplit

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
LOOK = pathlib.Path(__file__).with_name("look.js").read_text(encoding="utf-8")
WIDE, NARROW = (1280, 900), (360, 740)


def missing():
    """Why no browser can be started here, or None."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed: pip install -e '.[browser]'"
    if _binary() is None or shutil.which("chromedriver") is None:
        return "no Chromium with chromedriver on the path (Debian packages: chromium chromium-driver)"
    return None


def _binary():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclasses.dataclass
class Visit:
    """What one page did: messages of the console, addresses asked for, failures, and what stood on it."""

    console: list
    requests: list
    failed: list
    wide: dict = dataclasses.field(default_factory=dict)
    dark: dict = dataclasses.field(default_factory=dict)
    narrow: dict = dataclasses.field(default_factory=dict)

    @property
    def outside(self):
        """Addresses on other hosts."""
        return [url for url in self.requests if urlsplit(url).scheme in ("http", "https", "ws", "wss")
                and urlsplit(url).hostname != "127.0.0.1"]


class Browser:
    """One window; `driver` is selenium's."""

    def __init__(self, profile):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = _binary()
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_page_load_timeout(60)
        self.driver.set_script_timeout(60)
        self.open("about:blank")

    def close(self):
        self.driver.quit()

    def size(self, width, height, *, scale=1):
        """The size of the page in CSS pixels; a window cannot be as narrow as a phone, the page in it can."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                     mobile=False)

    def scheme(self, name):
        """What the reader's system prefers: "light" or "dark"."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def open(self, url, *, size=WIDE, scheme="light"):
        """Load a page and wait until formulas and fonts are there; logs of earlier pages are dropped."""
        self.size(*size)
        self.scheme(scheme)
        self.driver.get("about:blank")
        self.logs()
        self.driver.get(url)
        self.look("settled")

    def look(self, name, *arguments):
        """The value of a function of look.js, which may be a promise."""
        script = (f"{LOOK}\nconst given = Array.from(arguments), done = given.pop();"
                  f"Promise.resolve().then(() => {name}(...given))"
                  f".then(value => done([value, null]), error => done([null, `${{error}}`]));")
        value, error = self.driver.execute_async_script(script, *arguments)
        if error is not None:
            raise RuntimeError(f"look.js: {name}: {error}")
        return value

    def logs(self):
        """What happened since the last call, as a Visit without views."""
        console = [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        requests, failed, names = [], [], {}
        for event in events:
            kind, data = event["method"], event["params"]
            if kind == "Network.requestWillBeSent":
                names[data["requestId"]] = data["request"]["url"]
                requests.append(data["request"]["url"][:200])
            elif kind == "Network.loadingFailed" and not data.get("canceled"):
                failed.append(f"{names.get(data['requestId'], '?')[:200]}: {data['errorText']}")
            elif kind == "Network.responseReceived" and data["response"]["status"] >= 400:
                failed.append(f"{data['response']['url'][:200]}: {data['response']['status']}")
        return Visit(console, requests, failed)

    def visit(self, url):
        """Load a page once and look at it in three ways: wide and light, wide and dark, narrow."""
        self.open(url)
        wide = self.look("view")
        self.scheme("dark")
        dark = self.look("colors")
        self.scheme("light")
        self.size(*NARROW)
        narrow = self.look("overflow")
        seen = self.logs()
        seen.wide, seen.dark, seen.narrow = wide, dark, narrow
        return seen
