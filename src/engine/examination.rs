//! Why a session may or may not see a table, and what agencies say of one person: for operators.
//!
//! A person's rows and consent entries are read live, and on the record like a query: the intent is durable before the first
//! agency is asked. What is sent are [`Inquiry`]s, which only policy can make.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use datafusion::arrow::array::{Array, BooleanArray, Int64Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use wayleave_connector_api::{Scheme, Statement};

use super::{Engine, record};
use crate::audit::{AgreementRef, Intent, Outcome, SourceStatement, Status};
use crate::error::Error;
use crate::names::QualifiedTable;
use crate::policy::{Demand, Entitlement, Examined, Inquiry, InquiryKind, Policy, RegisterEntry, ReleasedTable};
use crate::session::Session;

/// Everything that decides what a session sees of a table.
#[derive(Debug)]
pub struct Examination {
    /// Each agreement that shares the table.
    pub agreements: Vec<Examined>,
    /// The decision, as it is made for a query.
    pub decision: Result<Entitlement, Error>,
    /// What the table is to the session; there where the decision releases it.
    pub released: Option<Result<ReleasedTable, Error>>,
    /// What agencies say of the person that was asked about; there where the table is released.
    pub person: Option<Vec<PersonFinding>>,
}

/// The person whom an examination asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedAbout {
    pub scheme: Scheme,
    /// In canonical form.
    pub key: String,
}

/// What an agency has answered about the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonFinding {
    /// The person's rows in the table, whoever may see them.
    Rows(u64),
    RowsThatMeet(Demand, u64),
    RowsThatMeetAll(u64),
    Entries {
        register: String,
        entries: Vec<RegisterEntryFound>,
    },
    /// Entries that decide: of those that match, none outranks them.
    Deciding {
        register: String,
        entry: RegisterEntry,
        count: u64,
    },
}

/// One entry of a consent register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterEntryFound {
    /// Column and value; `None` is NULL.
    pub values: Vec<(String, Option<String>)>,
    /// Whether it is in force and matches as a permission, or as a refusal.
    pub permits: bool,
    pub denies: bool,
}

impl Engine {
    /// Why a session may or may not see a table. With a person, what decides of that person: read from the agencies now, and
    /// audited. It tells of hidden rows and columns: never show it to an asker.
    ///
    /// # Errors
    /// [`Error::SubjectUnknown`] for a key that is none; [`Error::Source`] where an agency cannot be read;
    /// [`Error::Audit`] where the intent cannot be recorded: then nothing is sent.
    pub async fn examine(
        &self,
        session: &Session,
        table: &QualifiedTable,
        person: Option<&AskedAbout>,
    ) -> Result<Examination, Error> {
        self.time.check(self.clock, Utc::now())?;
        let policy = self.policies.current().await;
        let agreements = policy.examine(session, table);
        let decision = policy.entitlement(session, table);
        let released = match &decision {
            Ok(_) => Some(policy.release(session, table, &self.base).await),
            Err(_) => None,
        };
        let text = format!("POLICY EXPLAIN {table} (asked by an operator, for what this user would see)");
        let person = match (person, &released, &decision) {
            (Some(person), Some(Ok(released)), _) => {
                Some(self.ask_about(&policy, session, &text, released, person).await?)
            }
            (Some(_), _, Err(error)) | (Some(_), Some(Err(error)), _) => {
                self.record_refusal(&policy, session, &text, error).await?;
                None
            }
            (Some(_), None, Ok(_)) | (None, ..) => None,
        };
        Ok(Examination { agreements, decision, released, person })
    }

