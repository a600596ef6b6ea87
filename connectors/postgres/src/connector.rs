//! The connector: one agency's PostgreSQL server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wayleave_connector_api::{
    BatchStream, Connector, ConnectorError, Dialect, ServerInfo, SourceIdentity, Statement, Table, TableName,
    TableSummary,
};

use crate::decode::Decoder;
use crate::pool::{Lease, Origin, Pool, SILENCE_GRACE, statement_error};
use crate::{PostgresDialect, PostgresOptions, TlsMode, introspect};

/// Batches that wait for the consumer, beside the one that is being read.
const BATCHES_AHEAD: usize = 2;

/// One agency's PostgreSQL server.
#[derive(Debug)]
pub struct PostgresConnector {
    pool: Pool,
    dialect: PostgresDialect,
    identity: SourceIdentity,
}

impl PostgresConnector {
    /// Takes the settings apart and reads the certificates to trust. It touches no network.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`], which never repeats a part of the URL.
    pub fn new(options: PostgresOptions) -> Result<Self, ConnectorError> {
        let identity = options.identity()?;
        Ok(Self { pool: Pool::new(options)?, dialect: PostgresDialect, identity })
    }

    /// Asks something of the catalog. A connection that died while it was idle (the server was restarted) is replaced:
    /// nothing has been answered by then, so that asking again is safe.
    async fn ask<T>(
        &self,
        question: impl for<'a> Fn(&'a Lease) -> BoxFuture<'a, Result<T, ConnectorError>> + Send + Sync,
    ) -> Result<T, ConnectorError> {
        loop {
            let lease = self.pool.lease().await?;
            match question(&lease).await {
                Ok(answer) => {
                    lease.give_back();
                    return Ok(answer);
                }
                Err(ConnectorError::Lost { .. }) if lease.origin == Origin::Reused => self.pool.forget_idle(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins a statement's transaction and its result; an idle connection that died is replaced as in [`Self::ask`].
    async fn begin(&self, statement: &Statement) -> Result<Reading, ConnectorError> {
        loop {
            let lease = self.pool.lease().await?;
            let started = Instant::now();
            match begin_on(&lease, statement).await {
                Ok(prepared) => return Ok(Reading { prepared, lease, started }),
                Err(ConnectorError::Lost { .. }) if lease.origin == Origin::Reused => self.pool.forget_idle(),
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Connector for PostgresConnector {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn source_identity(&self) -> Option<SourceIdentity> {
        Some(self.identity.clone())
    }

    async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        let version = self.ask(|lease| server_version(lease).boxed()).await?;
        let encrypted = self.pool.options().tls == TlsMode::Require;
        Ok(ServerInfo { product: "PostgreSQL".to_owned(), version, encrypted })
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        self.ask(|lease| introspect::tables(lease).boxed()).await
    }

    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError> {
        self.ask(|lease| {
            let name = name.clone();
            async move { introspect::table(lease, &name).await }.boxed()
        })
        .await
    }

    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError> {
        let decoder = Decoder::new(Arc::clone(&statement.schema))?;
        let reading = self.begin(&statement).await?;
        let timeout_ms = self.pool.options().statement_timeout_ms;
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let reader = Some(tokio::spawn(reading.run(decoder, sender, timeout_ms)));
        Ok(Box::pin(Rows { receiver, reader }))
    }
}

async fn server_version(lease: &Lease) -> Result<String, ConnectorError> {
    let row = lease.answer(lease.client()?.query_one("SELECT current_setting('server_version')", &[])).await?;
    row.try_get(0).map_err(|_| ConnectorError::Protocol { reason: "the server's version is no text".to_owned() })
}

/// Opens the transaction and has the statement parsed, in one round trip. Running it is left to the reader: the server
/// says nothing before it has eight kilobytes to send, and other sources shall not wait for that.
async fn begin_on(lease: &Lease, statement: &Statement) -> Result<tokio_postgres::Statement, ConnectorError> {
    // All that reaches the agency's own log of who asks. The id is not trusted to be one.
    let id: String = statement.query_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL application_name = 'wayleave {id}'");
    let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", statement.sql);
    let client = lease.client()?;
    // Polled, and so sent, in this order.
    let both = async { futures::try_join!(client.batch_execute(&begin), client.prepare(&copy)) };
    let ((), prepared) = lease.answer(both).await?;
    Ok(prepared)
}

/// A result being read; runs as a task of its own, so that reading and decoding go on while the consumer works.
struct Reading {
    prepared: tokio_postgres::Statement,
    lease: Lease,
    started: Instant,
}

impl Reading {
    /// Ends well only where the whole result was read, the server said that it was complete, and the transaction ended.
    /// The driver reads no further while nobody takes what it has: the server waits with the rest.
    async fn run(
        self,
        mut decoder: Decoder,
        batches: mpsc::Sender<RecordBatch>,
        timeout_ms: u64,
    ) -> Result<(), ConnectorError> {
        let Self { prepared, lease, started } = self;
        let mut copy = Box::pin(lease.answer(lease.client()?.copy_out(&prepared)).await?);
        let mut full = Vec::new();
        loop {
            // Most chunks are here already, and a timer for each row would cost more than the row.
            let next = match copy.next().now_or_never() {
                Some(next) => next,
                None if timeout_ms == 0 => copy.next().await,
                None => timeout(Duration::from_millis(timeout_ms).saturating_add(SILENCE_GRACE), copy.next())
                    .await
                    .map_err(|_elapsed| ConnectorError::Timeout { timeout_ms })?,
            };
            let Some(chunk) = next else { break };
            decoder.feed(&chunk.map_err(|error| statement_error(&error, timeout_ms, started))?, &mut full)?;
            for batch in full.drain(..) {
                if batches.send(batch).await.is_err() {
                    return Err(ConnectorError::Cancelled);
                }
            }
        }
        let last = decoder.finish()?;
        // A failure after the last row leaves the transaction aborted, in which COMMIT alone would go through.
        lease.answer(lease.client()?.batch_execute("SELECT 1; COMMIT")).await?;
        drop(prepared);
        lease.give_back();
        let Some(batch) = last else { return Ok(()) };
        batches.send(batch).await.map_err(|_gone| ConnectorError::Cancelled)
    }
}

/// The result's batches, then how the reader ended.
struct Rows {
    receiver: mpsc::Receiver<RecordBatch>,
    /// `None` once its end was told.
    reader: Option<JoinHandle<Result<(), ConnectorError>>>,
}

impl Stream for Rows {
    type Item = Result<RecordBatch, ConnectorError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.receiver.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(batch)) => return Poll::Ready(Some(Ok(batch))),
            Poll::Ready(None) => {}
        }
        let Some(reader) = self.reader.as_mut() else { return Poll::Ready(None) };
        let ended = std::task::ready!(Pin::new(reader).poll(context));
        self.reader = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Err(error)),
            // INVARIANT: a reader that broke off never looks like a short, successful result.
            Err(_panicked) => {
                Some(Err(ConnectorError::Protocol { reason: "the reader of the result broke off".to_owned() }))
            }
        })
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            // Its lease goes with it, which cancels the statement and closes the connection.
            reader.abort();
        }
    }
}
