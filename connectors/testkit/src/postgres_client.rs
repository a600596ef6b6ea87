//! One connection to a PostgreSQL server of [`PostgresServer`](crate::PostgresServer), kept open.

use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::postgres_server::text_of;

/// A session as the superuser; it ends when it is dropped.
#[derive(Debug)]
pub struct PostgresClient {
    pub(crate) client: Client,
    pub(crate) driver: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl PostgresClient {
    /// Runs statements.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn execute(&self, sql: &str) -> Result<(), String> {
        self.client.batch_execute(sql).await.map_err(text_of)
    }

    /// The rows of a query as PostgreSQL writes their values; `None` is NULL.
    ///
    /// # Errors
    /// The server's refusal, in its own words.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let messages = self.client.simple_query(sql).await.map_err(text_of)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }
}

impl Drop for PostgresClient {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
