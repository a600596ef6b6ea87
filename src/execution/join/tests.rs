use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures::{StreamExt, TryStreamExt};

use super::SpillingJoinExec;
use crate::error::{Error, ExceededLimit};
use crate::execution::{Memory, MemoryLimits, QueryMemory};

const MB: usize = 1 << 20;

const TYPES: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];

/// The same numbers on every run (Knuth's constants, MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// How often keys repeat.
#[derive(Clone, Copy, Debug)]
enum Spread {
    /// A few rows a key, some keys on one side only, some NULL.
    Even,
    /// One key has most of the rows, and NULL most of the others.
    Skewed,
}

/// Rows of `key`, `part` (a second key), `number` and a text of `width`, in batches.
fn rows(seed: u64, count: usize, width: usize, spread: Spread) -> Vec<RecordBatch> {
    let mut random = Random(seed);
    let mut batches = Vec::new();
    let mut left = count;
    while left > 0 {
        let size = left.min(1000);
        left -= size;
        let mut keys: Vec<Option<String>> = Vec::new();
        for _ in 0..size {
            let key = match (spread, random.below(10)) {
                (Spread::Even, 0) => None,
                (Spread::Even, _) => Some(random.below(count as u64)),
                (Spread::Skewed, 0..=5) => Some(7),
                (Spread::Skewed, 6..=8) => None,
                (Spread::Skewed, _) => Some(random.below(count as u64)),
            };
            keys.push(key.map(|key| format!("key {key:07}")));
        }
        let parts: Int64Array = (0..size).map(|_| (random.below(20) > 0).then_some(1)).collect();
        let numbers: Int64Array = (0..size).map(|_| Some(random.below(100) as i64)).collect();
        let texts: StringArray = (0..size).map(|_| Some(format!("{:0width$}", random.below(1 << 30)))).collect();
        let columns: [(&str, ArrayRef); 4] = [
            ("key", Arc::new(StringArray::from(keys))),
            ("part", Arc::new(parts)),
            ("number", Arc::new(numbers)),
            ("text", Arc::new(texts)),
        ];
        batches
            .push(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap());
    }
    batches
}

fn table(batches: Vec<RecordBatch>) -> Arc<dyn ExecutionPlan> {
    let schema = batches[0].schema();
    MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap()
}

/// `left.number < right.number`, or whatever else compares them.
fn numbers(operator: Operator) -> JoinFilter {
    let schema = table(rows(0, 1, 1, Spread::Even)).schema();
    let number = Arc::new(schema.field(2).clone());
    let fields = vec![Arc::clone(&number), number];
    let column = |position| Arc::new(Column::new("number", position));
    let expression = Arc::new(BinaryExpr::new(column(0), operator, column(1)));
    let indices = vec![ColumnIndex { index: 2, side: JoinSide::Left }, ColumnIndex { index: 2, side: JoinSide::Right }];
    JoinFilter::new(expression, indices, Arc::new(datafusion::arrow::datatypes::Schema::new(fields)))
}

fn hash_join(
    left: Vec<RecordBatch>,
    right: Vec<RecordBatch>,
    join_type: JoinType,
    filter: Option<JoinFilter>,
    nulls: NullEquality,
) -> HashJoinExec {
    let on = ["key", "part"]
        .iter()
        .enumerate()
        .map(|(position, name)| {
            let column = Arc::new(Column::new(name, position));
            (Arc::clone(&column) as _, column as _)
        })
        .collect();
    let (left, right) = (table(left), table(right));
    HashJoinExec::try_new(left, right, on, filter, &join_type, None, PartitionMode::CollectLeft, nulls, false).unwrap()
}

fn memory(query: usize) -> (Memory, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let limits = MemoryLimits { query, process: 1 << 30, spill: 1 << 30, spill_directory: directory.path().to_owned() };
    (Memory::new(&limits).unwrap(), directory)
}

fn context(memory: &Memory) -> (Arc<TaskContext>, Arc<QueryMemory>) {
    let plain = TaskContext::default();
    let query = Arc::new(memory.for_query(&plain.runtime_env()).unwrap());
    let config = plain.session_config().clone().with_extension(Arc::clone(&query));
    (Arc::new(plain.with_session_config(config).with_runtime(Arc::clone(query.runtime()))), query)
}

