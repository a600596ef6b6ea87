//! Rows that wait for who takes them: in memory, and on disk past it.
//!
//! One task reads a source to its end; one or several readers take what it brought, each from the first row and at its own
//! speed. A batch is kept until all of them have taken it. Where memory is refused, what waits goes to a sealed file, so that
//! no reader ever holds up the source or another reader.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Notify;

/// When the source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When the foremost reader wants more.
    AsWanted,
    /// At once, whether or not anybody takes the rows yet; from the first that is taken on, when more is wanted.
    AtOnce,
}

/// The rows of one source, for a known number of readers. Dropping it and all its readers drops the source.
pub struct Spool {
    shared: Arc<Shared>,
    /// Ends with the spool.
    _writer: SpawnedTask<()>,
}

impl Spool {
    /// Spools `source` for so many readers.
    pub fn new(source: SendableRecordBatchStream, readers: usize, pace: Pace, context: &TaskContext) -> Arc<Self> {
        let schema = source.schema();
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let shared = Arc::new(Shared {
            spills: SpillManager::new(context.runtime_env(), metrics, Arc::clone(&schema)),
            schema,
            reservation: MemoryConsumer::new("rows read ahead").with_can_spill(true).register(context.memory_pool()),
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                written: 0,
                wanted: match pace {
                    Pace::AsWanted => 0,
                    Pace::AtOnce => ALL,
                },
                ended: None,
                unclaimed: readers,
                readers: BTreeMap::new(),
            }),
            changed: Notify::new(),
            wanted: Notify::new(),
        });
        let writer = SpawnedTask::spawn(write(source, Ending(Arc::clone(&shared))));
        Arc::new(Self { shared, _writer: writer })
    }

    /// All rows from the first one; `None` where as many readers as were announced have come.
    pub fn reader(self: &Arc<Self>) -> Option<SendableRecordBatchStream> {
        let number = {
            let mut state = self.shared.state();
            state.unclaimed = state.unclaimed.checked_sub(1)?;
            let number = state.unclaimed;
            state.readers.insert(number, None);
            number
        };
        let reader = Reader { spool: Arc::clone(self), number, file: None };
        let batches =
            stream::try_unfold(
                reader,
                |mut reader| async move { Ok(reader.next().await?.map(|batch| (batch, reader))) },
            );
        Some(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.shared.schema), batches)))
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").finish_non_exhaustive()
    }
}

struct Shared {
    schema: SchemaRef,
    spills: SpillManager,
    reservation: MemoryReservation,
    state: Mutex<State>,
    /// Told when there is more to read, or the end is known.
    changed: Notify,
    /// Told when a reader wants more, or has gone.
    wanted: Notify,
}

struct State {
    waiting: VecDeque<Waiting>,
    /// Batches that the source has brought: the position of the next one.
    written: u64,
    /// The source is read until so many batches are there.
    wanted: u64,
    ended: Option<Result<(), Arc<DataFusionError>>>,
    /// Readers that have not come yet.
    unclaimed: usize,
    /// The position of the next batch that each of them takes; `None` where it has not asked for the first one.
    readers: BTreeMap<usize, Option<u64>>,
}

/// What the readers want of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    More,
    Nothing,
    /// All have gone.
    NeverAgain,
}

impl State {
    fn demand(&self) -> Demand {
        if self.unclaimed == 0 && self.readers.is_empty() {
            Demand::NeverAgain
        } else if self.wanted > self.written {
            Demand::More
        } else {
            Demand::Nothing
        }
    }
}

/// More batches than there are.
const ALL: u64 = u64::MAX;

/// What some reader has still to take.
struct Waiting {
    /// The position of its first batch.
    from: u64,
    rows: Rows,
}

enum Rows {
    InMemory { batch: RecordBatch, bytes: usize },
    OnDisk { file: Arc<dyn SpillFile>, batches: u64 },
}

impl Waiting {
    fn until(&self) -> u64 {
        self.from.saturating_add(match &self.rows {
            Rows::InMemory { .. } => 1,
            Rows::OnDisk { batches, .. } => *batches,
        })
    }
}

