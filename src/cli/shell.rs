//! The interactive shell: `wayleave query` without SQL, on a terminal.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, ExternalPrinter, Helper, Highlighter, Hinter};
use wayleave_connector_api::Audience;

use super::completion::Words;
use super::edits::tell_of_edits;
use super::output::Format;
use super::query::{Display, run_statement};
use super::tables;
use super::{CTRL_C, Failure, open_engine, print};
use crate::engine::Engine;
use crate::session::{BeyondConsent, BrokenGlass, Session};
use crate::statements::Statements;

const HELP: &str = "\
Statements end with `;` and may take several lines. Ctrl-C cancels a running query, Ctrl-D leaves.
  \\d [TABLE]       released tables, or one table's columns
  \\dt              released tables
  \\explain SQL     how a query would be answered
  \\purpose CODE    declare another purpose
  \\case REFERENCE  name the case (without REFERENCE: none)
  \\reason TEXT     say why (without TEXT: no reason)
  \\consent HOW     ask, override (with case and reason) or break-glass (with reason): how consent counts from now on
  \\format FORMAT   table, csv or jsonl
  \\timing          show how long each query takes, or stop showing it
  \\q               leave
";

/// One line of the shell that is no SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ShellCommand {
    Tables,
    Describe(String),
    Explain(String),
    Purpose(String),
    Case(Option<String>),
    Reason(Option<String>),
    Consent(AskedConsent),
    Format(Format),
    Timing,
    Quit,
    Help,
}

