//! One side of a join, collected: in memory, or in partitions on disk.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::common::{DataFusionError, JoinSide, internal_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use super::pairs::join_partitions;
use super::partition::{Keys, Partition, Partitioner};
use super::run::{Need, Sides, join_in_memory, leaves_room};
use crate::execution::memory::QueryMemory;
use crate::execution::spill::SpillStore;

/// Takes the rows of one side of a join, and goes to disk when memory is refused.
#[derive(Debug)]
pub struct Collector {
    template: Arc<HashJoinExec>,
    side: JoinSide,
    schema: SchemaRef,
    keys: Keys,
    context: Arc<TaskContext>,
    store: Arc<SpillStore>,
    /// Memory that can be given back by spilling.
    reservation: MemoryReservation,
    counted: RecordBatchMemoryCounter,
    batches: Vec<RecordBatch>,
    rows: usize,
    spilled: Option<Partitioner>,
}

/// One side of a join, complete.
#[derive(Debug)]
pub struct Collected {
    template: Arc<HashJoinExec>,
    side: JoinSide,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    store: Arc<SpillStore>,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    InMemory { batches: Vec<RecordBatch>, need: Need, held: MemoryReservation },
    OnDisk(Vec<Partition>),
}

impl Collector {
    /// Collects `side` of a join; `template` says how it joins, and its children what their columns are.
    ///
    /// # Errors
    /// Where the task runs outside of a query.
    pub fn new(
        template: Arc<HashJoinExec>,
        side: JoinSide,
        context: Arc<TaskContext>,
    ) -> Result<Self, DataFusionError> {
        let memory = context
            .session_config()
            .get_extension::<QueryMemory>()
            .ok_or_else(|| internal_datafusion_err!("a join runs outside of a query"))?;
        let reservation = MemoryConsumer::new("join").with_can_spill(true).register(context.memory_pool());
        Ok(Self {
            schema: schema_of(&template, side),
            keys: keys_of(&template, side),
            template,
            side,
            store: Arc::clone(memory.spill()),
            context,
            reservation,
            counted: RecordBatchMemoryCounter::new(),
            batches: Vec::new(),
            rows: 0,
            spilled: None,
        })
    }

    /// # Errors
    /// Where neither memory nor disk takes the rows.
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), DataFusionError> {
        if self.spilled.is_none() {
            let bytes = self.counted.count_batch(&batch);
            match self.reservation.try_grow(bytes) {
                Ok(()) => {
                    self.rows += batch.num_rows();
                    self.batches.push(batch);
                    return Ok(());
                }
                Err(DataFusionError::ResourcesExhausted(_)) => self.spill()?,
                Err(error) => return Err(error),
            }
        }
        match &mut self.spilled {
            Some(partitioner) => partitioner.push(&batch),
            None => Err(internal_datafusion_err!("a side that spills without partitions")),
        }
    }

    /// Writes what is in memory to disk, so that others may have it.
    ///
    /// # Errors
    /// As [`Collector::push`].
    pub fn spill(&mut self) -> Result<(), DataFusionError> {
        if self.spilled.is_some() {
            return Ok(());
        }
        // Partitions gather what they write in a little of the memory that is about to be free.
        self.reservation.shrink(self.reservation.size() / 2);
        let pool = self.context.memory_pool();
        let mut partitioner = Partitioner::new(self.keys.clone(), Arc::clone(&self.schema), 0, &self.store, pool)?;
        for batch in std::mem::take(&mut self.batches) {
            partitioner.push(&batch)?;
        }
        self.counted = RecordBatchMemoryCounter::new();
        self.reservation.free();
        self.spilled = Some(partitioner);
        Ok(())
    }

    /// # Errors
    /// As [`Collector::push`].
    pub fn finish(mut self) -> Result<Collected, DataFusionError> {
        let held = match self.spilled {
            Some(_) => None,
            None => self.room_for_table(),
        };
        let rows = match held {
            Some((need, held)) => Rows::InMemory { batches: std::mem::take(&mut self.batches), need, held },
            None => {
                self.spill()?;
                let partitioner = self.spilled.take();
                Rows::OnDisk(partitioner.map(Partitioner::finish).transpose()?.unwrap_or_default())
            }
        };
        let Self { template, side, schema, context, store, .. } = self;
        Ok(Collected { template, side, schema, context, store, rows })
    }

    /// Memory for the join itself, which cannot be given back before it ends.
    fn room_for_table(&self) -> Option<(Need, MemoryReservation)> {
        let bytes = self.reservation.size();
        let need = Need::new(bytes, self.rows, self.side, *self.template.join_type());
        self.reservation.free();
        let pool = self.context.memory_pool();
        if !leaves_room(pool, need.peak()) {
            return None;
        }
        let held = MemoryConsumer::new("join table").register(pool);
        held.try_grow(need.peak()).ok()?;
        Some((need, held))
    }
}

impl Collected {
    /// Joins with the rows of the other side.
    ///
    /// # Errors
    /// Where DataFusion refuses the join.
    pub fn join(self, other: SendableRecordBatchStream) -> Result<SendableRecordBatchStream, DataFusionError> {
        let Self { template, side, schema, context, store, rows } = self;
        match rows {
            Rows::InMemory { batches, need, held } => {
                let collected = stream::iter(batches.into_iter().map(Ok));
                let collected = Box::pin(RecordBatchStreamAdapter::new(schema, collected));
                let sides = match side {
                    JoinSide::Right => Sides { left: other, right: collected },
                    JoinSide::Left | JoinSide::None => Sides { left: collected, right: other },
                };
                join_in_memory(&template, sides, side, need, held, &context)
            }
            Rows::OnDisk(partitions) => Ok(join_partitions(template, side, partitions, other, context, store)),
        }
    }
}

pub(super) fn schema_of(template: &HashJoinExec, side: JoinSide) -> SchemaRef {
    match side {
        JoinSide::Right => template.right().schema(),
        JoinSide::Left | JoinSide::None => template.left().schema(),
    }
}

pub(super) fn keys_of(template: &HashJoinExec, side: JoinSide) -> Keys {
    let expressions = template.on().iter().map(|(left, right)| match side {
        JoinSide::Right => Arc::clone(right),
        JoinSide::Left | JoinSide::None => Arc::clone(left),
    });
    Keys { expressions: expressions.collect(), nulls: template.null_equality() }
}
