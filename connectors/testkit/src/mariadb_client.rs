//! One connection to a MariaDB server of [`MariadbServer`](crate::MariadbServer), kept open.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tokio::sync::Mutex;

use crate::mariadb_server::text_of_row;

/// A session that may do everything; it ends when it is dropped.
#[derive(Debug)]
pub struct MariadbClient {
    connection: Mutex<Conn>,
}

impl MariadbClient {
    pub(crate) fn new(connection: Conn) -> Self {
        Self { connection: Mutex::new(connection) }
    }

    /// Runs statements, separated by semicolons.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn execute(&self, sql: &str) -> Result<(), String> {
        self.connection.lock().await.query_drop(sql).await.map_err(|error| error.to_string())
    }

    /// The rows of a query as MariaDB writes their values; `None` is NULL.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let rows: Vec<Row> = self.connection.lock().await.query(sql).await.map_err(|error| error.to_string())?;
        Ok(rows.into_iter().map(text_of_row).collect())
    }
}
