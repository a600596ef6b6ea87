//! The connector: one agency's SQL Server.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::mpsc;
use wayleave_connector_api::{
    BatchStream, Connector, ConnectorError, Dialect, Rows, ServerInfo, SourceIdentity, Statement, Table, TableName,
    TableSummary,
};

use crate::decode::Decoder;
use crate::driver::Collected;
use crate::pool::{Lease, Origin, Pool};
use crate::reading::Reading;
use crate::statement::{marked, refuse_what_is_no_query};
use crate::{SqlServerDialect, SqlServerOptions, TlsMode, introspect};

/// One agency's SQL Server.
#[derive(Debug)]
pub struct SqlServerConnector {
    pool: Pool,
    dialect: SqlServerDialect,
    identity: SourceIdentity,
}

impl SqlServerConnector {
    /// Takes the settings apart and reads the certificates to trust. It touches no network.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`], which never repeats a part of the URL.
    pub fn new(options: SqlServerOptions) -> Result<Self, ConnectorError> {
        let identity = options.identity()?;
        Ok(Self { pool: Pool::new(options)?, dialect: SqlServerDialect, identity })
    }

    /// Asks something of the catalog, or of the server itself. A connection that died while it was idle is replaced.
    async fn ask(&self, batch: &str) -> Result<Collected, ConnectorError> {
        loop {
            let mut lease = self.pool.lease().await?;
            let mut collected = Collected::default();
            match lease.run(batch, &mut collected).await {
                Ok(()) => {
                    lease.give_back();
                    return Ok(collected);
                }
                Err(ConnectorError::Lost { .. }) if lease.origin == Origin::Reused => self.pool.forget_idle(),
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Connector for SqlServerConnector {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn source_identity(&self) -> Option<SourceIdentity> {
        Some(self.identity.clone())
    }

    async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        self.ask("SELECT CAST(1 AS int) AS [alive];").await?;
        let lease = self.pool.lease().await?;
        let version = lease.server().words();
        lease.give_back();
        let encrypted = self.pool.options().tls == TlsMode::Require;
        Ok(ServerInfo { product: "SQL Server".to_owned(), version, encrypted })
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        introspect::tables(&self.ask(introspect::TABLES).await?)
    }

    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError> {
        introspect::table(name, &self.ask(&introspect::table_sql(name)).await?)
    }

    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError> {
        refuse_what_is_no_query(&statement.sql)?;
        // A schema that nothing can be read in is refused before a connection is taken.
        Decoder::new(Arc::clone(&statement.schema))?;
        let lease = self.pool.lease().await?;
        let pool = self.pool.clone();
        Ok(Box::pin(Rows::read_by(|batches| read(pool, lease, statement, batches))))
    }
}

/// Ends well only where the whole result was read and the server said that it was complete. The server says nothing before
/// it has a packet to send, so that a connection that died while it was idle is found out here, and replaced.
async fn read(
    pool: Pool,
    mut lease: Lease,
    statement: Statement,
    batches: mpsc::Sender<RecordBatch>,
) -> Result<(), ConnectorError> {
    loop {
        let mark = lease.next_mark();
        let batch = marked(&statement.sql, mark, &statement.query_id);
        let mut reading = Reading::new(mark, Decoder::new(Arc::clone(&statement.schema))?, batches.clone());
        match lease.run(&batch, &mut reading).await {
            Ok(()) => {
                let last = reading.finish()?;
                lease.give_back();
                return match last {
                    Some(batch) => batches.send(batch).await.map_err(|_gone| ConnectorError::Cancelled),
                    None => Ok(()),
                };
            }
            Err(ConnectorError::Lost { .. }) if lease.origin == Origin::Reused && reading.is_untouched() => {
                pool.forget_idle();
                drop(lease);
                lease = pool.lease().await?;
            }
            Err(error) => return Err(error),
        }
    }
}
