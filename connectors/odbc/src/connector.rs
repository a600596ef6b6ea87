//! The connector: one data source behind an ODBC driver.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream;
use odbc_api::handles::{AsStatementRef, Statement as _};
use odbc_api::{Connection, Cursor};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use wayleave_connector_api::{
    BatchStream, Connector, ConnectorError, Dialect, ServerInfo, SourceIdentity, Statement, Table, TableName,
    TableSummary,
};

use crate::cancel::{Control, StopOnDrop};
use crate::decode::{Failed, RowDecoder};
use crate::pool::{Pool, broken_off, refusal};
use crate::query::refuse_what_is_no_query;
use crate::{OdbcDialect, OdbcOptions, introspect};

/// Rows of the first batch, so that it comes soon, and of all others.
const FIRST_BATCH_ROWS: usize = 256;
const BATCH_ROWS: usize = 8_192;

/// Batches that wait to be taken before reading pauses.
const BATCHES_AHEAD: usize = 2;

/// Reads one data source.
#[derive(Debug)]
pub struct OdbcConnector {
    pub(crate) pool: Arc<Pool>,
    dialect: OdbcDialect,
}

impl OdbcConnector {
    /// A connector to this data source, which it does not touch before it is asked something.
    pub fn new(options: OdbcOptions) -> Self {
        let dialect = OdbcDialect::default();
        Self { pool: Pool::new(options, dialect.clone()), dialect }
    }
}

#[async_trait]
impl Connector for OdbcConnector {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    /// Two connection strings may lead to one database in ways that only a driver knows.
    fn source_identity(&self) -> Option<SourceIdentity> {
        None
    }

    async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        self.pool.run(introspect::server).await
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        self.pool.run(introspect::tables).await
    }

    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError> {
        let name = name.clone();
        self.pool.run(move |connection| introspect::table(connection, &name)).await
    }

    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError> {
        refuse_what_is_no_query(&statement.sql)?;
        let lease = self.pool.lease().await?;
        let control = self.pool.control();
        let stop = StopOnDrop(Arc::clone(&control));
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let late = tokio::spawn(stop_when_late(Arc::clone(&control)));
        let waiting = Handle::current();
        let reader = tokio::task::spawn_blocking(move || {
            lease.with(|connection| read(connection, &control, &statement, &sender, &waiting))
        });
        let reading = Reading { receiver, reader: Some(reader), late, _stop: stop };
        Ok(Box::pin(stream::unfold(reading, Reading::next)))
    }
}

async fn stop_when_late(control: Arc<Control>) {
    if let Some(deadline) = control.deadline {
        tokio::time::sleep_until(deadline.into()).await;
        control.stop();
    }
}

/// A result on its way.
struct Reading {
    receiver: mpsc::Receiver<RecordBatch>,
    reader: Option<JoinHandle<Result<(), ConnectorError>>>,
    late: JoinHandle<()>,
    _stop: StopOnDrop,
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
        self.late.abort();
    }
}

/// Runs on a thread of its own, from sending the statement to its last row.
fn read(
    connection: &Connection<'static>,
    control: &Control,
    statement: &Statement,
    sender: &mpsc::Sender<RecordBatch>,
    waiting: &Handle,
) -> Result<(), ConnectorError> {
    let mut decoder = RowDecoder::new(&statement.schema)?;
    let refused = |error: odbc_api::Error| refusal(&error, Some(control));
    let mut prepared = connection.preallocate().map_err(refused)?;
    let handle = prepared.as_stmt_ref().as_sys();
    let _armed = control.arm(handle)?;
    let Some(mut cursor) = prepared.execute(&statement.sql, ()).map_err(refused)? else {
        return Err(ConnectorError::Protocol { reason: "the statement has no result".to_owned() });
    };
    let send = |batch: RecordBatch| {
        let sending = sender.send(batch);
        let sent = match control.deadline {
            Some(deadline) => waiting.block_on(async { timeout_at(deadline.into(), sending).await }),
            None => Ok(waiting.block_on(sending)),
        };
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ConnectorError::Cancelled),
            Err(_) => Err(ConnectorError::Timeout { timeout_ms: control.timeout_ms }),
        }
    };
    let mut batch_rows = FIRST_BATCH_ROWS;
    loop {
        control.check()?;
        let Some(mut row) = cursor.next_row().map_err(refused)? else { break };
        decoder.push(&mut row).map_err(|(position, failed)| match failed {
            Failed::Driver(error) => refused(error),
            Failed::Value => ConnectorError::Decode {
                position,
                expected: position
                    .checked_sub(1)
                    .and_then(|index| statement.schema.fields().get(index))
                    .map_or_else(String::new, |field| field.data_type().to_string()),
            },
        })?;
        if decoder.rows() >= batch_rows {
            send(decoder.finish()?)?;
            batch_rows = BATCH_ROWS;
        }
    }
    if decoder.rows() > 0 {
        send(decoder.finish()?)?;
    }
    Ok(())
}
