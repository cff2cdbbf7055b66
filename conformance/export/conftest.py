"""A server with events of several namespaces' worth of oddities, and its export as Parquet."""

pytest_plugins = ["tallystick_pytest"]
