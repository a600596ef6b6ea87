//! `wayleave audit`: checks of the audit log that need no running process.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, load_config, print};
use crate::audit::verify;

/// Check the audit log
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave audit verify
  wayleave audit verify --directory /srv/wayleave/audit-2026";

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Prove that no record was changed, removed, moved or inserted
    #[command(after_help = EXAMPLES)]
    Verify {
        /// The log's directory; by default the configuration's
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
}

pub async fn run(config: PathBuf, args: AuditArgs) -> Result<(), Failure> {
    let AuditCommand::Verify { directory } = args.command;
    let directory = match directory {
        Some(directory) => directory,
        None => load_config(&config)?.audit.directory,
    };
    let verified = verify(&directory).map_err(Failure::Audit)?;
    print(&match &verified.last {
        Some(last) => format!(
            "{} records, and the chain holds\nlast: record {}, hash {}\n",
            verified.records, last.sequence, last.hash
        ),
        None => "the log is empty\n".to_owned(),
    })
}
