//! Joining partition with partition, within the memory that there is.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, JoinSide, JoinType};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext, TryEmitter, async_try_stream};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;

use super::collect::{keys_of, schema_of};
use super::partition::{Partition, Partitioner, WrittenBlock};
use super::run::{Need, Sides, join_in_memory, leaves_room};
use crate::execution::spill::SpillStore;

/// How often rows are partitioned anew before a partition counts as one that cannot be split.
const DEEPEST: u32 = 4;

type Emitter = TryEmitter<RecordBatch, DataFusionError>;

/// Rows of both sides whose keys have the same hash, as far as it has been looked at.
struct Pair {
    left: Partition,
    right: Partition,
    depth: u32,
    splits: Splits,
}

/// Whether hashing once more promises smaller partitions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Splits {
    Perhaps,
    No,
}

struct PairJoin {
    template: Arc<HashJoinExec>,
    context: Arc<TaskContext>,
    store: Arc<SpillStore>,
    emitter: Emitter,
}

/// Joins a side that is on disk with the rows of the other.
pub(super) fn join_partitions(
    template: Arc<HashJoinExec>,
    side: JoinSide,
    partitions: Vec<Partition>,
    mut other: SendableRecordBatchStream,
    context: Arc<TaskContext>,
    store: Arc<SpillStore>,
) -> SendableRecordBatchStream {
    let schema = template.schema();
    let joined = async_try_stream(move |emitter| async move {
        let other_side = side.negate();
        let schema = schema_of(&template, other_side);
        let pool = context.memory_pool();
        let mut partitioner = Partitioner::new(keys_of(&template, other_side), schema, 0, &store, pool)?;
        while let Some(batch) = other.try_next().await? {
            partitioner.push(&batch)?;
        }
        // The other side's operators may let go of what they hold.
        drop(other);
        let others = partitioner.finish()?;
        let mut pairs: Vec<Pair> = partitions
            .into_iter()
            .zip(others)
            .map(|(collected, other)| {
                let (left, right) = match side {
                    JoinSide::Right => (other, collected),
                    JoinSide::Left | JoinSide::None => (collected, other),
                };
                Pair { left, right, depth: 0, splits: Splits::Perhaps }
            })
            .collect();
        let mut join = PairJoin { template, context, store, emitter };
        while let Some(pair) = pairs.pop() {
            pairs.extend(join.pair(pair).await?);
        }
        Ok(())
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, joined))
}

impl PairJoin {
    /// Joins a pair, or gives the smaller pairs to join in its place.
    async fn pair(&mut self, pair: Pair) -> Result<Vec<Pair>, DataFusionError> {
        let (left, right) = (pair.left.rows(), pair.right.rows());
        let none = match self.template.join_type() {
            JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => left == 0 || right == 0,
            JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => left == 0,
            JoinType::Right | JoinType::RightAnti | JoinType::RightMark => right == 0,
            JoinType::Full => left == 0 && right == 0,
        };
        if none {
            return Ok(Vec::new());
        }
        let build = smaller(&pair);
        let need = self.need(side_of(&pair, build), build);
        let held = self.reservation();
        if leaves_room(self.pool(), need.peak()) && held.try_grow(need.peak()).is_ok() {
            let sides = Sides { left: pair.left.read(), right: pair.right.read() };
            let joined = join_in_memory(&self.template, sides, build, need, held, &self.context)?;
            self.emit(joined).await?;
            return Ok(Vec::new());
        }
        drop(held);
        if pair.splits == Splits::Perhaps && pair.depth < DEEPEST {
            return self.split(&pair, build).await;
        }
        self.in_passes(&pair).await?;
        Ok(Vec::new())
    }

    /// Both sides in smaller partitions, by another hash.
    async fn split(&self, pair: &Pair, build: JoinSide) -> Result<Vec<Pair>, DataFusionError> {
        let depth = pair.depth + 1;
        let left = self.partitioned(&pair.left, JoinSide::Left, depth).await?;
        let right = self.partitioned(&pair.right, JoinSide::Right, depth).await?;
        let whole = side_of(pair, build).bytes();
        let pairs = left.into_iter().zip(right).map(|(left, right)| {
            let mut smaller = Pair { left, right, depth, splits: Splits::Perhaps };
            // One key, or few: whatever the hash, most rows stay together.
            if side_of(&smaller, build).bytes() > whole / 4 * 3 {
                smaller.splits = Splits::No;
            }
            smaller
        });
        Ok(pairs.collect())
    }

    async fn partitioned(
        &self,
        rows: &Partition,
        side: JoinSide,
        depth: u32,
    ) -> Result<Vec<Partition>, DataFusionError> {
        let keys = keys_of(&self.template, side);
        let mut partitioner = Partitioner::new(keys, Arc::clone(&rows.schema), depth, &self.store, self.pool())?;
        let mut rows = rows.read();
        while let Some(batch) = rows.try_next().await? {
            partitioner.push(&batch)?;
        }
        partitioner.finish()
    }

