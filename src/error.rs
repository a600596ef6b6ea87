//! Everything that can go wrong, one variant a cause, each with a stable code that maps to SQLSTATE here and nowhere else.
//!
//! A message names the agreement or the rule that refuses, never what hidden rows or columns hold.

use std::sync::Arc;

use wayleave_connector_api::ConnectorError;

use crate::audit::AuditError;
use crate::diagnostic::Diagnostics;

/// A failure of Wayleave. `Display` is the primary message; see [`Error::detail`] and [`Error::hint`] for the rest.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("`{given}` does not say who asks")]
    Identity { given: String },
    #[error("{0}")]
    Files(Arc<Diagnostics>),
    #[error("{message}")]
    Syntax { message: String },
    #[error("the statement has {count} {what} and {most} is the most")]
    TooLong { what: &'static str, count: usize, most: usize },
    #[error("`{statement}` is not allowed: only queries are")]
    NotAQuery { statement: String },
    #[error("{message}")]
    Plan { message: String },
    #[error("this machine's clock is {minutes} minutes before a moment that has passed")]
    ClockBehind { minutes: i64 },
    #[error("`{table}` is not released to role `{role}` of `{organisation}` for purpose `{purpose}`")]
    TableNotReleased { table: String, organisation: String, role: String, purpose: String },
    #[error("agreement `{agreement}` does not release column `{column}` of `{table}`")]
    ColumnNotReleased { table: String, column: String, agreement: String },
    #[error("agreement `{agreement}` does not apply: {why}")]
    AgreementNotInForce { agreement: String, why: String },
    #[error("agreement `{agreement}` requires {what}")]
    RequirementMissing { agreement: String, what: &'static str, flag: &'static str },
    #[error("agreement `{agreement}` does not let consent be passed over: {why}")]
    ConsentNotPassedOver { agreement: String, why: String },
    #[error("agreement `{agreement}` cannot be applied to `{table}` as it is written")]
    AgreementUnusable { agreement: String, table: String, why: String },
    #[error("agreement `{agreement}` releases aggregates only: {why}")]
    AggregatesOnly { agreement: String, why: String },
    #[error("consent register `{register}` cannot be read as it is configured")]
    RegisterUnusable { register: String, why: String },
    #[error("the person cannot be looked up: {why}")]
    SubjectUnknown { why: String },
    #[error("column `{column}` of `{table}` cannot be read: {reason}")]
    UnreadableColumn { table: String, column: String, reason: String },
    #[error("agency `{agency}`: {source}")]
    Source { agency: String, source: Arc<ConnectorError> },
    #[error("the query is refused because the owner of agreement `{agreement}` cannot be told of it")]
    OwnerNotTold { agreement: String, why: String },
    #[error("the query is refused because the audit log cannot be written")]
    Audit(#[source] Arc<AuditError>),
    #[error("generated SQL for agency `{agency}` does not carry what agreement demands of `{table}`")]
    Unproven { agency: String, table: String },
    #[error("the query failed: {message}")]
    Execution { message: String },
    #[error("the query needs more than `{limit}` allows")]
    LimitExceeded { limit: ExceededLimit, bytes: u64, operator: String },
    #[error("the query was cancelled")]
    Cancelled,
    #[error("{action}: {source}")]
    File { action: String, source: Arc<std::io::Error> },
}

impl Error {
    /// The stable code of the cause, the same on every surface and in the audit log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Identity { .. } => "identity",
            Self::Files(_) => "files",
            Self::Syntax { .. } => "syntax",
            Self::TooLong { .. } => "too-long",
            Self::NotAQuery { .. } => "not-a-query",
            Self::Plan { .. } => "plan",
            Self::TableNotReleased { .. } => "table-not-released",
            Self::ColumnNotReleased { .. } => "column-not-released",
            Self::AgreementNotInForce { .. } => "agreement-not-in-force",
            Self::RequirementMissing { .. } => "requirement-missing",
            Self::ConsentNotPassedOver { .. } => "consent-not-passed-over",
            Self::OwnerNotTold { .. } => "owner-not-told",
            Self::AgreementUnusable { .. } => "agreement-unusable",
            Self::AggregatesOnly { .. } => "aggregates-only",
            Self::RegisterUnusable { .. } => "register-unusable",
            Self::SubjectUnknown { .. } => "subject-unknown",
            Self::UnreadableColumn { .. } => "unreadable-column",
            Self::Source { source, .. } => source.code(),
            Self::ClockBehind { .. } => "clock-untrusted",
            Self::Audit(_) => "audit-unavailable",
            Self::Unproven { .. } => "unproven",
            Self::Execution { .. } => "execution",
            Self::LimitExceeded { limit: ExceededLimit::SpillDisk, .. } => "out-of-disk",
            Self::LimitExceeded { .. } => "out-of-memory",
            Self::Cancelled => "cancelled",
            Self::File { .. } => "file",
        }
    }

    /// The SQLSTATE that the PostgreSQL protocol carries (PostgreSQL documentation, appendix A).
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Identity { .. } => "28000",
            Self::Files(_) | Self::File { .. } => "58030",
            Self::Syntax { .. } => "42601",
            Self::TooLong { .. } => "54001",
            Self::NotAQuery { .. } => "25006",
            Self::Plan { .. } => "42000",
            Self::TableNotReleased { .. }
            | Self::ColumnNotReleased { .. }
            | Self::AgreementNotInForce { .. }
            | Self::RequirementMissing { .. }
            | Self::ConsentNotPassedOver { .. }
            | Self::AgreementUnusable { .. }
            | Self::RegisterUnusable { .. }
            | Self::AggregatesOnly { .. } => "42501",
            Self::SubjectUnknown { .. } => "22023",
            Self::UnreadableColumn { .. } => "0A000",
            Self::Source { source, .. } => match source.as_ref() {
                ConnectorError::Timeout { .. } | ConnectorError::Cancelled => "57014",
                ConnectorError::Budget { .. } => "53300",
                _ => "08006",
            },
            Self::ClockBehind { .. } | Self::Audit(_) | Self::OwnerNotTold { .. } => "58000",
            Self::Unproven { .. } => "XX000",
            Self::Execution { .. } => "22000",
            Self::LimitExceeded { limit: ExceededLimit::SpillDisk, .. } => "53100",
            Self::LimitExceeded { .. } => "53200",
            Self::Cancelled => "57014",
        }
    }

    /// A fact that explains the message.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::TableNotReleased { .. } => {
                Some("no agreement in force shares it with you; whether it exists is not told".to_owned())
            }
            Self::ColumnNotReleased { .. } => Some("whether the column exists is not told".to_owned()),
            Self::ClockBehind { .. } => Some(
                "agreements start and end, and consent is in force, by a clock that cannot be trusted now".to_owned(),
            ),
            Self::Audit(source) => Some(match source.detail() {
                Some(detail) => format!("{source}: {detail}"),
                None => source.to_string(),
            }),
            Self::Unproven { .. } => Some("nothing was sent to the agency; this is a defect of Wayleave".to_owned()),
            Self::Source { source, .. } => match source.as_ref() {
                ConnectorError::Timeout { .. } => Some("the agency's database stopped the statement".to_owned()),
                _ => Some("an answer is complete or it is none: nothing of the other agencies was released".to_owned()),
            },
            Self::LimitExceeded { limit, bytes, operator } => {
                let size = bytes_in_words(*bytes);
                Some(match limit {
                    ExceededLimit::QueryMemory => {
                        format!("{operator} did not fit into the {size} that one query may use")
                    }
                    ExceededLimit::ProcessMemory => {
                        format!("{operator} found nothing left of the {size} that all running queries share")
                    }
                    ExceededLimit::SpillDisk => format!("all running queries share {size} of disk space"),
                })
            }
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Identity { .. } => {
                Some("write user@organisation/role, such as alice@torbay-asc/social-worker".to_owned())
            }
            Self::TooLong { .. } => Some("write `x IN (…)` for many values of one column, or ask in parts".to_owned()),
            Self::NotAQuery { .. } => Some("write a SELECT, WITH, VALUES or EXPLAIN statement".to_owned()),
            Self::TableNotReleased { .. } => {
                Some("`wayleave tables` lists what you may see; another purpose may be the one you mean".to_owned())
            }
            Self::ColumnNotReleased { table, .. } => {
                Some(format!("SELECT * FROM {table} shows the columns you may see"))
            }
            Self::RequirementMissing { flag, .. } => Some(format!("say it with {flag}")),
            Self::ConsentNotPassedOver { .. } => {
                Some("ask without --override or --break-glass: what consent allows is released".to_owned())
            }
            Self::OwnerNotTold { .. } => {
                Some("whoever runs Wayleave can put `[alerts]` of the configuration right".to_owned())
            }
            Self::AgreementNotInForce { .. } => {
                Some("the data protection officer who owns the agreement can put it right".to_owned())
            }
            Self::AgreementUnusable { .. } | Self::RegisterUnusable { .. } => {
                Some("`wayleave check` tells its data protection officer what is wrong".to_owned())
            }
            Self::AggregatesOnly { .. } => {
                Some("write SELECT group columns, count(*), sum(x), avg(x) … GROUP BY group columns".to_owned())
            }
            Self::SubjectUnknown { .. } => {
                Some("write --subject SCHEME:KEY with the key's digits alone, such as nhs-number:9434765919".to_owned())
            }
            Self::UnreadableColumn { .. } => Some("leave the column out: the rest of its table can be read".to_owned()),
            Self::Source { source, .. } => match source.as_ref() {
                ConnectorError::Budget { .. } => {
                    Some("ask again later, or raise `max_connections` of the agency".to_owned())
                }
                ConnectorError::Timeout { .. } => {
                    Some("narrow the question, or raise `statement_timeout_ms` of the agency".to_owned())
                }
                _ => Some("`wayleave check` shows which agencies can be reached".to_owned()),
            },
            Self::LimitExceeded { limit, .. } => Some(match limit {
                ExceededLimit::ProcessMemory => {
                    "ask again later, narrow the question, or raise `limits.process_memory`".to_owned()
                }
                ExceededLimit::QueryMemory | ExceededLimit::SpillDisk => {
                    format!("narrow the question, or raise `{limit}`")
                }
            }),
            Self::ClockBehind { .. } => Some(
                "set the clock right; where an audit record has a time to come, begin a new audit directory".to_owned(),
            ),
            Self::Audit(source) => source.hint(),
            _ => None,
        }
    }

    /// What only those who run Wayleave and its agreements may read: it may name hidden columns.
    pub fn operator_detail(&self) -> Option<&str> {
        match self {
            Self::Source { source, .. } => source.operator_detail(),
            Self::AgreementUnusable { why, .. }
            | Self::RegisterUnusable { why, .. }
            | Self::OwnerNotTold { why, .. } => Some(why),
            _ => None,
        }
    }
}

/// Which limit of the configuration a query met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceededLimit {
    QueryMemory,
    ProcessMemory,
    SpillDisk,
}

impl std::fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QueryMemory => "limits.query_memory",
            Self::ProcessMemory => "limits.process_memory",
            Self::SpillDisk => "limits.spill_disk",
        })
    }
}

/// As it is written in the configuration: `512MB`.
fn bytes_in_words(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
            Some((name, unit)) => format!("about {} {name}", bytes / unit),
            None => format!("{bytes} bytes"),
        },
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Files(Arc::new(diagnostics))
    }
}

impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        Self::Audit(Arc::new(error))
    }
}
