//! `wayleave explain`: how a query would be answered, the SQL each agency would receive, and what running it measures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wayleave_connector_api::Audience;

use super::identity::IdentityArgs;
use super::{Failure, open_engine, print};
use crate::engine::{ExplainFormat, Run};

/// Show how a query would be answered: agreements, the SQL for each agency, keys disclosed
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    #[arg(value_name = "SQL")]
    sql: String,
    /// Run the query, throw its rows away, and show rows, bytes and times
    #[arg(long)]
    analyze: bool,
    /// How the plan is written
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    format: PlanFormat,
    /// Show the SQL exactly as it runs, hidden columns of row filters and consent included, and every number
    #[arg(long)]
    operator: bool,
    #[command(flatten)]
    identity: IdentityArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// A tree in words, then what each agency is asked
    Text,
    /// One JSON object with the same content
    Json,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave explain 'SELECT * FROM unified.clients' \\
      --as alice@torbay-asc/social-worker --purpose joint-needs-assessment
  wayleave explain --analyze 'SELECT count(*) FROM social.main.clients'
  wayleave explain --format json 'SELECT * FROM unified.clients' | jq '.fragments[].agency'
  wayleave explain 'SELECT count(*) FROM health.public.patients' --operator

In SQL: EXPLAIN, EXPLAIN ANALYZE, EXPLAIN (ANALYZE, TIMING off, FORMAT json).";

pub async fn run(config: PathBuf, args: ExplainArgs) -> Result<(), Failure> {
    let session = args.identity.session()?;
    let engine = open_engine(&config).await?;
    let audience = if args.operator { Audience::Source } else { Audience::Asker };
    let run = if args.analyze { Run::Analyzed } else { Run::Planned };
    let format = match args.format {
        PlanFormat::Text => ExplainFormat::Text,
        PlanFormat::Json => ExplainFormat::Json,
    };
    let sql = args.sql.trim().trim_end_matches(';');
    let explained = engine.explanation(&session, sql, audience, run).await?.written(format);
    print(&format!("{}\n", explained.trim_end()))
}
