//! Child processes whose output is shown while it is read.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::counts::{self, Counts, Format};

/// A command in `directory`, without stdin and without colours, so that its summary can be read.
pub fn command(program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    command.env("CARGO_TERM_COLOR", "never").env("NO_COLOR", "1").env("PY_COLORS", "0").env_remove("FORCE_COLOR");
    command
}

/// Runs to the end and passes the output through; the counts are of the lines that `format` knows.
///
/// An error when the program does not start, or ends badly without having counted a failed test.
pub fn run(command: &mut Command, format: Option<Format>) -> Result<Counts> {
    let name = describe(command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("`{name}` does not start"))?;
    let output = child.stdout.take().context("the output of a child is not piped")?;
    let counts = pass_through(output, format)?;
    let status = child.wait().with_context(|| format!("`{name}` cannot be waited for"))?;
    if !status.success() && counts.failed == 0 {
        bail!("`{name}` ended with {status}");
    }
    Ok(counts)
}

/// Whether the program starts and ends with 0; nothing is shown.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn pass_through(output: impl Read, format: Option<Format>) -> Result<Counts> {
    let mut sum = Counts::default();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).context("the output of a child cannot be read")? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        if let Some(format) = format {
            sum += counts::read(format, text.trim_end());
        }
        line.clear();
    }
    Ok(sum)
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, format: Option<Format>) -> Result<Counts> {
        run(command("sh", Path::new(".")).args(["-c", script]), format)
    }

    #[test]
    fn counts_are_added_up_over_all_lines() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; x'; echo noise; \
                      echo 'test result: ok. 3 passed; 0 failed; 0 ignored; x'";
        assert_eq!(shell(script, Some(Format::Cargo)).unwrap(), Counts { passed: 5, failed: 0, skipped: 1 });
        assert_eq!(shell(script, None).unwrap(), Counts::default());
    }

    #[test]
    fn a_failed_test_is_counted_and_a_bad_end_without_one_is_an_error() {
        let failed = shell("echo '1 failed, 2 passed in 0.1s'; exit 1", Some(Format::Pytest)).unwrap();
        assert_eq!(failed, Counts { passed: 2, failed: 1, skipped: 0 });
        assert!(shell("echo '2 passed in 0.1s'; exit 3", Some(Format::Pytest)).is_err());
        assert!(run(&mut command("no-such-program", Path::new(".")), None).is_err());
    }

    #[test]
    fn a_child_reads_no_input_and_gets_no_colours() {
        assert!(shell("! read -r line", None).is_ok());
        assert!(shell("test \"$NO_COLOR\" = 1 && test -z \"$FORCE_COLOR\"", None).is_ok());
    }

    #[test]
    fn a_probe_tells_yes_from_no() {
        assert!(succeeds(command("sh", Path::new(".")).args(["-c", "exit 0"])));
        assert!(!succeeds(command("sh", Path::new(".")).args(["-c", "exit 1"])));
        assert!(!succeeds(&mut command("no-such-program", Path::new("."))));
    }
}
