"""Empty PostgreSQL databases for suites whose server keeps its state in one."""

import subprocess

from tallystick_server import binary


class Databases:
    """A private PostgreSQL that ends with this process. The program beside the server's binary starts it."""

    def __init__(self):
        program = binary().parent / "test-postgres"
        if not program.is_file():
            raise RuntimeError(f"{program} is missing: run `cargo build -p tallystick-testkit --bin test-postgres`")
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def new(self) -> str:
        """The address of an empty database."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        url = self._process.stdout.readline().strip()
        if not url:
            raise RuntimeError("PostgreSQL did not start; see above")
        return url

    def close(self) -> None:
        """Ends the server."""
        self._process.stdin.close()
        self._process.wait(30)