impl ShellCommand {
    /// Parses a line that begins with a backslash.
    fn parse(line: &str) -> Result<Self, Failure> {
        let (name, argument) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let argument = argument.trim();
        let given = (!argument.is_empty()).then(|| argument.to_owned());
        let required = |what: &str| given.clone().ok_or_else(|| Failure::usage(format!("`{name}` needs {what}"), HINT));
        Ok(match name {
            "\\dt" => Self::Tables,
            "\\d" => given.map_or(Self::Tables, Self::Describe),
            "\\explain" => Self::Explain(required("the SQL to explain")?.trim_end_matches(';').to_owned()),
            "\\purpose" => Self::Purpose(required("a purpose code")?),
            "\\case" => Self::Case(given),
            "\\reason" => Self::Reason(given),
            "\\consent" => Self::Consent(match argument {
                "ask" => AskedConsent::Asked,
                "override" => AskedConsent::Overridden,
                "break-glass" => AskedConsent::GlassBroken,
                _ => {
                    return Err(Failure::usage(
                        format!("`{argument}` is no way to handle consent"),
                        "ask, override or break-glass",
                    ));
                }
            }),
            "\\format" => match Format::from_str(argument, true) {
                Ok(format) if !format.is_binary() => Self::Format(format),
                _ => {
                    return Err(Failure::usage(
                        format!("`{argument}` is no format of the shell"),
                        "table, csv or jsonl",
                    ));
                }
            },
            "\\timing" => Self::Timing,
            "\\q" | "\\quit" => Self::Quit,
            "\\?" | "\\h" | "\\help" => Self::Help,
            _ => return Err(Failure::usage(format!("`{name}` is no command"), HINT)),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedConsent {
    Asked,
    Overridden,
    GlassBroken,
}

const HINT: &str = "`\\?` lists the commands";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    Shown,
    Hidden,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Prompt,
    Leave,
}

/// Reads statements and commands until Ctrl-D. Errors are printed and do not end the shell.
pub async fn run(config: PathBuf, session: Session, mut display: Display) -> Result<(), Failure> {
    if display.output.take().is_some() || display.format.is_binary() {
        return Err(Failure::usage(
            "the shell writes to the terminal",
            "give the SQL on the command line to write a file",
        ));
    }
    let engine = open_engine(&config).await?;
    engine.follow_policies();
    let history = history_file();
    let mut editor = editor(history.as_ref())?;
    let mut printer = editor.create_external_printer().ok();
    let telling = tokio::spawn(tell_of_edits(engine.policy_state(), move |told| {
        let printed = printer.as_mut().is_some_and(|printer| printer.print(told.clone()).is_ok());
        if !printed {
            let _ = io::stderr().write_all(told.as_bytes());
        }
    }));
    let mut editor = Some(editor);
    let mut shell = Shell { engine, session, display, timing: Timing::Hidden };
    let _ = writeln!(io::stderr(), "wayleave {}; `\\?` for help", env!("CARGO_PKG_VERSION"));
    let mut words = Some(shell.words().await);
    while let Some(mut reading) = editor.take() {
        if let (Some(words), Some(prompt)) = (words.take(), reading.helper_mut()) {
            prompt.words = words;
        }
        // The editor blocks its thread while a person types.
        let prompt = format!("{}> ", shell.session.purpose);
        let read = tokio::task::spawn_blocking(move || {
            let line = reading.readline(&prompt);
            (reading, line)
        });
        let (mut reading, line) = read.await.map_err(io::Error::other)?;
        match line {
            Ok(line) => {
                if !line.trim().is_empty() {
                    let _ = reading.add_history_entry(line.trim());
                }
                let purpose = shell.session.purpose.clone();
                if shell.line(&line).await == Next::Leave {
                    keep_history(&mut reading, history.as_ref());
                    break;
                }
                if shell.session.purpose != purpose {
                    words = Some(shell.words().await);
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => {
                keep_history(&mut reading, history.as_ref());
                break;
            }
            Err(error) => return Err(Failure::output("the terminal cannot be read", &error)),
        }
        editor = Some(reading);
    }
    telling.abort();
    Ok(())
}

struct Shell {
    engine: Engine,
    session: Session,
    display: Display,
    timing: Timing,
}

impl Shell {
    /// Runs one line: a command, or the statements of a line. Ctrl-C ends what runs, not the shell.
    async fn line(&mut self, line: &str) -> Next {
        let done = tokio::select! {
            done = self.execute(line) => done,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted { code: CTRL_C }),
        };
        done.unwrap_or_else(|failure| {
            failure.report();
            Next::Prompt
        })
    }

    async fn execute(&mut self, line: &str) -> Result<Next, Failure> {
        if line.trim_start().starts_with('\\') {
            return self.command(ShellCommand::parse(line)?).await;
        }
        for statement in Statements::split(line).all() {
            let time = run_statement(&self.engine, &self.session, &statement, &self.display).await?;
            if self.timing == Timing::Shown {
                let _ = writeln!(io::stderr(), "time: {}", shown_time(time));
            }
        }
        Ok(Next::Prompt)
    }

    async fn command(&mut self, command: ShellCommand) -> Result<Next, Failure> {
        match command {
            ShellCommand::Tables => {
                print(&tables::listing(&self.engine.released_tables(&self.session).await?))?;
            }
            ShellCommand::Describe(name) => {
                let released = self.engine.released_tables(&self.session).await?;
                print(&tables::described(&released, &name)?)?;
            }
            ShellCommand::Explain(sql) => {
                let explained = self.engine.explain(&self.session, &sql, Audience::Asker).await?;
                print(&format!("{}\n", explained.trim_end()))?;
            }
            ShellCommand::Purpose(purpose) => self.session.purpose = purpose,
            ShellCommand::Case(case_reference) => self.session.case_reference = case_reference,
            ShellCommand::Reason(reason) => self.session.reason = reason,
            ShellCommand::Consent(how) => {
                let (beyond_consent, words) = match how {
                    AskedConsent::Asked => (None, "consent is asked"),
                    AskedConsent::Overridden => (
                        Some(BeyondConsent::Override),
                        "consent is overridden where an agreement lets you, on the record",
                    ),
                    AskedConsent::GlassBroken => (
                        Some(BeyondConsent::BreakGlass(BrokenGlass::now())),
                        "the glass is broken where an agreement lets you: its owner is told with your first query",
                    ),
                };
                self.session.beyond_consent = beyond_consent;
                let _ = writeln!(io::stderr(), "{words}");
            }
            ShellCommand::Format(format) => self.display.format = format,
            ShellCommand::Timing => {
                let (timing, word) = match self.timing {
                    Timing::Hidden => (Timing::Shown, "shown"),
                    Timing::Shown => (Timing::Hidden, "not shown"),
                };
                self.timing = timing;
                let _ = writeln!(io::stderr(), "times are {word}");
            }
            ShellCommand::Quit => return Ok(Next::Leave),
            ShellCommand::Help => print(HELP)?,
        }
        Ok(Next::Prompt)
    }

    /// What completion offers: no names where the engine cannot say, or somebody will not wait for it.
    async fn words(&self) -> Words {
        let released = tokio::select! {
            released = self.engine.released_tables(&self.session) => released.unwrap_or_default(),
            _ = tokio::signal::ctrl_c() => Vec::new(),
        };
        tables::words(&released)
    }
}

fn shown_time(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1_000.0;
    if milliseconds < 1_000.0 { format!("{milliseconds:.1} ms") } else { format!("{:.2} s", time.as_secs_f64()) }
}

type ShellEditor = Editor<Prompt, FileHistory>;

fn editor(history: Option<&PathBuf>) -> Result<ShellEditor, Failure> {
    let unusable = |error: ReadlineError| Failure::output("the terminal cannot be read", &error);
    // Like bash, a line that begins with a blank is not kept.
    let config = rustyline::Config::builder().history_ignore_space(true).auto_add_history(false).build();
    let mut editor = Editor::with_config(config).map_err(unusable)?;
    editor.set_helper(Some(Prompt::default()));
    if let Some(history) = history {
        let _ = editor.load_history(history);
    }
    Ok(editor)
}

/// Keeps the history for the next time. A shell without one works all the same.
fn keep_history(editor: &mut ShellEditor, history: Option<&PathBuf>) {
    let Some(history) = history else { return };
    if let Some(directory) = history.parent() {
        let _ = std::fs::create_dir_all(directory);
    }
    let _ = editor.append_history(history);
}

/// `$XDG_STATE_HOME/wayleave/history`, by default below `~/.local/state` (XDG Base Directory Specification).
fn history_file() -> Option<PathBuf> {
    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("wayleave/history"))
}

/// What the line editor asks while a person types.
#[derive(Debug, Default, Helper, Hinter, Highlighter)]
struct Prompt {
    words: Words,
}

impl Completer for Prompt {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.words.complete(line, position))
    }
}

impl Validator for Prompt {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(ctx.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Whether Enter runs what has been typed, rather than starting another line.
fn is_complete(input: &str) -> bool {
    input.trim_start().starts_with('\\') || Statements::split(input).rest.is_none()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn enter_runs_what_ends_with_a_semicolon_and_commands() {
        for complete in ["", "SELECT 1;", "SELECT 1; -- done", "\\dt", " \\explain SELECT 1", "SELECT\n1\n;"] {
            assert!(is_complete(complete), "{complete:?}");
        }
        for open in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "/* ;"] {
            assert!(!is_complete(open), "{open:?}");
        }
    }

    #[test]
    fn commands_take_their_argument_as_typed() {
        let parse = |line| ShellCommand::parse(line).unwrap();
        assert_eq!(parse("\\d"), ShellCommand::Tables);
        assert_eq!(parse("\\d health.public.patients "), ShellCommand::Describe("health.public.patients".to_owned()));
        assert_eq!(parse("\\reason two  words"), ShellCommand::Reason(Some("two  words".to_owned())));
        assert_eq!(parse("\\case"), ShellCommand::Case(None));
        assert_eq!(parse("\\explain SELECT 1;"), ShellCommand::Explain("SELECT 1".to_owned()));
        assert_eq!(parse("\\consent break-glass"), ShellCommand::Consent(AskedConsent::GlassBroken));
        assert_eq!(parse("\\format CSV"), ShellCommand::Format(Format::Csv));
    }

    #[test]
    fn unknown_commands_and_missing_arguments_are_told() {
        for line in
            ["\\x", "\\purpose", "\\consent", "\\consent never", "\\explain", "\\format", "\\format parquet", "\\"]
        {
            assert!(matches!(ShellCommand::parse(line), Err(Failure::Usage { .. })), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_command_that_completion_offers() {
        let (_, offered) = Words::default().complete("\\", 1);
        assert!(offered.len() > 5);
        for command in offered.iter().filter(|command| command.as_str() != "\\?") {
            assert!(HELP.contains(command.as_str()), "{command}");
        }
    }
}
