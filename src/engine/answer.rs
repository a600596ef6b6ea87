//! A running query's answer: rows as they come, what is withheld, and the audit outcome when it ends.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use wayleave_connector_api::{Audience, KeyDisclosure};

use super::explain::{ExplainFormat, Explanation, QueryPlan, Timing};
use crate::audit::{AuditError, AuditLog, KeyCount, Outcome, Status};
use crate::error::Error;
use crate::federate::{PlannedFragment, QueryRun};

/// An answer under way.
pub struct Answer {
    pub query_id: String,
    pub schema: SchemaRef,
    /// What is withheld and under which agreement; the same whether or not rows were.
    pub notices: Vec<Notice>,
    /// The rows. Dropping this cancels at the sources. Its errors become [`Error`] by `Error::from`.
    pub batches: SendableRecordBatchStream,
    pub progress: Arc<Progress>,
    /// What each agency receives.
    pub fragments: Vec<FragmentReport>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("query_id", &self.query_id).field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Something the asker should know of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// The SQL that one agency receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentReport {
    pub agency: String,
    /// As it runs; where join keys are sent, a comment stands in their place.
    pub sql: String,
    pub agreements: Vec<String>,
    /// Agencies whose keys are sent with it.
    pub keys_from: Vec<String>,
}

/// How far a running query has come.
#[derive(Debug)]
pub struct Progress {
    run: Arc<QueryRun>,
    plan: Option<Arc<QueryPlan>>,
}

impl Progress {
    /// Rows of the answer so far: all that the asker may be told while it runs. How much is read for them, from whom and in
    /// which order, follows withheld rows and statistics as well.
    pub fn returned(&self) -> u64 {
        self.run.returned()
    }

    /// Rows read so far by agency, withheld ones included: not for the asker.
    pub fn rows(&self) -> Vec<(String, u64)> {
        self.run.rows()
    }

    /// How the query is answered, with what was measured once it has come to its end; `None` for an answer that no agency
    /// had a part in, such as a plan.
    pub fn explanation(&self, audience: Audience) -> Option<Explanation> {
        self.plan.as_ref().map(|plan| plan.explanation(audience, Some(&self.run)))
    }

    /// Keys sent so far: from whom, to whom, how many. They count withheld persons as well: not for the asker.
    pub fn disclosed(&self) -> Vec<crate::federate::Disclosed> {
        self.run.disclosed()
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        own_error(&error).unwrap_or_else(|| Self::Execution { message: cause(error.find_root()).to_owned() })
    }
}

/// What went wrong while rows were computed, in words that hold no value of any row.
fn cause(error: &DataFusionError) -> &'static str {
    match error {
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::DivideByZero => "a division by zero",
            ArrowError::ArithmeticOverflow(_) => "a number out of range",
            ArrowError::CastError(_) => "a value that cannot be cast to the type asked for",
            ArrowError::ParseError(_) => "a text that cannot be read as the type asked for",
            ArrowError::MemoryError(_) => "not enough memory",
            _ => "a value that an expression cannot take",
        },
        DataFusionError::ResourcesExhausted(_) => "not enough memory: narrow the question",
        DataFusionError::NotImplemented(_) => "an operation that is not supported",
        DataFusionError::Execution(_) => "a value that an expression cannot take",
        _ => "an operation that could not be carried out",
    }
}

/// Our own error inside one of DataFusion's, however deeply wrapped.
pub(super) fn own_error(error: &DataFusionError) -> Option<Error> {
    let mut current: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(DataFusionError::External(inner)) = current.downcast_ref::<DataFusionError>()
            && let Some(own) = inner.downcast_ref::<Error>()
        {
            return Some(own.clone());
        }
        if let Some(own) = current.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        // An I/O error names as its source the source of what it holds.
        if let Some(own) = current.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()?.downcast_ref()) {
            return Some(Error::clone(own));
        }
        current = current.source()?;
    }
}

pub(super) fn agreements_of(fragment: &PlannedFragment) -> Vec<String> {
    let ids: BTreeSet<String> = fragment.origins.iter().map(|origin| origin.agreement.clone()).collect();
    ids.into_iter().collect()
}

/// The agreements under which this one of a fragment's agencies releases its tables.
pub(super) fn agreements_of_agency(fragment: &PlannedFragment, agency: &str) -> Vec<String> {
    let own = fragment.origins.iter().filter(|origin| origin.agency == agency);
    let ids: BTreeSet<String> = own.map(|origin| origin.agreement.clone()).collect();
    ids.into_iter().collect()
}

pub(super) fn start(
    batches: SendableRecordBatchStream,
    run: Arc<QueryRun>,
    audit: Arc<AuditLog>,
    started: Instant,
    plan: &Arc<QueryPlan>,
) -> Answer {
    let schema = batches.schema();
    let fragments = plan
        .fragments
        .iter()
        .map(|fragment| FragmentReport {
            agency: fragment.agency.clone(),
            sql: fragment.sql.clone(),
            agreements: agreements_of(fragment),
            keys_from: fragment.keys_from.keys().cloned().collect(),
        })
        .collect();
    let query_id = run.query_id.clone();
    let progress = Arc::new(Progress { run: Arc::clone(&run), plan: Some(Arc::clone(plan)) });
    let recorded = Recorded {
        batches: Some(batches),
        schema: Arc::clone(&schema),
        run,
        audit,
        started,
        ending: None,
        ended: false,
    };
    Answer { query_id, schema, notices: plan.notices.clone(), batches: Box::pin(recorded), progress, fragments }
}

