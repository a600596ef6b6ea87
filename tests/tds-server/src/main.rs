//! The server as a program, for foreign clients to be pointed at.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use wayleave_tds_server::{Options, Server};

#[derive(Debug, Parser)]
#[command(about = "A SQL Server for tests, on SQLite; it runs until its input ends")]
struct Arguments {
    /// The port on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The name of its database.
    #[arg(long, default_value = "care")]
    database: String,
    /// T-SQL that is run before anybody connects.
    #[arg(long)]
    script: Option<PathBuf>,
}

fn run(arguments: Arguments) -> Result<(), String> {
    let options = Options { port: arguments.port, database: arguments.database, ..Options::default() };
    let server = Server::start(options)?;
    if let Some(script) = arguments.script {
        let text = std::fs::read_to_string(&script).map_err(|error| format!("{}: {error}", script.display()))?;
        server.execute_ddl(&text).map_err(|error| error.to_string())?;
    }
    println!("{}\nauthority: {}", server.url(), server.ca_file().display());
    let mut ended = Vec::new();
    std::io::stdin().read_to_end(&mut ended).map_err(|error| error.to_string())?;
    Ok(())
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wayleave-tds-server: {error}");
            ExitCode::FAILURE
        }
    }
}
