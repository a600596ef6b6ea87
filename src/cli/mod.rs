//! The command line: one file a command.
//!
//! In: arguments, environment, standard input. Out: results on standard output; notices, progress and errors on standard
//! error; an exit code. It holds no rule of its own: what may be seen is the engine's to say.

mod audit;
mod check;
mod completion;
mod csv;
mod demo;
mod edits;
mod explain;
mod identity;
mod output;
mod policy;
mod progress;
mod query;
mod serve;
mod shell;
mod table;
mod tables;
mod user;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::audit::AuditError;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;

/// How long cancelled statements and closing connections may take to reach the agencies before the process ends.
const SETTLE_DEADLINE: Duration = Duration::from_secs(2);
const SETTLE_EVERY: Duration = Duration::from_millis(2);

/// Ask questions across agencies' databases, under their sharing agreements, without copying them.
#[derive(Debug, Parser)]
#[command(name = "wayleave", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// The configuration: agencies, policies, audit
    #[arg(long, short, global = true, env = "WAYLEAVE_CONFIG", default_value = "wayleave.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave demo
  wayleave check
  wayleave tables --as alice@torbay-asc/social-worker --purpose joint-needs-assessment
  wayleave query 'SELECT * FROM unified.clients LIMIT 5' --as … --purpose …
  wayleave query                         # an interactive shell
  wayleave policy matrix                 # who may see what
  wayleave serve                         # for psql, dashboards and drivers

WAYLEAVE_AS and WAYLEAVE_PURPOSE save typing --as and --purpose.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted; `policy diff` has its own.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Query(query::QueryArgs),
    Explain(explain::ExplainArgs),
    Tables(tables::TablesArgs),
    Serve(serve::ServeArgs),
    User(user::UserArgs),
    Check(check::CheckArgs),
    Policy(policy::PolicyArgs),
    Audit(audit::AuditArgs),
}

/// Runs one command and says how the process should end. The caller's runtime must have time and I/O enabled.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads any more (`| head`) is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let Cli { config, command } = cli;
    let done = match command {
        Command::Demo(args) => interruptible(demo::run(args)).await,
        Command::Query(args) => query::run(config, args).await,
        Command::Explain(args) => interruptible(explain::run(config, args)).await,
        Command::Tables(args) => interruptible(tables::run(config, args)).await,
        Command::Serve(args) => serve::run(config, args).await,
        Command::User(args) => user::run(&config, args),
        Command::Check(args) => interruptible(check::run(config, args)).await,
        Command::Policy(args) => interruptible(policy::run(config, args)).await,
        Command::Audit(args) => interruptible(audit::run(config, args)).await,
    };
    settle().await;
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

/// Why a command did not end well.
#[derive(Debug)]
enum Failure {
    /// Refused or failed by the engine.
    Wayleave(Error),
    /// The command cannot be understood as it was given.
    Usage { message: String, hint: String },
    /// A result could not be written.
    Output { message: String, detail: String },
    /// The audit log was checked and does not hold.
    Audit(AuditError),
    /// What went wrong has been printed already.
    Reported,
    /// Ended as it should, with an exit code that says how; what is to be said has been printed.
    Ended { code: u8 },
    /// Told to stop by a signal; the exit code that says which.
    Interrupted { code: u8 },
    /// Whoever read our standard output has had enough.
    PipeClosed,
}

impl Failure {
    fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    fn output(message: &str, detail: &impl std::fmt::Display) -> Self {
        Self::Output { message: message.to_owned(), detail: detail.to_string() }
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::PipeClosed => ExitCode::SUCCESS,
            Self::Wayleave(Error::Identity { .. }) | Self::Usage { .. } => ExitCode::from(2),
            Self::Interrupted { code } | Self::Ended { code } => ExitCode::from(*code),
            Self::Wayleave(_) | Self::Output { .. } | Self::Audit(_) | Self::Reported => ExitCode::FAILURE,
        }
    }

    /// Prints message, detail and hint to standard error.
    fn report(&self) {
        let (message, detail, hint) = match self {
            Self::PipeClosed | Self::Reported | Self::Ended { .. } => return,
            Self::Wayleave(error) => (error.to_string(), error.detail(), error.hint()),
            Self::Usage { message, hint } => (message.clone(), None, Some(hint.clone())),
            Self::Output { message, detail } => (message.clone(), Some(detail.clone()), None),
            Self::Audit(error) => (error.to_string(), error.detail(), error.hint()),
            Self::Interrupted { .. } => ("interrupted; the agencies have been told to stop".to_owned(), None, None),
        };
        let mut text = format!("error: {message}\n");
        for (label, part) in [("detail", detail), ("hint", hint)] {
            text.extend(part.map(|part| format!("{label}: {part}\n")));
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Wayleave(error)
    }
}

impl From<io::Error> for Failure {
    /// Errors of standard output and input; files name themselves in [`Failure::output`].
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        Self::output("standard input or output failed", &error)
    }
}

/// Opens the engine of a configuration file; no agency is called.
async fn open_engine(config: &Path) -> Result<Engine, Failure> {
    Ok(Engine::open(load_config(config)?).await?)
}

fn load_config(config: &Path) -> Result<Config, Failure> {
    Config::load(config).map_err(|diagnostics| Failure::Wayleave(diagnostics.into()))
}

/// Runs a command until it ends or a signal (Ctrl-C, or a polite kill) drops it, which cancels its statements at the sources.
async fn interruptible<F>(command: F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut task = tokio::spawn(command);
    tokio::select! {
        done = &mut task => done.unwrap_or_else(|error| Err(Failure::output("the command stopped", &error))),
        code = stop_signal() => {
            task.abort();
            // A write to a pipe that nobody reads cannot be interrupted: do not wait for it.
            let _ = tokio::time::timeout(SETTLE_DEADLINE, task).await;
            Err(Failure::Interrupted { code })
        }
    }
}

const CTRL_C: u8 = 130;

/// Waits for a signal to stop, and gives the exit code that shells expect for it.
async fn stop_signal() -> u8 {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        const TERMINATED: u8 = 143;
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = tokio::signal::ctrl_c() => CTRL_C,
                _ = terminate.recv() => TERMINATED,
            };
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    CTRL_C
}

/// Lets background tasks finish: cancel requests on their way to agencies, connections saying goodbye.
async fn settle() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let started = Instant::now();
    while metrics.num_alive_tasks() > 0 && started.elapsed() < SETTLE_DEADLINE {
        tokio::time::sleep(SETTLE_EVERY).await;
    }
}

/// Writes text to standard output in one go; for commands whose output is small.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn visit(command: &clap::Command) {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("EXAMPLES:"), "`{}` has none", command.get_name());
            for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
                visit(subcommand);
            }
        }
        visit(&Cli::command());
    }

    #[test]
    fn the_configuration_may_stand_behind_the_command() {
        let cli = Cli::try_parse_from(["wayleave", "check", "--config", "other.toml"]).unwrap();
        assert_eq!(cli.config, Path::new("other.toml"));
    }

    #[test]
    fn a_file_and_sql_together_are_wrong_usage() {
        let error = Cli::try_parse_from(["wayleave", "query", "SELECT 1", "--file", "x.sql"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