/// Rows that are an error from the start.
pub(super) fn failed(schema: SchemaRef, error: DataFusionError) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Err(error)])))
}

/// An answer that is text of ours, such as a plan.
pub(super) fn of_text(query_id: String, text: &str, format: ExplainFormat) -> Answer {
    let batch = text_batch(text, format);
    Answer {
        progress: Arc::new(Progress { run: Arc::new(QueryRun::new(&query_id)), plan: None }),
        query_id,
        schema: text_schema(),
        notices: Vec::new(),
        batches: Box::pin(RecordBatchStreamAdapter::new(text_schema(), stream::iter([batch]))),
        fragments: Vec::new(),
    }
}

/// The same query run for what it measures: its rows are thrown away, and its explanation is the answer.
pub(super) fn measured(answer: Answer, audience: Audience, format: ExplainFormat, timing: Timing) -> Answer {
    let Answer { query_id, mut batches, progress, fragments, .. } = answer;
    let explained = Arc::clone(&progress);
    let text = async move {
        while batches.try_next().await?.is_some() {}
        let explanation = explained.explanation(audience).map(|explanation| explanation.timed(timing));
        text_batch(&explanation.map(|explanation| explanation.written(format)).unwrap_or_default(), format)
    };
    Answer {
        query_id,
        schema: text_schema(),
        notices: Vec::new(),
        batches: Box::pin(RecordBatchStreamAdapter::new(text_schema(), stream::once(text))),
        progress,
        fragments,
    }
}

/// Of an answer that is text.
pub(super) fn text_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("plan", DataType::Utf8, false)]))
}

/// One row a line; JSON is one value.
fn text_batch(text: &str, format: ExplainFormat) -> Result<RecordBatch, DataFusionError> {
    let rows = match format {
        ExplainFormat::Text => text.lines().collect(),
        ExplainFormat::Json => vec![text],
    };
    Ok(RecordBatch::try_new(text_schema(), vec![Arc::new(StringArray::from(rows))])?)
}

/// What a recorded stream says last, once its outcome is on disk.
type Ending = BoxFuture<'static, (Result<(), AuditError>, Option<DataFusionError>)>;

/// Rows that end in an audit outcome: completed, failed, or cancelled when nobody waits for the rest.
struct Recorded {
    batches: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    run: Arc<QueryRun>,
    audit: Arc<AuditLog>,
    started: Instant,
    ending: Option<Ending>,
    ended: bool,
}

impl Recorded {
    fn outcome(&self, status: Status, error_code: Option<String>) -> Outcome {
        Outcome {
            query_id: self.run.query_id.clone(),
            status,
            error_code,
            rows_returned: self.run.returned(),
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            rows_read: self.run.rows(),
            keys_disclosed: self
                .run
                .disclosed()
                .into_iter()
                .map(|sent| KeyCount {
                    from: sent.from.into_iter().collect(),
                    to: sent.to,
                    keys: sent.keys,
                    pseudonymised: sent.disclosure == KeyDisclosure::Pseudonymised,
                })
                .collect(),
            statements_run: self.run.statements(),
        }
    }

    fn end(&mut self, status: Status, error: Option<DataFusionError>) {
        let code = error.as_ref().map(|error| own_error(error).map_or("execution", |own| own.code()).to_owned());
        let outcome = self.outcome(status, code);
        // The sources are let go before the disk is waited for.
        self.batches = None;
        self.ended = true;
        let audit = Arc::clone(&self.audit);
        self.ending = Some(async move { (audit.outcome(outcome).await, error) }.boxed());
    }
}

impl Stream for Recorded {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(ending) = &mut self.ending {
                let (written, error) = std::task::ready!(ending.poll_unpin(context));
                self.ending = None;
                return Poll::Ready(match (error, written) {
                    (Some(error), _) => Some(Err(error)),
                    (None, Err(unwritten)) => Some(Err(DataFusionError::External(Box::new(Error::from(unwritten))))),
                    (None, Ok(())) => None,
                });
            }
            let Some(batches) = &mut self.batches else { return Poll::Ready(None) };
            match std::task::ready!(batches.poll_next_unpin(context)) {
                Some(Ok(batch)) => {
                    self.run.add_returned(batch.num_rows());
                    return Poll::Ready(Some(Ok(batch)));
                }
                Some(Err(error)) => self.end(Status::Failed, Some(error)),
                None => {
                    self.run.complete(self.started.elapsed());
                    self.end(Status::Completed, None);
                }
            }
        }
    }
}

impl RecordBatchStream for Recorded {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if !self.ended {
            self.batches = None;
            // Nobody is left to tell of a failure; the verifier finds an intent without an outcome.
            let _ = self.audit.outcome_blocking(self.outcome(Status::Cancelled, Some("cancelled".to_owned())));
        }
    }
}
