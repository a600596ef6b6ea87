//! What a run measures of each fragment: rows, bytes, statements, times, keys.
//!
//! It counts every row that comes, withheld ones included: who may be told is EXPLAIN's to say.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};

use super::run::QueryRun;

/// What one fragment has brought so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub rows: u64,
    /// Bytes of the rows' values in Arrow's form, without what buffers hold in reserve.
    pub bytes: u64,
    pub statements: u64,
    /// Distinct keys that were sent with it.
    pub keys: u64,
    /// From its start to its first row.
    pub first_row: Option<Duration>,
    /// From its start to the last that came.
    pub total: Duration,
    /// Whether it was read to its end.
    pub finished: bool,
    /// Whether how it was read followed a source's statistics, which count withheld rows too.
    pub by_statistics: bool,
}

/// A fragment's measurements in the making.
#[derive(Debug)]
pub(super) struct Meter {
    started: Instant,
    opened: u32,
    ended: u32,
    measured: Measured,
}

impl Default for Meter {
    fn default() -> Self {
        Self { started: Instant::now(), opened: 0, ended: 0, measured: Measured::default() }
    }
}

impl Meter {
    pub fn measured(&self) -> Measured {
        Measured { finished: self.opened > 0 && self.opened == self.ended, ..self.measured }
    }

    pub fn statement(&mut self) {
        self.measured.statements = self.measured.statements.saturating_add(1);
    }

    pub fn keys(&mut self, count: u64) {
        self.measured.keys = self.measured.keys.saturating_add(count);
    }

    pub fn by_statistics(&mut self) {
        self.measured.by_statistics = true;
    }

    fn opened(&mut self) {
        // Several parts of one fragment count from the first.
        if self.opened == 0 {
            self.started = Instant::now();
        }
        self.opened = self.opened.saturating_add(1);
    }

    fn batch(&mut self, batch: &RecordBatch) {
        let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        self.measured.total = self.started.elapsed();
        if rows > 0 && self.measured.first_row.is_none() {
            self.measured.first_row = Some(self.measured.total);
        }
        self.measured.rows = self.measured.rows.saturating_add(rows);
        self.measured.bytes = self.measured.bytes.saturating_add(bytes_of(batch));
    }

    fn ended(&mut self) {
        self.ended = self.ended.saturating_add(1);
        self.measured.total = self.started.elapsed();
    }
}

fn bytes_of(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    let bytes =
        columns.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).fold(0, usize::saturating_add);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The same rows, measured as they pass.
pub(super) fn metered(run: Arc<QueryRun>, fragment: u64, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    Box::pin(Metered { rows, run, fragment, state: State::New })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Open,
    Ended,
}

struct Metered {
    rows: SendableRecordBatchStream,
    run: Arc<QueryRun>,
    fragment: u64,
    state: State,
}

impl Stream for Metered {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.state == State::New {
            self.state = State::Open;
            self.run.meter(self.fragment, Meter::opened);
        }
        let next = std::task::ready!(self.rows.poll_next_unpin(context));
        match &next {
            Some(Ok(batch)) => self.run.meter(self.fragment, |meter| meter.batch(batch)),
            None if self.state == State::Open => {
                self.state = State::Ended;
                self.run.meter(self.fragment, Meter::ended);
            }
            Some(Err(_)) | None => {}
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Metered {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::StringArray;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;

    use super::*;

    fn batch(values: &[&str]) -> RecordBatch {
        RecordBatch::try_from_iter([("c", Arc::new(StringArray::from(values.to_vec())) as _)]).unwrap()
    }

    fn rows(run: &Arc<QueryRun>, batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
        let schema = batch(&[]).schema();
        let batches = stream::iter(batches.into_iter().map(Ok));
        metered(Arc::clone(run), 7, Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    #[tokio::test]
    async fn two_parts_of_a_fragment_are_one() {
        let run = Arc::new(QueryRun::new("q"));
        assert_eq!(run.measured(7), None);
        let first: Vec<_> = rows(&run, vec![batch(&["a", "bc"]), batch(&[])]).collect().await;
        let mut second = rows(&run, vec![batch(&["d"])]);
        assert!(second.next().await.is_some());
        let half_way = run.measured(7).unwrap();
        assert_eq!((first.len(), half_way.rows, half_way.finished), (2, 3, false));
        assert!(second.next().await.is_none());
        let end = run.measured(7).unwrap();
        assert!(end.finished && end.first_row.is_some_and(|first| first <= end.total), "{end:?}");
        // A slice counts what it holds, not the buffers that it points into.
        let whole = run.measured(7).unwrap().bytes;
        let _: Vec<_> =
            rows(&run, vec![batch(&["a long text that is not in the slice", "d"]).slice(1, 1)]).collect().await;
        assert!(run.measured(7).unwrap().bytes - whole < 20);
    }
}
