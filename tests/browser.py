"""A browser without a network, driven by plain W3C WebDriver."""
import base64
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

DEADLINE_S = 600    # only what hangs takes so long
TAB, ENTER, ESCAPE, SPACE = "\ue004", "\ue007", "\ue00c", " "
CHROMEDRIVER = shutil.which("chromedriver")


def processes_of(folder):
    """A browser's, known by its folder."""
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes():
                yield int(entry.name)
        except OSError:
            pass


def kill_all(folder):
    for pid in processes_of(folder):
        try:
            process = os.pidfd_open(pid)
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], DEADLINE_S)
            os.close(process)
        except ProcessLookupError:
            pass


def keep(folder):
    """Forks who ends what the browser has started, should this process be killed. A byte into its pipe ends it."""
    waits, lives = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(lives)
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if os.read(waits, 1) == b"":
            kill_all(folder)
            shutil.rmtree(folder.parent, ignore_errors=True)
        os._exit(0)
    os.close(waits)
    return pid, lives


class Browser:
    """A window of a browser that has no network, and keeps all it writes in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.session = ""
        self.keeper, self.kept = keep(folder)
        self.start()
        try:
            self.session = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={folder}/profile"]},
            }}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def start(self):
        """Again where it had chosen a port by IPv6 that was then not free by IPv4."""
        homes = {name: str(self.folder) for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
        said = ""
        for _ in range(5):
            self.driver = subprocess.Popen([CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE,
                                           stderr=subprocess.STDOUT, text=True, env={**os.environ, **homes})
            watchdog = threading.Timer(DEADLINE_S, self.driver.kill)
            watchdog.start()
            for line in self.driver.stdout:
                said += line
                if found := re.search(r"started successfully on port (\d+)", line):
                    watchdog.cancel()
                    self.base = f"http://127.0.0.1:{found[1]}"
                    return
            watchdog.cancel()
            self.driver.wait()
            self.driver.stdout.close()
        raise AssertionError(f"chromedriver does not start: {said}")

    def call(self, method, path, body=None, deadline_s=DEADLINE_S):
        request = urllib.request.Request(self.base + self.session + path, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=deadline_s) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()[:2000]}") from None

    def open(self, page):
        """A file or an address."""
        address = page if re.match("(http|about):", str(page)) else "file://" + urllib.parse.quote(str(page))
        self.call("POST", "/url", {"url": address})

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                      mobile=False)

    def colours(self, scheme):
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.two_frames()

    def speak(self, language):
        self.devtools("Emulation.setUserAgentOverride", userAgent="Mozilla/5.0", acceptLanguage=language)

    def picture(self):
        """A PNG of what is seen."""
        return base64.b64decode(self.call("GET", "/screenshot"))

    def two_frames(self):
        """Until what a change has caused is drawn."""
        self.call("POST", "/execute/async", {"args": [], "script": """
            const done = arguments[0];
            requestAnimationFrame(() => requestAnimationFrame(() => done(null)));"""})

    def press(self, key):
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})

    def print(self):
        return base64.b64decode(self.call("POST", "/print", {}))

    def log(self):
        return self.call("POST", "/se/log", {"type": "browser"})

    def close(self):
        try:
            if self.session:
                self.call("DELETE", "", deadline_s=60)
        except (OSError, AssertionError):
            pass
        self.driver.terminate()
        try:
            self.driver.wait(60)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()
        self.driver.stdout.close()
        kill_all(self.folder)
        os.write(self.kept, b".")
        os.close(self.kept)
        os.waitpid(self.keeper, 0)
