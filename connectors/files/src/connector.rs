//! The connector: one folder of files, read as an agency's database.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::config::Dialect as SqlDialect;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Parsed;
use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use wayleave_connector_api::{
    BatchStream, Connector, ConnectorError, Dialect, ServerInfo, SourceIdentity, Statement, Table, TableName,
    TableSummary,
};

use crate::decode::conform;
use crate::introspect::{self, OpenTable};
use crate::pausing::{Deadline, with_pauses};
use crate::pool::Pool;
use crate::rename::rename;
use crate::session::{FilesTable, Used, own_error, session};
use crate::{FilesDialect, FilesOptions};

/// Batches that wait to be taken before reading pauses.
const BATCHES_AHEAD: usize = 2;

/// Reads one folder.
#[derive(Debug)]
pub struct FilesConnector {
    options: Arc<FilesOptions>,
    pub(crate) pool: Arc<Pool>,
    dialect: FilesDialect,
}

impl FilesConnector {
    /// A connector for this folder, which it does not touch before it is asked something.
    pub fn new(options: FilesOptions) -> Self {
        let pool = Arc::new(Pool::new(options.max_connections, options.statement_timeout_ms));
        Self::over(options, pool)
    }

    pub(crate) fn over(options: FilesOptions, pool: Arc<Pool>) -> Self {
        Self { options: Arc::new(options), pool, dialect: FilesDialect }
    }

    /// Runs short work on the folder, away from the threads that poll.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FilesOptions) -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let lease = self.pool.lease().await?;
        let options = Arc::clone(&self.options);
        let looking = tokio::task::spawn_blocking(move || {
            let _lease = lease;
            work(&options)
        });
        let limit = Duration::from_millis(self.options.statement_timeout_ms);
        match tokio::time::timeout(limit, looking).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(broken_off()),
            Err(_) => Err(ConnectorError::Timeout { timeout_ms: self.options.statement_timeout_ms }),
        }
    }
}

#[async_trait]
impl Connector for FilesConnector {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    /// The folder itself, wherever links to it stand.
    fn source_identity(&self) -> Option<SourceIdentity> {
        let folder = std::fs::canonicalize(&self.options.path).ok()?;
        let form = format!("{} {:?}", self.options.csv_delimiter, self.options.csv_header);
        Some(SourceIdentity::new(["files".to_owned(), folder.to_str()?.to_owned(), form]))
    }

    async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        self.look(|options| introspect::check(&options.path)).await?;
        Ok(ServerInfo {
            product: "files".to_owned(),
            version: datafusion::DATAFUSION_VERSION.to_owned(),
            encrypted: true,
        })
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        self.look(|options| introspect::tables(&options.path)).await
    }

    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError> {
        let name = name.clone();
        self.look(move |options| introspect::table(options, &name)).await
    }

    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError> {
        let lease = self.pool.lease().await?;
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let options = Arc::clone(&self.options);
        let timeout_ms = options.statement_timeout_ms;
        let at = Instant::now().checked_add(Duration::from_millis(timeout_ms));
        let deadline = Deadline { at, timeout_ms };
        let reader = tokio::spawn(async move {
            let _lease = lease;
            let reading = read(&options, &statement, deadline, &sender);
            match deadline.at {
                Some(at) => timeout_at(at.into(), reading).await.unwrap_or(Err(ConnectorError::Timeout { timeout_ms })),
                None => reading.await,
            }
        });
        let reading = Reading { receiver, reader: Some(reader) };
        Ok(Box::pin(stream::unfold(reading, Reading::next)))
    }
}