    /// Joins a part of one side after the other with the whole of the other side. A row must not be in two parts where it
    /// matters whether it met any row, so the side whose rows are kept is the one in parts.
    async fn in_passes(&mut self, pair: &Pair) -> Result<(), DataFusionError> {
        let whole = Arc::clone(&self.template);
        match whole.join_type() {
            JoinType::Inner => self.passes(&whole, pair, smaller(pair), Output::AsItIs).await,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                self.passes(&whole, pair, JoinSide::Left, Output::AsItIs).await
            }
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                self.passes(&whole, pair, JoinSide::Right, Output::AsItIs).await
            }
            JoinType::Full => {
                let left = whole.builder().reset_state().with_type(JoinType::Left).recompute_properties().build()?;
                self.passes(&left, pair, JoinSide::Left, Output::AsItIs).await?;
                let only_right = whole
                    .builder()
                    .reset_state()
                    .with_type(JoinType::RightAnti)
                    .with_projection(None)
                    .recompute_properties()
                    .build()?;
                self.passes(&only_right, pair, JoinSide::Right, Output::RightOnly).await
            }
        }
    }

    async fn passes(
        &mut self,
        template: &HashJoinExec,
        pair: &Pair,
        build: JoinSide,
        output: Output,
    ) -> Result<(), DataFusionError> {
        let parted = side_of(pair, build).clone();
        let mut rest: &[WrittenBlock] = parted.blocks();
        while !rest.is_empty() {
            let (taken, need, held) = self.part(rest, build, *template.join_type())?;
            let (now, later) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            rest = later;
            let part = parted.of_blocks(now.to_vec());
            let sides = match build {
                JoinSide::Right => Sides { left: pair.left.read(), right: part.read() },
                JoinSide::Left | JoinSide::None => Sides { left: part.read(), right: pair.right.read() },
            };
            let mut joined = join_in_memory(template, sides, build, need, held, &self.context)?;
            while let Some(batch) = joined.try_next().await? {
                let batch = match output {
                    Output::AsItIs => RecordBatch::try_new_with_options(
                        self.template.schema(),
                        batch.columns().to_vec(),
                        &RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
                    )?,
                    Output::RightOnly => self.without_left(&batch)?,
                };
                self.emitter.emit(batch).await;
            }
        }
        Ok(())
    }

    /// As many blocks as memory takes at once, at least one.
    fn part(
        &self,
        blocks: &[WrittenBlock],
        build: JoinSide,
        join_type: JoinType,
    ) -> Result<(usize, Need, MemoryReservation), DataFusionError> {
        let held = self.reservation();
        let (mut taken, mut bytes, mut rows) = (0, 0_usize, 0_usize);
        let mut need = Need::new(0, 0, build, join_type);
        for block in blocks {
            bytes = bytes.saturating_add(block.bytes);
            rows = rows.saturating_add(block.rows);
            let with_block = Need::new(bytes, rows, build, join_type);
            let more = with_block.peak().saturating_sub(held.size());
            if taken > 0 && !leaves_room(self.pool(), more) {
                break;
            }
            match held.try_grow(more) {
                Ok(()) => {}
                Err(refusal) if taken == 0 => return Err(refusal),
                Err(_) => break,
            }
            need = with_block;
            taken += 1;
        }
        Ok((taken, need, held))
    }

    /// A row of the right side that met none of the left.
    fn without_left(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let schema: SchemaRef = self.template.schema();
        let left = self.template.left().schema();
        let left_fields = left.fields().len();
        let column = |position: usize| -> Option<ArrayRef> {
            match position.checked_sub(left_fields) {
                Some(position) => batch.columns().get(position).cloned(),
                None => Some(new_null_array(left.fields().get(position)?.data_type(), batch.num_rows())),
            }
        };
        let columns: Option<Vec<ArrayRef>> = match self.template.projection.as_deref() {
            Some(projection) => projection.iter().map(|position| column(*position)).collect(),
            None => (0..schema.fields().len()).map(column).collect(),
        };
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns.unwrap_or_default(), &options)?)
    }

    async fn emit(&mut self, mut joined: SendableRecordBatchStream) -> Result<(), DataFusionError> {
        while let Some(batch) = joined.try_next().await? {
            self.emitter.emit(batch).await;
        }
        Ok(())
    }

    fn need(&self, side: &Partition, build: JoinSide) -> Need {
        Need::new(side.bytes(), side.rows(), build, *self.template.join_type())
    }

    fn pool(&self) -> &Arc<dyn MemoryPool> {
        self.context.memory_pool()
    }

    fn reservation(&self) -> MemoryReservation {
        MemoryConsumer::new("join table").register(self.pool())
    }
}

/// What the batches of a pass are.
#[derive(Clone, Copy)]
enum Output {
    AsItIs,
    /// The right side's columns of rows that met no other.
    RightOnly,
}

fn smaller(pair: &Pair) -> JoinSide {
    if pair.right.bytes() < pair.left.bytes() { JoinSide::Right } else { JoinSide::Left }
}

fn side_of(pair: &Pair, side: JoinSide) -> &Partition {
    match side {
        JoinSide::Right => &pair.right,
        JoinSide::Left | JoinSide::None => &pair.left,
    }
}
