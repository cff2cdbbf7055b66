"""Starts and stops the real `tallystick` binary for a test suite.

The binary is `$TALLYSTICK_BIN`, or the debug build of this checkout (`cargo build -p tallystick-server`).
"""

import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30
_DEBUG_BUILD = pathlib.Path(__file__).resolve().parents[2] / "target" / "debug" / "tallystick"
started: "list[Server]" = []


def binary() -> pathlib.Path:
    """The binary under test."""
    path = pathlib.Path(os.environ.get("TALLYSTICK_BIN") or _DEBUG_BUILD).resolve()
    if not path.is_file():
        raise RuntimeError(f"{path} is missing: run `cargo build -p tallystick-server` or set TALLYSTICK_BIN")
    return path


def clean_environment(**extra: str) -> dict[str, str]:
    """This process' environment without settings that would change what the server does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    return kept | extra


class Server:
    """One data directory and, while started, one server process on a free loopback port."""

    def __init__(self, data_dir: pathlib.Path, *arguments: str):
        self.data_dir = pathlib.Path(data_dir)
        self.arguments = arguments
        self.url = ""
        self._process: subprocess.Popen | None = None
        self._log = tempfile.TemporaryFile()
        started.append(self)

    def start(self) -> "Server":
        """Starts the server and returns once it is ready."""
        assert self._process is None, "already started"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [binary(), "serve", "--listen", f"127.0.0.1:{port}", "--data-dir", self.data_dir, *self.arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=clean_environment()
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with code {self._process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server was not ready after {START_TIMEOUT_S} s:\n{self.log()}")
            time.sleep(0.02)
        return self

    def stop(self) -> int:
        """Asks the server to end (SIGTERM) and returns its exit code."""
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server did not end {STOP_TIMEOUT_S} s after SIGTERM:\n{self.log()}") from None

    def kill(self) -> None:
        """Ends the server at once (SIGKILL), as a crash would."""
        process, self._process = self._process, None
        process.kill()
        process.wait()

    def is_running(self) -> bool:
        """Whether there is a process to stop."""
        return self._process is not None

    def log(self, since: int = 0) -> str:
        """What the server wrote to stdout and stderr from a byte on."""
        size = self.log_size()
        return os.pread(self._log.fileno(), max(size - since, 0), since).decode(errors="replace")

    def log_size(self) -> int:
        """How many bytes the server wrote."""
        return os.fstat(self._log.fileno()).st_size

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
