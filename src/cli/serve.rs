//! `wayleave serve`: answers the tools that people already use, until it is told to stop.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use super::edits::tell_of_edits;
use super::{Failure, load_config, stop_signal};
use crate::endpoints::pgwire::PostgresEndpoint;
use crate::engine::Engine;

/// Let tools connect by PostgreSQL's protocol, as `[serve]` of the configuration says
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Read everything, see that the address is free, and end
    #[arg(long)]
    check: bool,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave user add alice --organisation torbay-asc --role social-worker --purpose joint-needs-assessment
  wayleave serve --check
  wayleave serve                         # Ctrl-C lets running queries end, for 10 seconds
  psql 'host=127.0.0.1 port=5433 user=alice dbname=wayleave'

IN THE CONFIGURATION:
  [serve]
  users = \"users.toml\"
  [serve.postgres]
  listen = \"0.0.0.0:5433\"
  certificate = \"server.crt\"
  key = \"server.key\"

IN A SESSION:
  SET wayleave.purpose = 'joint-needs-assessment';
  SET wayleave.case = 'C-1042';
  SET wayleave.reason = 'strategy discussion';
  SHOW TABLES;";

pub async fn run(config: PathBuf, args: ServeArgs) -> Result<(), Failure> {
    let config = load_config(&config)?;
    let Some(serve) = config.serve.clone() else {
        return Err(Failure::usage(
            "the configuration says nothing of `[serve]`",
            "`wayleave serve --help` shows what to write",
        ));
    };
    let engine = Arc::new(Engine::open(config).await?);
    let endpoint = PostgresEndpoint::open(Arc::clone(&engine), &serve).await?;
    let address = endpoint.address()?;
    let encryption = if serve.postgres.certificate.is_some() { "TLS" } else { "plain text" };
    if args.check {
        let _ = writeln!(io::stderr(), "ok: {address} is free ({encryption}), users and policies can be read");
        return Ok(());
    }
    engine.follow_policies();
    let telling = tokio::spawn(tell_of_edits(engine.policy_state(), |told| {
        let _ = io::stderr().write_all(told.as_bytes());
    }));
    let (stop, stopping) = watch::channel(false);
    let _ = writeln!(io::stderr(), "listening at {address} ({encryption})");
    let mut serving = tokio::spawn(endpoint.run(stopping));
    let ended = tokio::select! {
        ended = &mut serving => ended,
        _ = stop_signal() => {
            let _ = writeln!(io::stderr(), "stopping: running queries have 10 seconds to end");
            let _ = stop.send(true);
            tokio::select! {
                ended = &mut serving => ended,
                // Whoever asks twice does not want to wait.
                code = stop_signal() => {
                    serving.abort();
                    return Err(Failure::Interrupted { code });
                }
            }
        }
    };
    telling.abort();
    ended.map_err(|error| Failure::output("the server stopped", &error))?;
    Ok(engine.flush_audit().await?)
}