/// Rows in an order of their own, as bytes that compare.
fn sorted(batches: &[RecordBatch]) -> Vec<Vec<u8>> {
    let Some(first) = batches.first() else { return Vec::new() };
    let batch = concat_batches(&first.schema(), batches).unwrap();
    let fields = batch.columns().iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields).unwrap().convert_columns(batch.columns()).unwrap();
    let mut rows: Vec<Vec<u8>> = rows.iter().map(|row| row.as_ref().to_vec()).collect();
    rows.sort();
    rows
}

async fn assert_same(join: &HashJoinExec, limit: usize, about: &str) {
    let expected = collect(Arc::new(join.builder().build().unwrap()), Arc::new(TaskContext::default())).await.unwrap();
    let (memory, directory) = memory(limit);
    let (context, query) = context(&memory);
    let spilling = SpillingJoinExec::new(join).unwrap();
    let found = query.explained(spilling.execute(0, Arc::clone(&context)).unwrap());
    let schema = found.schema();
    let found: Vec<RecordBatch> = found.try_collect().await.unwrap_or_else(|error| panic!("{about}: {error}"));
    assert!(found.iter().all(|batch| batch.schema() == schema), "{about}");
    let (expected, found) = (sorted(&expected), sorted(&found));
    assert_eq!(expected.len(), found.len(), "{about}: rows");
    assert!(expected == found, "{about}: the rows differ");
    let used = memory.in_use();
    assert!(used.spill_written_bytes > 0, "{about}: nothing went to disk, so that nothing was tested");
    assert_eq!((used.reserved_bytes, used.spilled_bytes, used.spill_files), (0, 0, 0), "{about}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{about}: a spill file has a name");
}

#[tokio::test]
async fn every_join_type_joins_the_same_rows_from_disk() {
    for join_type in TYPES {
        for filter in [None, Some(numbers(Operator::Lt))] {
            let about = format!("{join_type}, filter: {}", filter.is_some());
            let (left, right) = (rows(1, 4000, 150, Spread::Even), rows(2, 5000, 150, Spread::Even));
            let join = hash_join(left, right, join_type, filter, NullEquality::NullEqualsNothing);
            assert_same(&join, MB, &about).await;
        }
    }
}

#[tokio::test]
async fn one_key_that_no_hash_splits_joins_the_same_rows() {
    for join_type in TYPES {
        let about = format!("{join_type}");
        let (left, right) = (rows(3, 400, 4000, Spread::Skewed), rows(4, 300, 4000, Spread::Skewed));
        let filter = Some(numbers(Operator::Eq));
        let join = hash_join(left, right, join_type, filter, NullEquality::NullEqualsNothing);
        assert_same(&join, MB, &about).await;
    }
}

#[tokio::test]
async fn a_small_side_makes_no_passes_over_a_large_one() {
    for join_type in TYPES {
        let (left, right) = (rows(5, 5000, 150, Spread::Skewed), rows(6, 8, 100, Spread::Skewed));
        let join = hash_join(left, right, join_type, None, NullEquality::NullEqualsNothing);
        assert_same(&join, MB, &format!("{join_type}")).await;
    }
}

#[tokio::test]
async fn nulls_that_equal_each_other_meet_in_one_partition() {
    for join_type in TYPES {
        let (left, right) = (rows(7, 5000, 150, Spread::Even), rows(8, 20, 10, Spread::Even));
        let join = hash_join(left, right, join_type, None, NullEquality::NullEqualsNull);
        assert_same(&join, MB, &format!("{join_type}")).await;
    }
}

#[tokio::test]
async fn columns_that_are_left_out_stay_out() {
    for join_type in [JoinType::Inner, JoinType::Left, JoinType::Right, JoinType::Full] {
        let (left, right) = (rows(9, 400, 4000, Spread::Skewed), rows(10, 300, 4000, Spread::Skewed));
        let join = hash_join(left, right, join_type, Some(numbers(Operator::Eq)), NullEquality::NullEqualsNothing);
        let join = join.builder().with_projection(Some(vec![6, 0, 4])).recompute_properties().build().unwrap();
        assert_same(&join, MB, &format!("{join_type}")).await;
    }
}

#[tokio::test]
async fn a_join_that_fits_touches_no_disk() {
    for join_type in TYPES {
        let (left, right) = (rows(11, 1000, 20, Spread::Even), rows(12, 2000, 20, Spread::Even));
        let join = hash_join(left, right, join_type, Some(numbers(Operator::Lt)), NullEquality::NullEqualsNothing);
        let expected = collect(Arc::new(join.builder().build().unwrap()), Arc::default()).await.unwrap();
        let (memory, _directory) = memory(64 * MB);
        let (context, _query) = context(&memory);
        let found = collect(Arc::new(SpillingJoinExec::new(&join).unwrap()), context).await.unwrap();
        assert!(sorted(&expected) == sorted(&found), "{join_type}");
        let used = memory.in_use();
        assert_eq!((used.spill_written_bytes, used.reserved_bytes), (0, 0), "{join_type}");
    }
}

