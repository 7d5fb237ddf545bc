"""Chromium without a window, driven through Debian's chromedriver, and what the tests of the web page do with it."""

import os
import sys

try:
    from selenium import webdriver
except ImportError:  # another Python is first in PATH; Debian's has Debian's selenium
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lab import wait_until

PATIENCE = 40  # seconds: two busy cores
WIDE, PHONE, SMALL_PHONE = (1400, 1000), (390, 844), (360, 640)


class Browser:
    def __init__(self, folder):
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
                     "--disable-background-networking", "--disable-component-update", "--lang=en-US",
                     f"--user-data-dir={os.path.join(folder, 'chromium')}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.downloads = os.path.join(folder, "downloads")
        os.makedirs(self.downloads, exist_ok=True)
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(PATIENCE)
        self.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=self.downloads)
        self.resize(*WIDE)

    def quit(self):
        self.driver.quit()

    def cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def resize(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=width < 700)

    def prefer(self, scheme):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def js(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def problems(self):
        """What the console says of errors: violated policies, exceptions, failed requests. Empties it."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    # ---- finding

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        """The element, as soon as there is one that shows."""
        return wait_until(f"there is {selector}", lambda: next((e for e in self.all(selector) if e.is_displayed()), None),
                          PATIENCE)

    def labelled(self, selector, text):
        """The element of that text."""
        return wait_until(f"there is {selector} with {text!r}",
                          lambda: next((e for e in self.all(selector) if self.text_of(e).startswith(text)), None), PATIENCE)

    def text_of(self, element):
        return self.js("return arguments[0].textContent", element)

    def text(self, selector):
        return self.text_of(self.one(selector))

    def wait(self, what, condition):
        def settled():
            try:
                return condition()
            except StaleElementReferenceException:
                return None
        return wait_until(what, settled, PATIENCE)

    # ---- the page

    def open(self, url):
        self.driver.get(url)

    def phase(self):
        return self.js("return document.querySelector('.status')?.dataset.phase")

    def wait_for(self, phase):
        self.wait(f"the query is {phase} (it is {self.phase()})", lambda: self.phase() == phase)

    def params(self):
        return self.js("return Object.fromEntries(new URLSearchParams(location.search))")

    def wait_for_param(self, name, value):
        self.wait(f"{name} is {value!r} in the address", lambda: self.params().get(name) == value)
        self.wait_for("done")

    def rows(self):
        """Of the table, as dictionaries; amounts as numbers."""
        return self.js("""
            const heads = [...document.querySelectorAll('.talkers thead th')].map(h => h.innerText.replace(/[▲▼]/g, '').trim());
            return [...document.querySelectorAll('.talkers tbody tr[data-row]')].map(tr => Object.fromEntries(
                [...tr.cells].map((td, i) => [heads[i], td.classList.contains('number')
                    ? Number((td.title || '0').replace(/[^0-9]/g, ''))
                    : td.querySelector('.cell')?.title.split(' ')[0] ?? td.innerText.trim()])));""")

    def cell(self, row, selector):
        return self.one(f".talkers tr[data-row='{row}'] td.{selector} .cell")

    def click(self, element, shift=False):
        actions = ActionChains(self.driver)
        self.js("arguments[0].scrollIntoView({block: 'center'})", element)
        if shift:
            actions.key_down(Keys.SHIFT).click(element).key_up(Keys.SHIFT)
        else:
            actions.click(element)
        actions.perform()

    def type(self, *keys):
        """To whatever has the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def write(self, selector, text):
        """Replaces what is in a field."""
        field = self.one(selector)
        self.click(field)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(Keys.DELETE)
        field.send_keys(text)
        return field

    def drag(self, element, from_part, to_part):
        """Across an element, parts of its width."""
        box = element.rect
        start, stop = (int((part - 0.5) * box["width"]) for part in (from_part, to_part))
        ActionChains(self.driver, duration=50).move_to_element_with_offset(element, start, 0).click_and_hold() \
            .move_by_offset((stop - start) // 2, 0).move_by_offset((stop - start) // 2, 0).release().perform()

    def downloaded(self, ending, click):
        """The text of the file that a click downloads."""
        for name in os.listdir(self.downloads):
            os.unlink(os.path.join(self.downloads, name))
        self.click(click)
        path = self.wait(f"a {ending} is downloaded", lambda: self._complete_download(ending))
        with open(path, encoding="utf-8", newline="") as f:
            return f.read()

    def _complete_download(self, ending):
        """Chromium makes an empty file of the final name first, and writes to another."""
        for entry in os.scandir(self.downloads):
            if entry.name.endswith(ending) and entry.stat().st_size > 0:
                return entry.path
        return None