/// A result on its way.
struct Reading {
    receiver: mpsc::Receiver<RecordBatch>,
    reader: Option<JoinHandle<Result<(), ConnectorError>>>,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<RecordBatch, ConnectorError>, Self)> {
        if let Some(batch) = self.receiver.recv().await {
            return Some((Ok(batch), self));
        }
        // INVARIANT: a result has ended only when its reader says so; one that failed or panicked closes the channel too.
        let outcome = self.reader.as_mut()?.await;
        self.reader = None;
        match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((Err(error), self)),
            Err(_) => Some((Err(broken_off()), self)),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

fn broken_off() -> ConnectorError {
    ConnectorError::Lost { operator_detail: "the reader of the result broke off".to_owned() }
}

async fn read(
    options: &FilesOptions,
    statement: &Statement,
    deadline: Deadline,
    sender: &mpsc::Sender<RecordBatch>,
) -> Result<(), ConnectorError> {
    let used = Used::default();
    let context = session(options, Arc::clone(&used)).map_err(|error| refused(&error))?;
    let outcome = rows(&context, statement, deadline, sender).await;
    if !matches!(outcome, Err(Failed::Own(_)))
        && let Some(error) = overwritten(&used)
    {
        return Err(error);
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(Failed::Own(error)) => Err(error),
        Err(Failed::There(error)) => match own_error(&error) {
            Some(error) => Err(error),
            None => Err(blame(options, &used).await.unwrap_or_else(|| refused(&error))),
        },
    }
}

/// Ours, or DataFusion's, which may hold a value and is shown to nobody.
enum Failed {
    Own(ConnectorError),
    There(Box<DataFusionError>),
}

impl From<DataFusionError> for Failed {
    fn from(error: DataFusionError) -> Self {
        Self::There(Box::new(error))
    }
}

async fn rows(
    context: &SessionContext,
    statement: &Statement,
    deadline: Deadline,
    sender: &mpsc::Sender<RecordBatch>,
) -> Result<(), Failed> {
    let word = statement.sql.split_whitespace().next().unwrap_or_default();
    if !["SELECT", "WITH", "VALUES"].iter().any(|query| word.eq_ignore_ascii_case(query)) {
        return Err(Failed::Own(ConnectorError::Refused {
            sqlstate: "25006".to_owned(),
            operator_detail: "only a query may run over files".to_owned(),
        }));
    }
    let only_queries = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let state = context.state();
    let mut parsed = state.sql_to_statement(&statement.sql, &SqlDialect::Generic)?;
    if let Parsed::Statement(parsed) = &mut parsed {
        rename(parsed);
    }
    let plan = state.statement_to_plan(parsed).await?;
    only_queries.verify_plan(&plan)?;
    let plan = context.execute_logical_plan(plan).await?.create_physical_plan().await?;
    let mut stream = execute_stream(with_pauses(plan, deadline)?, context.task_ctx())?;
    while let Some(batch) = stream.next().await {
        let batch = conform(&batch?, &statement.schema).map_err(Failed::Own)?;
        sender.send(batch).await.map_err(|_gone| Failed::Own(ConnectorError::Cancelled))?;
    }
    Ok(())
}

/// The first file that somebody wrote to while it was read: what was read of it is of no one moment.
fn overwritten(used: &Used) -> Option<ConnectorError> {
    let used = used.lock().unwrap_or_else(PoisonError::into_inner);
    let file = used.iter().flat_map(|(_, files)| files).find(|file| file.has_changed())?;
    Some(introspect::wrong(format!("the file `{}` was changed while it was read", file.name)))
}

/// The first file of a failed statement that cannot be read to its end.
async fn blame(options: &FilesOptions, used: &Used) -> Option<ConnectorError> {
    let used = used.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let schemas = used.into_iter().flat_map(|(format, files)| files.into_iter().map(move |file| (format, file)));
    for (format, file) in schemas {
        let Ok(schema) = introspect::schema_of(options, format, &file) else {
            return Some(introspect::broken(&file, format, "its columns cannot be told"));
        };
        let context = session(options, Used::default()).ok()?;
        let table = FilesTable::new(OpenTable { format, files: vec![file.clone()], schema }, 1, options);
        let mut stream = context.read_table(Arc::new(table)).ok()?.execute_stream().await.ok()?;
        while let Some(batch) = stream.next().await {
            if batch.is_err() {
                return Some(introspect::broken(&file, format, "a value or a line of it is not as the others are"));
            }
        }
    }
    None
}

/// What DataFusion refuses, by its kind alone in the message.
fn refused(error: &DataFusionError) -> ConnectorError {
    let sqlstate = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::ArrowError(_, _) | DataFusionError::Execution(_) => "22000",
        _ => "42000",
    };
    ConnectorError::Refused { sqlstate: sqlstate.to_owned(), operator_detail: without_values(error) }
}

/// Its first line, and of a failure over rows no word.
fn without_values(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ArrowError(_, _) | DataFusionError::Execution(_) => "a value could not be computed".to_owned(),
        other => other.to_string().lines().next().unwrap_or_default().to_owned(),
    }
}
