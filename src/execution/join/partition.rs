//! Rows on disk, in partitions by a hash of their join keys.

use std::io::Cursor;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, make_array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::utils::memory::get_record_batch_memory_size;
use datafusion::common::{DataFusionError, internal_datafusion_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::utils::evaluate_expressions_to_arrays;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;

use crate::execution::spill::{Block, SealedFile, SpillStore};

/// Partitions that one pass over rows makes.
const FAN_OUT: usize = 16;

/// Most bytes that all partitions of one side gather before they write.
const MOST_GATHERED: usize = 16 << 20;
const LEAST_GATHERED: usize = 64 << 10;

/// Rows in one block at most: what reading a block brings into memory at once.
const ROWS_IN_BLOCK: usize = 8192;

/// Bytes in one block at most, however few rows that are.
const BYTES_IN_BLOCK: usize = 1 << 20;

/// How the rows of one side are told apart.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub expressions: Vec<Arc<dyn PhysicalExpr>>,
    pub nulls: Nulls,
}

/// Where rows without a key go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nulls {
    /// NULL equals NULL: by its hash, like any key.
    Hashed,
    /// NULL equals nothing, so that any partition is right.
    Spread,
    /// Into a partition of their own, after all others: NOT IN asks whether there are any.
    Apart,
}

/// Writes rows of one side to disk.
#[derive(Debug)]
pub(super) struct Partitioner {
    keys: Keys,
    schema: SchemaRef,
    hashing: RandomState,
    gathering: Vec<Gathering>,
    gathered: usize,
    room: MemoryReservation,
    /// Where the next row without a key goes, where those are spread.
    spread: usize,
}

#[derive(Debug)]
struct Gathering {
    batches: Vec<RecordBatch>,
    bytes: usize,
    rows: usize,
    written: Partition,
}

/// Rows of one side on disk.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub schema: SchemaRef,
    file: Arc<SealedFile>,
    blocks: Vec<WrittenBlock>,
}

/// A block of rows on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenBlock {
    block: Block,
    pub rows: usize,
    /// In memory.
    pub bytes: usize,
}

