//! `wayleave explain`: how a query would be answered, and the SQL each agency would receive.

use std::path::PathBuf;

use clap::Args;
use wayleave_connector_api::Audience;

use super::identity::IdentityArgs;
use super::{Failure, open_engine, print};

/// Show how a query would be answered: agreements, the SQL for each agency, keys disclosed
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    #[arg(value_name = "SQL")]
    sql: String,
    /// Show the SQL exactly as it runs, hidden columns of row filters and consent included
    #[arg(long)]
    operator: bool,
    #[command(flatten)]
    identity: IdentityArgs,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave explain 'SELECT * FROM unified.clients' \\
      --as alice@torbay-asc/social-worker --purpose joint-needs-assessment
  wayleave explain 'SELECT count(*) FROM health.public.patients' --operator";

pub async fn run(config: PathBuf, args: ExplainArgs) -> Result<(), Failure> {
    let session = args.identity.session()?;
    let engine = open_engine(&config).await?;
    let audience = if args.operator { Audience::Source } else { Audience::Asker };
    let explained = engine.explain(&session, args.sql.trim().trim_end_matches(';'), audience).await?;
    print(&format!("{}\n", explained.trim_end()))
}
