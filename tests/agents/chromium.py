"""Debian's Chromium, driven through its own driver: nothing is downloaded."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set
from unittest import mock

from .conftest import need_library
from .programs import environ, find, wait

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
)
TABLES = """return [...document.querySelectorAll("table")].map(table => [
    table.caption.textContent, [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.trim()))])"""


class Screen(NamedTuple):
    """The size of a window in pixels, its colours, and the languages that it prefers."""

    width: int = 1280
    height: int = 800
    scheme: str = "light"
    languages: str = "en-US,en"


LARGE, SMALL = Screen(), Screen(380, 800)


class Browser:
    """A browser with one window; `driver` is Selenium's."""

    def __init__(self, driver: Any, downloads: Path) -> None:
        self.driver, self._downloads = driver, downloads

    def open(self, url: str, screen: Screen = LARGE) -> None:
        """Open a page and wait until it has been loaded."""
        size = {"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": False}
        agent = {"userAgent": self.run("return navigator.userAgent"), "acceptLanguage": screen.languages}
        features = [{"name": "prefers-color-scheme", "value": screen.scheme}]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.execute_cdp_cmd("Emulation.setUserAgentOverride", agent)
        self.driver.get(url)

    def run(self, script: str) -> Any:
        """Run a script of the test in the page; return its result. The page's policy does not hold for it."""
        return self.driver.execute_script(script)

    def text(self, selector: str) -> str:
        """Return the visible text of the first element."""
        return str(self.run(f"return document.querySelector({json.dumps(selector)}).innerText"))

    def tables(self) -> Dict[str, List[List[str]]]:
        """Return the cells of each table, by its caption."""
        return dict(self.run(TABLES))

    def picture(self) -> bytes:
        """Return the first screen as PNG."""
        return bytes(self.driver.get_screenshot_as_png())

    def click(self, text: str) -> None:
        """Click the link with a text."""
        self.driver.find_element("link text", text).click()

    def download(self, text: str) -> str:
        """Click a link that leads to a file; return its text."""
        before = set(self._downloads.iterdir())
        self.click(text)
        file: Path = wait(lambda: self._finished(before), f"the download of {text}")
        return file.read_text(encoding="utf-8")

    def _finished(self, before: Set[Path]) -> Optional[Path]:
        """Return the new file once no temporary one is beside it."""
        new = set(self._downloads.iterdir()) - before
        is_finished = len(new) == 1 and not any(file.name[0] == "." or file.suffix == ".crdownload" for file in new)
        return new.pop() if is_finished else None

    def requests(self) -> List[str]:
        """Return the URLs that were requested since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]

    def problems(self) -> List[str]:
        """Return the lines of the console since the last call: errors, and what the page's policy blocked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Run the browser with a profile of its own until the block ends."""
    program, driver_program = (find(name, f"Debian package {name}") for name in ("chromium", "chromedriver"))
    webdriver = need_library("selenium.webdriver")
    options, downloads = webdriver.ChromeOptions(), folder / "downloads"
    downloads.mkdir()
    options.binary_location = program
    for option in (*OPTIONS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(option)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver_program, env=environ(folder))
    with mock.patch.dict(os.environ, {"NO_PROXY": "*", "no_proxy": "*"}):
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield Browser(driver, downloads)
        finally:
            driver.quit()
