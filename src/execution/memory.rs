//! Memory that queries may reserve: a pool for each query, inside what the process may use.
//!
//! What operators hold between two batches is reserved; the batch in their hands is not. An operator that is refused more
//! spills where it can, and otherwise fails its own query.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigOptions;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::spill::SpillStore;
use crate::error::{Error, ExceededLimit};

/// Partitions in which one operator works at most.
const MOST_PARTITIONS: usize = 4;

/// What a process and each of its queries may use, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    pub query: usize,
    pub process: usize,
    /// On disk, all queries together.
    pub spill: u64,
    /// An existing directory.
    pub spill_directory: PathBuf,
}

/// The memory of one process, of which queries take their part.
#[derive(Debug)]
pub struct Memory {
    query_limit: usize,
    process: Arc<ProcessPool>,
    spill: Arc<SpillStore>,
    disk: Arc<DiskManager>,
}

/// What all running queries use at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    pub reserved_bytes: usize,
    pub spilled_bytes: u64,
    pub spill_files: usize,
    /// Bytes written to spill files since the process started.
    pub spill_written_bytes: u64,
}

impl Memory {
    /// # Errors
    /// [`Error::Execution`] where the machine gives no random numbers for the key of spill files.
    pub fn new(limits: &MemoryLimits) -> Result<Self, Error> {
        let spill = Arc::new(SpillStore::new(limits.spill_directory.clone(), limits.spill)?);
        let disk = DiskManager::builder()
            .with_temp_file_factory(Arc::clone(&spill).as_factory())
            .build()
            .map_err(|error| Error::Execution { message: error.strip_backtrace() })?;
        Ok(Self {
            query_limit: limits.query,
            process: Arc::new(ProcessPool { limit: limits.process, used: AtomicUsize::new(0) }),
            spill,
            disk: Arc::new(disk),
        })
    }

    pub fn in_use(&self) -> MemoryUse {
        MemoryUse {
            reserved_bytes: self.process.used.load(Ordering::Relaxed),
            spilled_bytes: self.spill.bytes(),
            spill_files: self.spill.files(),
            spill_written_bytes: self.spill.written(),
        }
    }

    /// Settings under which operators keep to this memory.
    pub fn configure(&self, options: &mut ConfigOptions) {
        // A sort keeps this back for the merge of what it spilled: a tenth at most, or small limits would leave nothing.
        let kept_back = options.execution.sort_spill_reservation_bytes.min(self.query_limit / 10);
        options.execution.sort_spill_reservation_bytes = kept_back;
        // Each partition of an operator has its own part of the memory, and spills the sooner the more there are.
        options.execution.target_partitions = options.execution.target_partitions.min(MOST_PARTITIONS);
        // Sources take no filters that appear while a query runs.
        options.optimizer.enable_dynamic_filter_pushdown = false;
        options.optimizer.enable_join_dynamic_filter_pushdown = false;
        options.optimizer.enable_topk_dynamic_filter_pushdown = false;
        options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    }

    /// A part of this memory for one query, over everything else that `base` has.
    ///
    /// # Errors
    /// [`Error::Execution`] where DataFusion refuses the runtime.
    pub fn for_query(&self, base: &RuntimeEnv) -> Result<QueryMemory, Error> {
        let pool = Arc::new(QueryPool {
            fair: FairSpillPool::new(self.query_limit),
            limit: self.query_limit,
            process: Arc::clone(&self.process),
            refused: Mutex::new(None),
        });
        let shared: Arc<dyn MemoryPool> = Arc::<QueryPool>::clone(&pool);
        let mut runtime = RuntimeEnvBuilder::from_runtime_env(base).with_memory_pool(shared);
        runtime.disk_manager = Some(Arc::clone(&self.disk));
        let runtime = runtime.build_arc().map_err(|error| Error::Execution { message: error.strip_backtrace() })?;
        Ok(QueryMemory { pool, runtime, spill: Arc::clone(&self.spill) })
    }
}

/// The memory of one query.
#[derive(Debug)]
pub struct QueryMemory {
    pool: Arc<QueryPool>,
    runtime: Arc<RuntimeEnv>,
    spill: Arc<SpillStore>,
}

impl QueryMemory {
    pub fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    pub(super) fn spill(&self) -> &Arc<SpillStore> {
        &self.spill
    }

    /// The same rows; where memory ended, an error that names the limit.
    pub fn explained(&self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let pool = Arc::clone(&self.pool);
        let schema = batches.schema();
        let batches = batches.map(move |batch| batch.map_err(|error| pool.explained(error)));
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

/// What all queries have reserved together.
#[derive(Debug)]
struct ProcessPool {
    limit: usize,
    used: AtomicUsize,
}

impl ProcessPool {
    fn try_take(&self, bytes: usize) -> bool {
        let taken = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

/// A query's pool: fair between its operators that can spill, and inside what the process has left.
struct QueryPool {
    fair: FairSpillPool,
    limit: usize,
    process: Arc<ProcessPool>,
    /// The limit that was hit last, and by which operator.
    refused: Mutex<Option<(ExceededLimit, String)>>,
}

impl QueryPool {
    fn refuse(&self, limit: ExceededLimit, reservation: &MemoryReservation) {
        let mut refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *refused = Some((limit, operator(reservation.consumer().name()).to_owned()));
    }

    fn explained(&self, error: DataFusionError) -> DataFusionError {
        if !matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
            return error;
        }
        let refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (limit, operator) = refused.unwrap_or((ExceededLimit::QueryMemory, "the query".to_owned()));
        let bytes = match limit {
            ExceededLimit::ProcessMemory => self.process.limit,
            ExceededLimit::QueryMemory | ExceededLimit::SpillDisk => self.limit,
        };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        DataFusionError::External(Box::new(Error::LimitExceeded { limit, bytes, operator }))
    }
}

/// An operator in words, from the name under which it reserves memory.
fn operator(consumer: &str) -> &'static str {
    let words = [
        ("Join", "a join"),
        ("join", "a join"),
        ("Sort", "a sort"),
        ("TopK", "a sort"),
        ("Aggregate", "an aggregate"),
        ("Hash", "an aggregate"),
        ("Window", "a window function"),
    ];
    words.into_iter().find(|(part, _)| consumer.contains(part)).map_or("an operator", |(_, word)| word)
}

impl fmt::Debug for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryPool").field("limit", &self.limit).field("reserved", &self.reserved()).finish()
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query(limit: {} bytes)", self.limit)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &'static str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.fair.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.fair.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.fair.grow(reservation, additional);
        self.process.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.fair.shrink(reservation, shrink);
        self.process.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        if let Err(refusal) = self.fair.try_grow(reservation, additional) {
            self.refuse(ExceededLimit::QueryMemory, reservation);
            return Err(refusal);
        }
        if !self.process.try_take(additional) {
            self.fair.shrink(reservation, additional);
            self.refuse(ExceededLimit::ProcessMemory, reservation);
            return Err(DataFusionError::ResourcesExhausted("the process has no memory left".to_owned()));
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.fair.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}
