//! `wayleave check`: is everything in order? Configuration, policies, audit log, and each agency on its own.

use std::path::PathBuf;

use clap::Args;

use super::table::{printable, width};
use super::{Failure, load_config, print};
use crate::engine::{AgencyState, Engine, ShareState};
use crate::error::Error;

/// Check configuration, policies, the audit log, and that each agency can be reached
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave check
  wayleave check --config /etc/wayleave/wayleave.toml";

pub async fn run(config: PathBuf, _: CheckArgs) -> Result<(), Failure> {
    let loaded = load_config(&config)?;
    print(&format!("ok      configuration  {}\n", config.display()))?;
    let policies = loaded.policies.clone();
    let audit = loaded.audit.directory.clone();
    // Opening the engine reads every policy file and checks the end of the audit log.
    let engine = Engine::open(loaded).await?;
    print(&format!("ok      policies       {}\nok      audit log      {}\n", policies.display(), audit.display()))?;
    let agencies = engine.agencies().await;
    print(&listing(&agencies))?;
    let shares = engine.shares().await;
    print(&unusable(&shares))?;
    let in_order = agencies.iter().all(|agency| agency.info.is_ok()) && shares.iter().all(|share| share.state.is_ok());
    if in_order { Ok(()) } else { Err(Failure::Reported) }
}

/// How many shares fit their agency's database, and each that does not, with what its author needs to know.
fn unusable(shares: &[ShareState]) -> String {
    let fitting = shares.iter().filter(|share| share.state.is_ok()).count();
    let mut text = format!(
        "{}  {fitting} of {} shares in force fit their agency's tables\n",
        if fitting == shares.len() { "ok    " } else { "failed" },
        shares.len()
    );
    for share in shares {
        if let Err(error) = &share.state {
            text.push_str(&format!(
                "failed  share of {} under {}  {error}\n",
                printable(&share.table.to_string()),
                share.agreement
            ));
            if let Some(detail) = error.operator_detail() {
                text.push_str(&format!("        detail: {}\n", printable(detail)));
            }
        }
    }
    text
}

/// One line an agency, and below a failed one what its operator needs to know.
fn listing(agencies: &[AgencyState]) -> String {
    let widest = agencies.iter().map(|agency| width(&agency.agency)).max().unwrap_or(0);
    let mut text = String::new();
    for AgencyState { agency, info, latency } in agencies {
        let name = format!("agency {agency}{}", " ".repeat(widest.saturating_sub(width(agency))));
        match info {
            Ok(info) => {
                let encrypted = if info.encrypted { "encrypted" } else { "NOT encrypted" };
                let server = printable(&format!("{} {}", info.product, info.version));
                text.push_str(&format!("ok      {name}  {server}, {encrypted}, {} ms\n", latency.as_millis()));
            }
            Err(error) => {
                // The line names the agency already.
                let what = match error {
                    Error::Source { source, .. } => source.to_string(),
                    other => other.to_string(),
                };
                text.push_str(&format!("failed  {name}  {what}\n"));
                if let Some(detail) = error.operator_detail() {
                    text.push_str(&format!("        detail: {}\n", printable(detail)));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use wayleave_connector_api::{ConnectorError, ServerInfo};

    use super::*;

    #[test]
    fn a_dead_agency_is_told_beside_the_living() {
        let alive = ServerInfo { product: "SQLite".to_owned(), version: "3.50".to_owned(), encrypted: true };
        let dead = Error::Source {
            agency: "social".to_owned(),
            source: Arc::new(ConnectorError::Unavailable { operator_detail: "refused\u{1b}[2J".to_owned() }),
        };
        let latency = Duration::from_millis(3);
        let shown = listing(&[
            AgencyState { agency: "health".to_owned(), info: Ok(alive), latency },
            AgencyState { agency: "social".to_owned(), info: Err(dead), latency },
        ]);
        let expected = [
            "ok      agency health  SQLite 3.50, encrypted, 3 ms",
            "failed  agency social  the source cannot be reached",
            r"        detail: refused\u{1b}[2J",
            "",
        ];
        assert_eq!(shown, expected.join("\n"));
    }
}
