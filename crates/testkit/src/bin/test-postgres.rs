//! A private PostgreSQL for suites in other languages: writes the address of an empty database to standard output for each
//! line that it reads, and ends with its input.

use std::io::{BufRead, Write, stdin, stdout};
use tallystick_testkit::postgres::Postgres;

fn main() -> std::io::Result<()> {
    for line in stdin().lock().lines() {
        line?;
        let mut out = stdout().lock();
        writeln!(out, "{}", Postgres::start().url())?;
        out.flush()?;
    }
    Ok(())
}