impl Shared {
    /// Every change of the state is complete before anything that could panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch of the source: into memory, or, where there is none, to disk with all that waits in memory.
    fn add(&self, batch: RecordBatch) -> Result<(), DataFusionError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let bytes = get_record_batch_memory_size(&batch);
        let fits = self.reservation.try_grow(bytes).is_ok();
        let mut state = self.state();
        let from = state.written;
        state.waiting.push_back(Waiting { from, rows: Rows::InMemory { batch, bytes } });
        state.written = from.saturating_add(1);
        if !fits {
            self.spill(&mut state)?;
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Writes what waits in memory to one file. It is the end of what waits: what went before is on disk already.
    fn spill(&self, state: &mut State) -> Result<(), DataFusionError> {
        let in_memory = state.waiting.iter().position(|waiting| matches!(waiting.rows, Rows::InMemory { .. }));
        let Some(first) = in_memory else { return Ok(()) };
        let spilled = state.waiting.split_off(first);
        let from = spilled.front().map_or(state.written, |waiting| waiting.from);
        let batches: Vec<RecordBatch> = spilled
            .into_iter()
            .filter_map(|waiting| match waiting.rows {
                Rows::InMemory { batch, .. } => Some(batch),
                Rows::OnDisk { .. } => None,
            })
            .collect();
        let count = u64::try_from(batches.len()).unwrap_or(u64::MAX);
        let file = self.spills.spill_record_batch_and_finish(&batches, "rows read ahead")?;
        drop(batches);
        self.reservation.free();
        if let Some(file) = file {
            state.waiting.push_back(Waiting { from, rows: Rows::OnDisk { file, batches: count } });
        }
        Ok(())
    }

    /// Lets go of what every reader has taken.
    fn release(&self, state: &mut State) {
        let claimed = state.readers.values().map(|position| position.unwrap_or(0)).min();
        let taken = match (claimed, state.unclaimed) {
            (Some(least), 0) => least,
            (None, 0) => u64::MAX,
            (_, _) => 0,
        };
        while state.waiting.front().is_some_and(|waiting| waiting.until() <= taken) {
            if let Some(Waiting { rows: Rows::InMemory { bytes, .. }, .. }) = state.waiting.pop_front() {
                self.reservation.shrink(bytes.min(self.reservation.size()));
            }
        }
    }
}

/// Reads the source for as long as there may be a reader.
async fn write(mut source: SendableRecordBatchStream, ending: Ending) {
    let shared = Arc::clone(&ending.0);
    loop {
        // Told before it is looked for, so that none is missed.
        let asked = shared.wanted.notified();
        let demand = shared.state().demand();
        match demand {
            Demand::More => {}
            Demand::Nothing => {
                asked.await;
                continue;
            }
            Demand::NeverAgain => return ending.with(Ok(())),
        }
        let added = match source.next().await {
            Some(Ok(batch)) => shared.add(batch),
            Some(Err(error)) => Err(error),
            None => return ending.with(Ok(())),
        };
        if let Err(error) = added {
            return ending.with(Err(error));
        }
    }
}

/// Sees to it that a source that breaks off never looks like one that has come to its end.
struct Ending(Arc<Shared>);

impl Ending {
    fn with(self, outcome: Result<(), DataFusionError>) {
        self.set(outcome);
    }

