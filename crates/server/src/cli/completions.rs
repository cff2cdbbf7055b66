//! `tallystick completions`: from the same definitions that read the command line.

use super::{Arguments, Ending, print};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// For which shell.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tallystick completions bash > /etc/bash_completion.d/tallystick
  tallystick completions zsh > \"${fpath[1]}/_tallystick\"
  tallystick completions fish > ~/.config/fish/completions/tallystick.fish")]
pub struct CompletionsArguments {
    /// The shell that reads it
    shell: Shell,
}

/// Runs `tallystick completions`.
pub fn run(arguments: &CompletionsArguments) -> anyhow::Result<Ending> {
    print(&script(arguments.shell)?)
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tallystick", &mut text);
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    /// The name, and the names of everything below.
    fn names(command: &clap::Command, found: &mut Vec<String>) {
        for below in command.get_subcommands() {
            found.push(below.get_name().to_string());
            names(below, found);
        }
    }

    #[test]
    fn every_command_and_a_long_option_is_in_the_script_of_every_shell() {
        let mut commands = Vec::new();
        names(&Arguments::command(), &mut commands);
        assert!(commands.len() > 15, "{commands:?}");
        for shell in Shell::value_variants() {
            let script = script(*shell).unwrap();
            for name in commands.iter().map(String::as_str).chain(["state-url", "time-zone"]) {
                assert!(script.contains(name), "{name} is not in the script for {shell}");
            }
        }
    }
}
