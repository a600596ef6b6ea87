//! The connector: one agency's MariaDB or MySQL server.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use mysql_async::prelude::Queryable;
use wayleave_connector_api::{
    BatchStream, Connector, ConnectorError, Dialect, Rows, ServerInfo, SourceIdentity, Statement, Table, TableName,
    TableSummary,
};

use crate::decode::Decoder;
use crate::pool::{Lease, Origin, Pool};
use crate::reading::read_whole;
use crate::{MysqlDialect, MysqlOptions, TlsMode, introspect};

/// One agency's MariaDB or MySQL server.
#[derive(Debug)]
pub struct MysqlConnector {
    pool: Pool,
    dialect: MysqlDialect,
    identity: SourceIdentity,
}

impl MysqlConnector {
    /// Takes the settings apart and reads the certificates to trust. It touches no network.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`], which never repeats a part of the URL.
    pub fn new(options: MysqlOptions) -> Result<Self, ConnectorError> {
        let identity = options.identity()?;
        Ok(Self { pool: Pool::new(options)?, dialect: MysqlDialect, identity })
    }

    /// Asks the server. A connection that died while it was idle (the server was restarted, or ended it) is replaced:
    /// nothing has been answered by then, so that asking again is safe.
    async fn ask<T>(
        &self,
        question: impl for<'a> Fn(&'a mut Lease) -> BoxFuture<'a, Result<T, ConnectorError>> + Send + Sync,
    ) -> Result<(T, Lease), ConnectorError> {
        loop {
            let mut lease = self.pool.lease().await?;
            match question(&mut lease).await {
                Ok(answer) => return Ok((answer, lease)),
                Err(ConnectorError::Lost { .. }) if lease.origin == Origin::Reused => {
                    lease.is_lost();
                    self.pool.forget_idle();
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Connector for MysqlConnector {
    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn source_identity(&self) -> Option<SourceIdentity> {
        Some(self.identity.clone())
    }

    async fn ping(&self) -> Result<ServerInfo, ConnectorError> {
        let ((), lease) = self.ask(|lease| alive(lease).boxed()).await?;
        let server = lease.server()?;
        let (product, version) = (server.product.name().to_owned(), server.version.clone());
        lease.give_back();
        Ok(ServerInfo { product, version, encrypted: self.pool.options().tls == TlsMode::Require })
    }

    async fn tables(&self) -> Result<Vec<TableSummary>, ConnectorError> {
        let (tables, lease) = self.ask(|lease| introspect::tables(lease).boxed()).await?;
        lease.give_back();
        Ok(tables)
    }

    async fn table(&self, name: &TableName) -> Result<Option<Table>, ConnectorError> {
        let (table, lease) = self
            .ask(|lease| {
                let name = name.clone();
                async move { introspect::table(lease, &name).await }.boxed()
            })
            .await?;
        lease.give_back();
        Ok(table)
    }

    async fn query(&self, statement: Statement) -> Result<BatchStream, ConnectorError> {
        let decoder = Decoder::new(Arc::clone(&statement.schema))?;
        let (prepared, lease) = self
            .ask(|lease| {
                let sql = format!("{} {}", name_of(&statement), statement.sql);
                async move { begin(lease, sql).await }.boxed()
            })
            .await?;
        Ok(Box::pin(Rows::read_by(|batches| read_whole(lease, prepared, decoder, batches))))
    }
}

async fn alive(lease: &mut Lease) -> Result<(), ConnectorError> {
    let patience = lease.patience();
    patience.answer(lease.driver()?.ping()).await
}

/// The name by which the server's own list of processes shall know a statement, which is all that reaches the agency's logs
/// of who asks. The id is not trusted to be one.
fn name_of(statement: &Statement) -> String {
    let id: String = statement.query_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    format!("/* wayleave {id} */")
}

/// Opens the transaction and has the statement parsed. Running it is left to the reader: the server says nothing before
/// it has rows to send, and other sources shall not wait for that. Only a single statement can be prepared.
async fn begin(lease: &mut Lease, sql: String) -> Result<mysql_async::Statement, ConnectorError> {
    let patience = lease.patience();
    let begin = lease.server()?.begin_sql(&sql);
    lease.runs();
    let driver = lease.driver()?;
    let prepared = patience
        .answer(async {
            driver.query_drop(begin).await?;
            driver.prep(sql).await
        })
        .await?;
    if prepared.columns().is_empty() {
        return Err(ConnectorError::Refused {
            sqlstate: "25006".to_owned(),
            operator_detail: "only a query may run on this connection".to_owned(),
        });
    }
    // The driver has parameters of its own, and puts a mark where it believes to see one.
    if prepared.num_params() > 0 {
        return Err(ConnectorError::Protocol { reason: "the statement came out with a parameter".to_owned() });
    }
    Ok(prepared)
}