    fn set(&self, outcome: Result<(), DataFusionError>) {
        let mut state = self.0.state();
        state.ended.get_or_insert_with(|| outcome.map_err(Arc::new));
        drop(state);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.set(Err(DataFusionError::Internal("the reader of a source broke off".to_owned())));
    }
}

/// One reader, and where it is.
struct Reader {
    spool: Arc<Spool>,
    number: usize,
    /// The file that is being read, by the position of its first batch.
    file: Option<(u64, SendableRecordBatchStream)>,
}

/// What a reader finds.
enum Found {
    Batch(RecordBatch),
    File { from: u64, file: Arc<dyn SpillFile> },
    Nothing,
    End,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        let spool = Arc::clone(&self.spool);
        let shared = &spool.shared;
        loop {
            let told = shared.changed.notified();
            let (position, found) = self.look(shared)?;
            match found {
                Found::Batch(batch) => {
                    self.advance(shared, position);
                    return Ok(Some(batch));
                }
                Found::File { from, file } => {
                    let batch = self.read_file(shared, position, from, file).await?;
                    self.advance(shared, position);
                    return Ok(Some(batch));
                }
                Found::End => return Ok(None),
                Found::Nothing => {
                    shared.wanted.notify_one();
                    told.await;
                }
            }
        }
    }

    fn look(&self, shared: &Shared) -> Result<(u64, Found), DataFusionError> {
        let mut state = shared.state();
        let position = match state.readers.insert(self.number, Some(0)).flatten() {
            Some(position) => position,
            None => {
                // What was read ahead is enough to begin with: from here on the rows need not wait on a disk.
                if state.wanted == ALL {
                    state.wanted = state.written;
                }
                0
            }
        };
        state.readers.insert(self.number, Some(position));
        let here = state.waiting.iter().find(|waiting| waiting.from <= position && position < waiting.until());
        if let Some(Waiting { from, rows }) = here {
            return Ok((
                position,
                match rows {
                    Rows::InMemory { batch, .. } => Found::Batch(batch.clone()),
                    Rows::OnDisk { file, .. } => Found::File { from: *from, file: Arc::clone(file) },
                },
            ));
        }
        // Rows that came before a failure are taken first, as they would be without a spool.
        Ok((
            position,
            match &state.ended {
                Some(Ok(())) => Found::End,
                Some(Err(error)) => return Err(DataFusionError::Shared(Arc::clone(error))),
                None => {
                    state.wanted = state.wanted.max(position.saturating_add(1));
                    Found::Nothing
                }
            },
        ))
    }

    fn advance(&self, shared: &Shared, position: u64) {
        let mut state = shared.state();
        state.readers.insert(self.number, Some(position.saturating_add(1)));
        shared.release(&mut state);
    }

