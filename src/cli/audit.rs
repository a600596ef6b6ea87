//! `wayleave audit`: the audit log without a running engine: that it holds, and which emergencies wait for a review.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::policy::text::table;
use super::{Failure, load_config, print};
use crate::audit::{AuditLog, Emergency, Review, ReviewFinding, emergencies, verify};
use crate::stewardship::render::Grid;

/// Check the audit log, and review emergencies
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

const EXAMPLES: &str = "\
EXAMPLES:
  wayleave audit verify
  wayleave audit verify --directory /srv/wayleave/audit-2026
  wayleave audit reviews                 # emergencies that nobody has reviewed
  wayleave audit review 0199… --by dpo@torbay.example --finding justified --note 'seen by the on-call GP'";

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Prove that no record was changed, removed, moved or inserted
    #[command(after_help = EXAMPLES)]
    Verify {
        #[command(flatten)]
        log: LogArgs,
    },
    /// List the emergencies in which consent was passed over and that nobody has reviewed
    #[command(after_help = EXAMPLES)]
    Reviews {
        /// Those that somebody has reviewed, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        log: LogArgs,
    },
    /// Put on the record that an emergency was reviewed, and what came of it
    #[command(after_help = EXAMPLES)]
    Review {
        /// The emergency, as its alert and `wayleave audit reviews` name it
        id: String,
        /// Who has reviewed it
        #[arg(long, value_name = "WHO")]
        by: String,
        #[arg(long, value_enum)]
        finding: Finding,
        /// What there is to say of it
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        #[command(flatten)]
        log: LogArgs,
    },
}

#[derive(Args, Debug)]
struct LogArgs {
    /// The log's directory; by default the configuration's
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Finding {
    /// It was an emergency
    Justified,
    /// It was none
    Unjustified,
}

impl LogArgs {
    fn directory(self, config: &Path) -> Result<PathBuf, Failure> {
        match self.directory {
            Some(directory) => Ok(directory),
            None => Ok(load_config(config)?.audit.directory),
        }
    }
}

pub async fn run(config: PathBuf, args: AuditArgs) -> Result<(), Failure> {
    match args.command {
        AuditCommand::Verify { log } => verified(&log.directory(&config)?),
        AuditCommand::Reviews { all, log } => listed(&log.directory(&config)?, all),
        AuditCommand::Review { id, by, finding, note, log } => {
            let finding = match finding {
                Finding::Justified => ReviewFinding::Justified,
                Finding::Unjustified => ReviewFinding::Unjustified,
            };
            reviewed(&log.directory(&config)?, Review { id, by, finding, note }).await
        }
    }
}

fn verified(directory: &Path) -> Result<(), Failure> {
    let verified = verify(directory).map_err(Failure::Audit)?;
    print(&match &verified.last {
        Some(last) => format!(
            "{} records, and the chain holds\nlast: record {}, hash {}\n",
            verified.records, last.sequence, last.hash
        ),
        None => "the log is empty\n".to_owned(),
    })
}

fn listed(directory: &Path, all: bool) -> Result<(), Failure> {
    let found = emergencies(directory).map_err(Failure::Audit)?;
    let shown: Vec<&Emergency> = found.iter().filter(|emergency| all || emergency.review.is_none()).collect();
    if shown.is_empty() {
        return print(if found.is_empty() {
            "there was no emergency\n"
        } else {
            "every emergency has been reviewed\n"
        });
    }
    let mut grid = Grid::new(&["id", "at", "until", "agreement", "owner", "who", "reason", "queries", "review"]);
    for emergency in shown {
        let Emergency { user, organisation, role, .. } = emergency;
        let review = emergency.review.as_ref().map_or("open".to_owned(), |review| {
            let finding = match review.finding {
                ReviewFinding::Justified => "justified",
                ReviewFinding::Unjustified => "unjustified",
            };
            format!("{finding}, by {}", review.by)
        });
        grid.push([
            emergency.id.clone(),
            emergency.at.clone(),
            emergency.until.clone(),
            emergency.agreement.clone(),
            emergency.owner.clone(),
            format!("{user}@{organisation}/{role}"),
            emergency.reason.clone().unwrap_or_default(),
            emergency.query_ids.len().to_string(),
            review,
        ]);
    }
    print(&table(&grid))
}

async fn reviewed(directory: &Path, review: Review) -> Result<(), Failure> {
    let found = emergencies(directory).map_err(Failure::Audit)?;
    if !found.iter().any(|emergency| emergency.id == review.id) {
        return Err(Failure::usage(
            format!("there was no emergency `{}`", review.id),
            "`wayleave audit reviews` lists those that wait for a review",
        ));
    }
    if review.by.trim().is_empty() {
        return Err(Failure::usage("who has reviewed it is not said", "add --by WHO, such as --by dpo@torbay.example"));
    }
    let id = review.id.clone();
    AuditLog::open(directory).map_err(Failure::Audit)?.review(review).await.map_err(Failure::Audit)?;
    print(&format!("emergency {id} is reviewed\n"))
}