    async fn ask_about(
        &self,
        policy: &Policy,
        session: &Session,
        text: &str,
        released: &ReleasedTable,
        person: &AskedAbout,
    ) -> Result<Vec<PersonFinding>, Error> {
        let inquiries = policy.inquiries(session, released, person.scheme, &person.key).await?;
        let query_id = uuid::Uuid::now_v7().to_string();
        let agreement = &released.agreement;
        self.audit
            .intent(Intent {
                query_id: query_id.clone(),
                user: session.user.clone(),
                organisation: session.organisation.clone(),
                role: session.role.clone(),
                purpose: session.purpose.clone(),
                case_reference: session.case_reference.clone(),
                reason: session.reason.clone(),
                sql: text.to_owned(),
                policy_hash: policy.set().hash.clone(),
                agreements: vec![AgreementRef { id: agreement.id.clone(), hash: agreement.hash.clone() }],
                statements: inquiries
                    .iter()
                    .map(|inquiry| SourceStatement {
                        agency: inquiry.agency().name.clone(),
                        sql: inquiry.sql(),
                        released_under: vec![agreement.id.clone()],
                        keys_from: Vec::new(),
                    })
                    .collect(),
                disclosures: Vec::new(),
                passed_over: Vec::new(),
            })
            .await?;
        let started = Instant::now();
        let mut rows_read = Vec::new();
        let mut statements_run = 0;
        let mut findings = Ok(Vec::new());
        for inquiry in &inquiries {
            statements_run += 1;
            match ask(inquiry, &query_id).await {
                Ok((finding, rows)) => {
                    rows_read.push((inquiry.agency().name.clone(), rows));
                    if let Ok(findings) = &mut findings {
                        findings.push(finding);
                    }
                }
                Err(error) => {
                    findings = Err(error);
                    break;
                }
            }
        }
        let error_code = findings.as_ref().err().map(|error| error.code().to_owned());
        self.audit
            .outcome(Outcome {
                query_id,
                status: if error_code.is_none() { Status::Completed } else { Status::Failed },
                error_code,
                rows_returned: rows_read.iter().map(|(_, rows)| rows).sum(),
                duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                rows_read,
                keys_disclosed: Vec::new(),
                statements_run,
            })
            .await?;
        findings
    }

    async fn record_refusal(&self, policy: &Policy, session: &Session, text: &str, error: &Error) -> Result<(), Error> {
        let query_id = uuid::Uuid::now_v7().to_string();
        Ok(self.audit.refusal(record::refusal(session, &query_id, text, policy, error)).await?)
    }
}

/// Runs one inquiry; what it found, and how many rows came.
async fn ask(inquiry: &Inquiry, query_id: &str) -> Result<(PersonFinding, u64), Error> {
    let agency = inquiry.agency();
    let failed = |error| Error::Source { agency: agency.name.clone(), source: Arc::new(error) };
    let statement = Statement { sql: inquiry.sql(), schema: inquiry.schema(), query_id: query_id.to_owned() };
    let batches: Vec<RecordBatch> =
        agency.connector.query(statement).await.map_err(failed)?.try_collect().await.map_err(failed)?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let count = || count_of(&batches);
    let finding = match inquiry.kind() {
        InquiryKind::Rows => PersonFinding::Rows(count()),
        InquiryKind::RowsThatMeet(demand) => PersonFinding::RowsThatMeet(demand.clone(), count()),
        InquiryKind::RowsThatMeetAll => PersonFinding::RowsThatMeetAll(count()),
        InquiryKind::Deciding { register, entry } => {
            PersonFinding::Deciding { register: register.clone(), entry: *entry, count: count() }
        }
        InquiryKind::Entries { register, columns } => {
            PersonFinding::Entries { register: register.clone(), entries: entries_of(&batches, columns)? }
        }
    };
    Ok((finding, u64::try_from(rows).unwrap_or(u64::MAX)))
}

fn count_of(batches: &[RecordBatch]) -> u64 {
    let first = batches.iter().find(|batch| batch.num_rows() > 0);
    let counts = first.and_then(|batch| batch.columns().first()?.as_any().downcast_ref::<Int64Array>());
    counts.filter(|counts| counts.is_valid(0)).and_then(|counts| u64::try_from(counts.value(0)).ok()).unwrap_or(0)
}

fn entries_of(batches: &[RecordBatch], columns: &[String]) -> Result<Vec<RegisterEntryFound>, Error> {
    let unreadable = |_| Error::Execution { message: "an entry of the register cannot be shown".to_owned() };
    let options = FormatOptions::new();
    let mut entries = Vec::new();
    for batch in batches {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).map(|shown| (column, shown)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        let holds = |position: usize, row: usize| {
            let column = batch.columns().get(position);
            let flags = column.and_then(|column| column.as_any().downcast_ref::<BooleanArray>());
            flags.is_some_and(|flags| flags.is_valid(row) && flags.value(row))
        };
        for row in 0..batch.num_rows() {
            let values = columns
                .iter()
                .zip(&formatters)
                .map(|(name, (column, shown))| {
                    let value = if column.is_null(row) {
                        None
                    } else {
                        Some(shown.value(row).try_to_string().map_err(unreadable)?)
                    };
                    Ok((name.clone(), value))
                })
                .collect::<Result<Vec<_>, Error>>()?;
            let (permits, denies) = (holds(columns.len(), row), holds(columns.len() + 1, row));
            entries.push(RegisterEntryFound { values, permits, denies });
        }
    }
    Ok(entries)
}