    async fn read_file(
        &mut self,
        shared: &Shared,
        position: u64,
        from: u64,
        file: Arc<dyn SpillFile>,
    ) -> Result<RecordBatch, DataFusionError> {
        let missing = || DataFusionError::Internal("a spill file is shorter than it was written".to_owned());
        let mut batches = match self.file.take() {
            Some((open, batches)) if open == from => batches,
            _ => {
                let mut batches = shared.spills.read_spill_as_stream(file, None)?;
                // Those that it took while they were still in memory.
                for _ in from..position {
                    batches.try_next().await?.ok_or_else(missing)?;
                }
                batches
            }
        };
        let batch = batches.try_next().await?.ok_or_else(missing)?;
        self.file = Some((from, batches));
        Ok(batch)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let shared = &self.spool.shared;
        let mut state = shared.state();
        state.readers.remove(&self.number);
        shared.release(&mut state);
        drop(state);
        shared.wanted.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use datafusion::arrow::array::Int32Array;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    use super::*;

    const BATCHES: i32 = 20;

    fn batch(number: i32) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![number; 100])) as _)]).unwrap()
    }

    /// A source of numbered batches that counts how many were asked of it, and may fail at the end.
    fn source(read: &Arc<AtomicUsize>, fails: bool) -> SendableRecordBatchStream {
        let read = Arc::clone(read);
        let end = fails.then(|| Err(DataFusionError::Execution("broken".to_owned())));
        let batches = (0..BATCHES).map(move |number| {
            read.fetch_add(1, Ordering::Relaxed);
            Ok(batch(number))
        });
        Box::pin(RecordBatchStreamAdapter::new(batch(0).schema(), stream::iter(batches.chain(end))))
    }

    fn context(bytes: usize) -> (TaskContext, Arc<dyn MemoryPool>) {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool)).build_arc().unwrap();
        (TaskContext::default().with_runtime(runtime), pool)
    }

    fn numbers(batches: &[RecordBatch]) -> Vec<i32> {
        let first = |batch: &RecordBatch| {
            batch.column(0).as_any().downcast_ref::<Int32Array>().map(|column| column.value(0)).unwrap()
        };
        batches.iter().map(first).collect()
    }

    #[tokio::test]
    async fn each_reader_has_every_row_and_the_source_is_read_once() {
        // Enough for all, for a few batches, for none.
        for bytes in [1 << 20, 1_500, 10] {
            let (context, pool) = context(bytes);
            let read = Arc::new(AtomicUsize::new(0));
            let spool = Spool::new(source(&read, false), 2, Pace::AsWanted, &context);
            let mut first = spool.reader().unwrap();
            let second = spool.reader().unwrap();
            assert!(spool.reader().is_none());
            // The second takes up some while they are in memory, the rest from disk.
            let mut ahead = Vec::new();
            for _ in 0..3 {
                ahead.push(first.try_next().await.unwrap().unwrap());
            }
            assert!(read.load(Ordering::Relaxed) <= 4, "{}", read.load(Ordering::Relaxed));
            let behind: Vec<RecordBatch> = second.try_collect().await.unwrap();
            let rest: Vec<RecordBatch> = first.try_collect().await.unwrap();
            ahead.extend(rest);
            let expected: Vec<i32> = (0..BATCHES).collect();
            assert_eq!((numbers(&ahead), numbers(&behind)), (expected.clone(), expected));
            assert_eq!(read.load(Ordering::Relaxed), 20);
            assert_eq!(pool.reserved(), 0);
        }
    }

    #[tokio::test]
    async fn a_source_is_read_ahead_of_its_reader() {
        let (context, pool) = context(1_500);
        let read = Arc::new(AtomicUsize::new(0));
        let spool = Spool::new(source(&read, false), 1, Pace::AtOnce, &context);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while spool.shared.state().ended.is_none() {
            assert!(std::time::Instant::now() < deadline, "it waits for its reader");
            tokio::task::yield_now().await;
        }
        let batches: Vec<RecordBatch> = spool.reader().unwrap().try_collect().await.unwrap();
        assert_eq!(numbers(&batches), (0..BATCHES).collect::<Vec<_>>());
        assert_eq!(pool.reserved(), 0);
    }

    #[tokio::test]
    async fn every_reader_is_told_of_a_failure_and_none_takes_it_for_the_end() {
        let (context, _pool) = context(1 << 20);
        let spool = Spool::new(source(&Arc::default(), true), 2, Pace::AsWanted, &context);
        for _ in 0..2 {
            let read: Result<Vec<RecordBatch>, _> = spool.reader().unwrap().try_collect().await;
            assert!(read.unwrap_err().to_string().contains("broken"));
        }
        let panics = stream::once(async { panic!("a decoder's mistake") });
        let panics = Box::pin(RecordBatchStreamAdapter::new(batch(0).schema(), panics));
        let spool = Spool::new(panics, 1, Pace::AsWanted, &context);
        let read: Result<Vec<RecordBatch>, _> = spool.reader().unwrap().try_collect().await;
        assert!(read.unwrap_err().to_string().contains("broke off"));
    }

    #[tokio::test]
    async fn a_source_that_nobody_wants_any_more_is_dropped() {
        let (context, pool) = context(1 << 20);
        let held = Arc::new(());
        let watched = Arc::downgrade(&held);
        let batches = stream::iter(0..BATCHES).map(move |number| {
            let _held = &held;
            Ok(batch(number))
        });
        let source = Box::pin(RecordBatchStreamAdapter::new(batch(0).schema(), batches));
        let spool = Spool::new(source, 1, Pace::AsWanted, &context);
        let mut reader = spool.reader().unwrap();
        reader.try_next().await.unwrap().unwrap();
        drop(reader);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while watched.upgrade().is_some() {
            assert!(std::time::Instant::now() < deadline, "the source is still held");
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.reserved(), 0);
    }
}