impl Partitioner {
    /// Each `depth` hashes in its own way, so that a partition of one is split by the next.
    ///
    /// # Errors
    /// Where not even the least memory for writing is left, or no file can be made.
    pub fn new(
        keys: Keys,
        schema: SchemaRef,
        depth: u32,
        store: &Arc<SpillStore>,
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<Self, DataFusionError> {
        let room = room(pool)?;
        let file = Arc::new(store.create().map_err(DataFusionError::IoError)?);
        let gathering = || Gathering {
            batches: Vec::new(),
            bytes: 0,
            rows: 0,
            written: Partition { schema: Arc::clone(&schema), file: Arc::clone(&file), blocks: Vec::new() },
        };
        let apart = usize::from(keys.nulls == Nulls::Apart);
        let gathering = std::iter::repeat_with(gathering).take(FAN_OUT + apart).collect();
        let hashing = RandomState::with_seed(0x7761_796c_6561_7665 ^ u64::from(depth).rotate_left(32));
        Ok(Self { keys, schema, hashing, gathering, gathered: 0, room, spread: 0 })
    }

    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.partition_rows(batch)?;
        for (partition, rows) in rows.into_iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            let taken = take_record_batch(batch, &UInt32Array::from(rows))?;
            let bytes = get_record_batch_memory_size(&taken);
            let gathering = self.partition(partition)?;
            gathering.rows += taken.num_rows();
            gathering.bytes += bytes;
            gathering.batches.push(taken);
            let full = gathering.rows >= ROWS_IN_BLOCK;
            self.gathered += bytes;
            if full {
                self.write(partition)?;
            }
        }
        while self.gathered > self.room.size() {
            let fullest = self.gathering.iter().enumerate().max_by_key(|(_, gathering)| gathering.bytes);
            let Some(fullest) = fullest.map(|(partition, _)| partition) else { break };
            self.write(fullest)?;
        }
        Ok(())
    }

    /// What was written, a partition each; equal keys have equal positions, whatever side they are of.
    pub fn finish(mut self) -> Result<Vec<Partition>, DataFusionError> {
        for partition in 0..self.gathering.len() {
            self.write(partition)?;
        }
        Ok(self.gathering.into_iter().map(|gathering| gathering.written).collect())
    }

    fn partition(&mut self, partition: usize) -> Result<&mut Gathering, DataFusionError> {
        self.gathering.get_mut(partition).ok_or_else(|| internal_datafusion_err!("a partition that is not there"))
    }

    /// The rows of each partition.
    fn partition_rows(&mut self, batch: &RecordBatch) -> Result<Vec<Vec<u32>>, DataFusionError> {
        let keys = evaluate_expressions_to_arrays(&self.keys.expressions, batch)?;
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes(&keys, &self.hashing, &mut hashes)?;
        let without_key = match self.keys.nulls {
            Nulls::Spread | Nulls::Apart => keys.iter().filter_map(|key| key.logical_nulls()).collect(),
            Nulls::Hashed => Vec::new(),
        };
        let mut rows = vec![Vec::new(); self.gathering.len()];
        let fan_out = u64::try_from(FAN_OUT).unwrap_or(u64::MAX);
        for (row, hash) in hashes.into_iter().enumerate() {
            let partition = if without_key.iter().any(|nulls| nulls.is_null(row)) {
                match self.keys.nulls {
                    Nulls::Apart => FAN_OUT,
                    Nulls::Spread | Nulls::Hashed => {
                        self.spread = (self.spread + 1) % FAN_OUT;
                        self.spread
                    }
                }
            } else {
                // The upper half: the hash table below looks at the lower one.
                usize::try_from((hash >> 32) % fan_out).unwrap_or_default()
            };
            if let Some(rows) = rows.get_mut(partition) {
                rows.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
        Ok(rows)
    }

    fn write(&mut self, partition: usize) -> Result<(), DataFusionError> {
        let schema = Arc::clone(&self.schema);
        let bytes_in_block = (self.room.size() / 4).min(BYTES_IN_BLOCK);
        let gathering = self.partition(partition)?;
        let (batches, bytes) = (std::mem::take(&mut gathering.batches), std::mem::take(&mut gathering.bytes));
        gathering.rows = 0;
        let batch = concat_batches(&schema, &batches)?;
        drop(batches);
        let row_bytes = (bytes / batch.num_rows().max(1)).max(1);
        let rows_in_block = (bytes_in_block / row_bytes).clamp(1, ROWS_IN_BLOCK);
        let mut offset = 0;
        while offset < batch.num_rows() {
            let rows = rows_in_block.min(batch.num_rows() - offset);
            let encoded = encode(&compact(batch.slice(offset, rows))?)?;
            let bytes = encoded.len();
            let block = gathering.written.file.append(encoded).map_err(DataFusionError::IoError)?;
            gathering.written.blocks.push(WrittenBlock { block, rows, bytes });
            offset += rows;
        }
        self.gathered = self.gathered.saturating_sub(bytes);
        Ok(())
    }
}

/// Memory in which partitions gather what they write.
fn room(pool: &Arc<dyn MemoryPool>) -> Result<MemoryReservation, DataFusionError> {
    let reservation = MemoryConsumer::new("join partitions").register(pool);
    let mut wanted = match pool.memory_limit() {
        MemoryLimit::Finite(limit) => (limit / 16).clamp(LEAST_GATHERED, MOST_GATHERED),
        MemoryLimit::Infinite | MemoryLimit::Unknown => MOST_GATHERED,
    };
    loop {
        match reservation.try_grow(wanted) {
            Ok(()) => return Ok(reservation),
            Err(refusal) if wanted <= LEAST_GATHERED => return Err(refusal),
            Err(_) => wanted = (wanted / 2).max(LEAST_GATHERED),
        }
    }
}

impl Partition {
    pub fn rows(&self) -> usize {
        self.blocks.iter().map(|block| block.rows).sum()
    }

    /// In memory.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes).sum()
    }

    pub fn blocks(&self) -> &[WrittenBlock] {
        &self.blocks
    }

    /// Some of its blocks alone.
    pub fn of_blocks(&self, blocks: Vec<WrittenBlock>) -> Self {
        Self { schema: Arc::clone(&self.schema), file: Arc::clone(&self.file), blocks }
    }

    /// Its rows, a block at a time.
    pub fn read(&self) -> SendableRecordBatchStream {
        let rows = stream::try_unfold((self.clone(), 0), |(partition, next)| async move {
            let Some(written) = partition.blocks.get(next).copied() else { return Ok(None) };
            let file = Arc::clone(&partition.file);
            let batch = tokio::task::spawn_blocking(move || {
                decode(file.read(written.block).map_err(DataFusionError::IoError)?)
            })
            .await
            .map_err(|error| DataFusionError::External(Box::new(error)))??;
            Ok::<_, DataFusionError>(Some((batch, (partition, next + 1))))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

/// The batch without what its views do not show.
fn compact(batch: RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => make_array(column.as_string_view().gc().into_data()),
            DataType::BinaryView => make_array(column.as_binary_view().gc().into_data()),
            _ => Arc::clone(column),
        })
        .collect();
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

fn encode(batch: &RecordBatch) -> Result<Vec<u8>, DataFusionError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}

fn decode(bytes: Vec<u8>) -> Result<RecordBatch, DataFusionError> {
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
    reader
        .next()
        .ok_or_else(|| internal_datafusion_err!("a spilled block without rows"))?
        .map_err(DataFusionError::from)
}