#[tokio::test]
async fn rows_larger_than_memory_are_a_clear_error_and_leaves_nothing() {
    let (left, right) = (rows(13, 200, 40_000, Spread::Even), rows(14, 200, 40_000, Spread::Even));
    let join = hash_join(left, right, JoinType::Full, None, NullEquality::NullEqualsNull);
    // Not even what partitions gather fits beside what is always in use.
    let (memory, _directory) = memory(64 << 10);
    let (context, query) = context(&memory);
    let stream = SpillingJoinExec::new(&join).unwrap().execute(0, context).unwrap();
    let result: Result<Vec<RecordBatch>, _> = query.explained(stream).try_collect().await;
    let error = Error::from(result.unwrap_err());
    assert!(
        matches!(&error, Error::LimitExceeded { limit: ExceededLimit::QueryMemory, .. }),
        "{error} {:?}",
        error.detail()
    );
    assert_eq!(error.detail().as_deref(), Some("a join did not fit into the 64 kB that one query may use"));
    let used = memory.in_use();
    assert_eq!((used.reserved_bytes, used.spilled_bytes, used.spill_files), (0, 0, 0));
}

#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_leaves_nothing() {
    let (left, right) = (rows(15, 12_000, 200, Spread::Even), rows(16, 12_000, 200, Spread::Even));
    let join = hash_join(left, right, JoinType::Inner, None, NullEquality::NullEqualsNothing);
    let directory = tempfile::tempdir().unwrap();
    let spill_directory = directory.path().to_owned();
    let memory =
        Memory::new(&MemoryLimits { query: 2 * MB, process: 1 << 30, spill: 3 << 20, spill_directory }).unwrap();
    let (context, query) = context(&memory);
    let stream = SpillingJoinExec::new(&join).unwrap().execute(0, context).unwrap();
    let result: Result<Vec<RecordBatch>, _> = query.explained(stream).try_collect().await;
    let error = Error::from(result.unwrap_err());
    assert_eq!((error.code(), error.sqlstate()), ("out-of-disk", "53100"));
    assert_eq!(error.detail().as_deref(), Some("all running queries share 3 MB of disk space"));
    let used = memory.in_use();
    assert_eq!((used.reserved_bytes, used.spilled_bytes, used.spill_files), (0, 0, 0));
}

#[tokio::test]
async fn a_dropped_join_leaves_nothing() {
    let (left, right) = (rows(17, 8000, 150, Spread::Even), rows(18, 8000, 150, Spread::Even));
    let join = hash_join(left, right, JoinType::Full, None, NullEquality::NullEqualsNothing);
    let (memory, _directory) = memory(MB);
    let (context, _query) = context(&memory);
    let mut stream = SpillingJoinExec::new(&join).unwrap().execute(0, context).unwrap();
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    assert!(memory.in_use().spill_files > 0);
    drop(stream);
    // A block may still be on its way from the disk, in a thread of its own.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while memory.in_use().spill_files > 0 && std::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    let used = memory.in_use();
    assert_eq!((used.reserved_bytes, used.spilled_bytes, used.spill_files), (0, 0, 0));
}

#[tokio::test]
async fn views_of_text_go_to_disk_and_back() {
    let viewed = |batches: Vec<RecordBatch>| -> Vec<RecordBatch> {
        let cast = |array: &ArrayRef| datafusion::arrow::compute::cast(array, &DataType::Utf8View).unwrap();
        batches
            .into_iter()
            .map(|batch| {
                let columns = [
                    ("key", cast(batch.column(0))),
                    ("part", Arc::clone(batch.column(1))),
                    ("number", Arc::clone(batch.column(2))),
                    ("text", cast(batch.column(3))),
                ];
                RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
            })
            .collect()
    };
    let (left, right) = (rows(19, 5000, 150, Spread::Even), rows(20, 5000, 150, Spread::Even));
    let join = hash_join(viewed(left), viewed(right), JoinType::Full, None, NullEquality::NullEqualsNothing);
    assert_same(&join, MB, "views").await;
}
