//! DataFusion's hash join over sides that are there already, in memory that is reserved before.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, JoinSide, JoinType, internal_err};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;

/// The two sides of a join, in the order of its columns.
pub(super) struct Sides {
    pub left: SendableRecordBatchStream,
    pub right: SendableRecordBatchStream,
}

/// What a hash join over one collected side takes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// The collected rows.
    bytes: usize,
    rows: usize,
    /// Rows of the collected side that met no other are an output of their own, made in one piece.
    final_output: bool,
}

impl Need {
    /// `build` is the collected side.
    pub fn new(bytes: usize, rows: usize, build: JoinSide, join_type: JoinType) -> Self {
        let from_left = match build {
            JoinSide::Right => join_type.swap(),
            JoinSide::Left | JoinSide::None => join_type,
        };
        let final_output = matches!(
            from_left,
            JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
        );
        Self { bytes, rows, final_output }
    }

    /// All of it: the rows, a copy of them in one batch, and the hash table.
    pub fn peak(&self) -> usize {
        let buckets = (self.rows.saturating_mul(8) / 7).next_power_of_two();
        let table = buckets.saturating_mul(17).saturating_add(self.rows.saturating_mul(12));
        let matched = self.rows / 8;
        let copy = match self.final_output {
            true => self.bytes.saturating_add(self.rows.saturating_mul(12)),
            false => self.bytes,
        };
        [self.bytes, copy, table, matched].into_iter().fold(0, usize::saturating_add)
    }

    /// What the join gives back once its table stands.
    fn passing(&self) -> usize {
        if self.final_output { 0 } else { self.bytes }
    }
}

/// Whether a query may hold so much more and still leave its other operators something to work with.
pub(super) fn leaves_room(pool: &Arc<dyn MemoryPool>, more: usize) -> bool {
    match pool.memory_limit() {
        MemoryLimit::Finite(limit) => pool.reserved().saturating_add(more) <= limit / 4 * 3,
        MemoryLimit::Infinite | MemoryLimit::Unknown => true,
    }
}

/// Joins the sides as `template` says, with a hash table over `build`; `held` must hold what that needs.
pub(super) fn join_in_memory(
    template: &HashJoinExec,
    sides: Sides,
    build: JoinSide,
    need: Need,
    held: MemoryReservation,
    context: &TaskContext,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let join = template
        .builder()
        // A template's state is shared with every plan made from it until it is told apart.
        .reset_state()
        .with_new_children(vec![leaf(sides.left)?, leaf(sides.right)?])?
        .with_partition_mode(PartitionMode::CollectLeft)
        .recompute_properties()
        .build()?;
    let plan: Arc<dyn ExecutionPlan> = match build {
        JoinSide::Right => join.swap_inputs(PartitionMode::CollectLeft)?,
        JoinSide::Left | JoinSide::None => Arc::new(join),
    };
    // INVARIANT: `held` covers all that the join reserves, so that its own pool need not count. A refusal half-way could
    // not be made good any more, since the streams have been read by then.
    let runtime = RuntimeEnvBuilder::from_runtime_env(&context.runtime_env())
        .with_memory_pool(Arc::new(UnboundedMemoryPool::default()))
        .build_arc()?;
    let own = TaskContext::default().with_session_config(context.session_config().clone()).with_runtime(runtime);
    let joined = plan.execute(0, Arc::new(own))?;
    let schema = joined.schema();
    let mut passing = need.passing();
    let joined = joined.map(move |batch| {
        held.shrink(std::mem::take(&mut passing).min(held.size()));
        batch
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, joined)))
}

/// A stream that is there already, to be read once.
struct Once {
    schema: SchemaRef,
    stream: Mutex<Option<SendableRecordBatchStream>>,
}

fn leaf(stream: SendableRecordBatchStream) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let schema = stream.schema();
    let once = Once { schema: Arc::clone(&schema), stream: Mutex::new(Some(stream)) };
    Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(once)], None, [], false, None)?))
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(|| {
            let again = futures::stream::once(async { internal_err!("a stream is read once") });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), again))
        })
    }
}
