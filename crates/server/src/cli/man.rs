//! `tallystick man`: from the same definitions that read the command line.

use super::{Arguments, Ending, print};
use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use std::path::PathBuf;

/// Where the pages go.
#[derive(Args)]
#[command(after_help = "\
Examples:
  tallystick man | man -l -
  tallystick man --dir /usr/local/share/man/man1")]
pub struct ManArguments {
    /// Folder for the pages of all commands, tallystick.1, tallystick-serve.1 and so on; made when missing [default: the first
    /// page goes to stdout]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `tallystick man`.
pub fn run(arguments: &ManArguments) -> anyhow::Result<Ending> {
    let pages = pages()?;
    let Some(dir) = &arguments.dir else {
        return print(pages.first().map_or("", |(_, text)| text.as_str()));
    };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for (name, text) in &pages {
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(&format!("wrote {} pages into {}\n", pages.len(), dir.display()))
}

/// The pages with their names, the one of the program itself first.
fn pages() -> anyhow::Result<Vec<(String, String)>> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    // Gives every command its full name and the options that are everybody's.
    command.build();
    let mut pages = Vec::new();
    add(&command, "tallystick".to_string(), &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, name: String, pages: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let mut text = Vec::new();
    // The page says what to type, so it shows the name with spaces.
    let shown = command.clone().display_name(name.clone()).bin_name(name.replace('-', " "));
    Man::new(shown).title(name.to_uppercase()).render(&mut text)?;
    pages.push((name.clone(), String::from_utf8(text)?));
    for below in command.get_subcommands() {
        add(below, format!("{name}-{}", below.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts a command and everything below, and checks that the page of each names its options and what is below.
    fn check(command: &Command, name: &str, pages: &[(String, String)]) -> usize {
        let (_, text) = pages.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no page {name}"));
        let plain = text.replace('\\', "");
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(plain.contains(&format!("--{option}")), "--{option} is not in {name}");
        }
        for below in command.get_subcommands() {
            assert!(plain.contains(below.get_name()), "{} is not in {name}", below.get_name());
        }
        let below = command.get_subcommands();
        1 + below.map(|below| check(below, &format!("{name}-{}", below.get_name()), pages)).sum::<usize>()
    }

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let pages = pages().unwrap();
        assert_eq!(pages[0].0, "tallystick");
        assert_eq!(check(&Arguments::command(), "tallystick", &pages), pages.len());
        assert!(pages.len() > 15);
    }
}
