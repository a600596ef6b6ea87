//! A result on its way: from a leased connection through the decoder to [`Rows`](wayleave_connector_api::Rows).

use arrow::array::RecordBatch;
use mysql_async::prelude::Queryable;
use tokio::sync::mpsc;
use wayleave_connector_api::ConnectorError;

use crate::decode::Decoder;
use crate::pool::Lease;

/// Runs a prepared statement and reads its result to the end. Ends well only where the server said that it was complete
/// and the transaction ended.
///
/// The driver reads no further while nobody takes what it has: the server waits with the rest.
pub(crate) async fn read_whole(
    mut lease: Lease,
    prepared: mysql_async::Statement,
    mut decoder: Decoder,
    batches: mpsc::Sender<RecordBatch>,
) -> Result<(), ConnectorError> {
    let patience = lease.patience();
    let mut result = patience.answer(lease.driver()?.exec_iter(&prepared, ())).await?;
    decoder.check_width(result.columns_ref().len())?;
    while let Some(row) = patience.answer(result.next()).await? {
        if let Some(batch) = decoder.push(row)? {
            batches.send(batch).await.map_err(|_gone| ConnectorError::Cancelled)?;
        }
    }
    drop(result);
    let last = decoder.finish()?;
    let driver = lease.driver()?;
    patience
        .answer(async {
            driver.close(prepared).await?;
            driver.query_drop("COMMIT").await
        })
        .await?;
    lease.give_back();
    match last {
        Some(batch) => batches.send(batch).await.map_err(|_gone| ConnectorError::Cancelled),
        None => Ok(()),
    }
}
