//! The time in which an operator works, without that of its inputs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, Time};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};

/// Measures one partition of an operator that polls its inputs itself.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    work: Time,
    /// Nanoseconds in which inputs were polled.
    inputs: Arc<AtomicU64>,
}

impl Stopwatch {
    /// It counts into the operator's `elapsed_compute`.
    pub fn new(measured: &BaselineMetrics) -> Self {
        Self { work: measured.elapsed_compute().clone(), inputs: Arc::new(AtomicU64::new(0)) }
    }

    /// An input, whose time is its own.
    pub fn input(&self, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = input.schema();
        let spent = Arc::clone(&self.inputs);
        let timed = Timed {
            polled: input,
            spent: move |time: Duration| {
                spent.fetch_add(nanoseconds(time), Ordering::Relaxed);
            },
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, timed))
    }

    /// What the operator gives: its one output.
    pub fn output<S>(&self, output: S) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> + Send + use<S>
    where
        S: Stream<Item = Result<RecordBatch, DataFusionError>> + Send + 'static,
    {
        let Self { work, inputs } = self.clone();
        let mut before = 0;
        Timed {
            polled: output.boxed(),
            spent: move |time: Duration| {
                let inputs = inputs.load(Ordering::Relaxed);
                work.add_duration(time.saturating_sub(Duration::from_nanos(inputs - before)));
                before = inputs;
            },
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Tells how long each poll took.
struct Timed<S, F> {
    polled: S,
    spent: F,
}

impl<S: Stream + Unpin, F: FnMut(Duration) + Unpin> Stream for Timed<S, F> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let started = Instant::now();
        let next = self.polled.poll_next_unpin(context);
        (self.spent)(started.elapsed());
        next
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use arrow::datatypes::Schema;
    use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
    use futures::stream;

    use super::*;

    fn slow(batches: usize, time: Duration) -> SendableRecordBatchStream {
        let schema = Arc::new(Schema::empty());
        let batch = RecordBatch::new_empty(Arc::clone(&schema));
        let rows = stream::iter((0..batches).map(move |_| {
            thread::sleep(time);
            Ok(batch.clone())
        }));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    #[tokio::test]
    async fn an_operators_time_is_its_own() {
        let measured = BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let watch = Stopwatch::new(&measured);
        let input = watch.input(slow(4, Duration::from_millis(50)));
        let output = watch.output(input.inspect(|_| thread::sleep(Duration::from_millis(5))));
        assert_eq!(output.count().await, 4);
        let work = Duration::from_nanos(measured.elapsed_compute().value() as u64);
        assert!(work >= Duration::from_millis(20), "{work:?}");
        assert!(work < Duration::from_millis(150), "the input's 200 ms are in it: {work:?}");
    }
}
