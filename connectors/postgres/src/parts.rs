//! One large table read over several connections.
//!
//! The leader, on whose connection the fragment would be read whole, reads the table slice by slice. Helpers on connections
//! that nobody else wants take further slices from the same list, in the leader's snapshot, so that all see one state; they
//! go as soon as somebody waits for their connection. A helper that cannot begin is no failure: the others read its share.
//!
//! INVARIANT: every slice is read to its end exactly once, or the whole fails. No page can change its place meanwhile: the
//! leader's transaction holds its locks on every table until all parts are read, and it waits for none but its own. A helper
//! waits for a lock only briefly: an exclusive one may itself be waiting for the leader.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_postgres::SimpleQueryMessage;
use wayleave_connector_api::{ConnectorError, Dialect, Divisible, Slice, Statement, TableName, Value};

use crate::PostgresDialect;
use crate::decode::Decoder;
use crate::pool::{Lease, Pool};
use crate::reading::{Sink, commit, copy};

/// Into how many slices the smallest table that is divided falls; larger ones have more, of the same size.
const SLICES: u64 = 8;

/// How much more work than the whole the parts may be to the server, by its own estimate. What an index finds, or what
/// prepares a large table for a join again in each part, is read in fewer parts or whole.
const COSTLIER: f64 = 1.5;

const LOCK_TIMEOUT_MS: u64 = 100;
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A question for a table's size: heaps only, and from version 14 on, since which a range of `ctid` reads no other page.
pub(crate) fn extent_sql(table: &TableName) -> String {
    let literal = |text: &str| PostgresDialect.literal(&Value::Text(text.to_owned()));
    format!(
        "SELECT pg_relation_size(c.oid) / current_setting('block_size')::int8, pg_table_size(c.oid) \
         FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_am AS a ON a.oid = c.relam \
         WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'm') AND a.amname = 'heap' \
         AND NOT c.relhassubclass AND current_setting('server_version_num')::int4 >= 140000",
        literal(&table.schema),
        literal(&table.table)
    )
}

/// How large a table is that can be divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pages: u64,
    /// TOAST included.
    bytes: u64,
}

impl Extent {
    /// The answer to [`extent_sql`]; no row where the relation has no pages of its own.
    pub(crate) fn of(answer: &[SimpleQueryMessage]) -> Option<Self> {
        answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let number = |column| row.try_get(column).ok()??.parse().ok();
                Some(Self { pages: number(0)?, bytes: number(1)? })
            }
            _ => None,
        })
    }
}

/// A division that pays, not begun yet. The leader's transaction is open.
pub(crate) struct Division {
    leader: Lease,
    work: Arc<Work>,
    pool: Pool,
    /// Whether each slice is a connection's whole part.
    is_coarse: bool,
}

impl Division {
    /// Decides whether the leader's statement is read in parts, and gives the leader back where it is not.
    pub(crate) async fn plan(
        leader: Lease,
        pool: &Pool,
        statement: &Statement,
        divisible: Divisible,
        extent: Extent,
        transaction: impl FnOnce(&str) -> String,
    ) -> Result<Result<Self, Lease>, ConnectorError> {
        let options = pool.options();
        let slice_bytes = (options.divide_from_bytes / SLICES).max(1);
        let slice_pages = extent.pages.saturating_mul(slice_bytes).checked_div(extent.bytes).unwrap_or(0).max(1);
        let mut slices = Slices::new(extent.pages, slice_pages);
        if extent.bytes < options.divide_from_bytes || slices.count() < 2 {
            return Ok(Err(leader));
        }
        let part_sql = |slices: &Slices| format!("EXPLAIN {}", divisible.sql(&PostgresDialect, slices.first()));
        let (whole_sql, first_sql) = (format!("EXPLAIN {}", statement.sql), part_sql(&slices));
        let client = leader.client()?;
        // Explaining takes the locks as well.
        let answers = async {
            futures::try_join!(
                client.query(&whole_sql, &[]),
                client.query(&first_sql, &[]),
                client.query_one("SELECT pg_export_snapshot()", &[])
            )
        };
        let (whole, part, snapshot) = leader.answer(answers).await?;
        let (Some(whole), Some(mut part)) = (cost_of(&whole), cost_of(&part)) else { return Ok(Err(leader)) };
        // What each part prepares again for itself, such as the other side of a join, costs less in fewer parts.
        let connections = u64::try_from(options.scan_connections.min(options.max_connections)).unwrap_or(u64::MAX);
        let mut is_coarse = false;
        for parts in [connections, 2] {
            if part * slices.count_as_float() <= COSTLIER * whole || slices.count() <= parts {
                continue;
            }
            is_coarse = true;
            slices = Slices::new(extent.pages, extent.pages.div_ceil(parts.max(1)));
            let answer = leader.answer(client.query(&part_sql(&slices), &[])).await?;
            let Some(cost) = cost_of(&answer) else { return Ok(Err(leader)) };
            part = cost;
        }
        let snapshot: Option<String> = snapshot.try_get(0).ok();
        let snapshot = snapshot.filter(|id| id.chars().all(|c| c.is_ascii_hexdigit() || c == '-'));
        let (Some(snapshot), true) = (snapshot, part * slices.count_as_float() <= COSTLIER * whole) else {
            return Ok(Err(leader));
        };
        let joining =
            transaction(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"));
        let work = Work {
            divisible,
            schema: Arc::clone(&statement.schema),
            slices: Mutex::new(slices),
            joining,
            helpers: options.scan_connections.saturating_sub(1),
        };
        Ok(Ok(Self { leader, work: Arc::new(work), pool: pool.clone(), is_coarse }))
    }

    /// Ends well only where every slice was read to its end. Helpers come once the first slice has been taken: who wants
    /// only the first rows shall cost the agency no more connections. Where there are no more slices than connections, they
    /// come at once.
    pub(crate) async fn run(
        self,
        mut decoder: Decoder,
        batches: mpsc::Sender<RecordBatch>,
    ) -> Result<(), ConnectorError> {
        let Self { leader, work, pool, is_coarse } = self;
        let mut sink = Sink::new(batches.clone());
        // Dropped with this future, whatever ends it, and every helper's lease with it.
        let mut helpers = JoinSet::new();
        let mut tally = Tally::default();
        let mut is_first = true;
        loop {
            let Some(slice) = work.next_slice() else {
                // Who has no slice yet gets none any more, but a helper that has one may still put it back.
                if work.engaged() == tally.finished {
                    break;
                }
                let Some(ended) = helpers.join_next().await else { return Err(ConnectorError::broken_off()) };
                tally.add(ended)?;
                continue;
            };
            while (is_coarse || !is_first) && !tally.unable && helpers.len() < work.helpers && work.has_slices() {
                helpers.spawn(help(Arc::clone(&work), pool.clone(), batches.clone()));
            }
            is_first = false;
            let mut reading = pin!(work.read(&leader, slice, &mut decoder, &mut sink));
            loop {
                tokio::select! {
                    biased;
                    Some(ended) = helpers.join_next(), if !helpers.is_empty() => tally.add(ended)?,
                    outcome = &mut reading => {
                        outcome?;
                        break;
                    }
                }
            }
        }
        let last = decoder.finish()?;
        commit(leader).await?;
        match last {
            Some(batch) => sink.send(batch).await,
            None => Ok(()),
        }
    }
}

/// How a helper ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It read at least one slice, and everything that it read was handed on.
    Finished,
    /// No place in the budget was free.
    NotNow,
    /// Connections cannot be had, or do not reach the same server, or a lock is not to be had.
    Unable,
}

/// What became of the helpers so far.
#[derive(Debug, Default)]
struct Tally {
    finished: usize,
    unable: bool,
}

impl Tally {
    fn add(&mut self, ended: Result<Result<Ending, ConnectorError>, JoinError>) -> Result<(), ConnectorError> {
        // INVARIANT: a reader that broke off never looks like a short, successful result.
        match ended.map_err(|_panicked| ConnectorError::broken_off())?? {
            Ending::Finished => self.finished += 1,
            Ending::NotNow => {}
            Ending::Unable => self.unable = true,
        }
        Ok(())
    }
}

/// Reads slices on a connection that nobody wants, until there are no more or somebody does.
async fn help(work: Arc<Work>, pool: Pool, batches: mpsc::Sender<RecordBatch>) -> Result<Ending, ConnectorError> {
    let lease = match pool.lease_spare().await {
        Ok(Some(lease)) => lease,
        Ok(None) => return Ok(Ending::NotNow),
        Err(_) => return Ok(Ending::Unable),
    };
    if lease.answer(lease.client()?.batch_execute(&work.joining)).await.is_err() {
        return Ok(Ending::Unable);
    }
    let mut decoder = Decoder::new(Arc::clone(&work.schema))?;
    let mut sink = Sink::yielding(batches, pool.waiting());
    let Some(first) = work.engage() else {
        commit(lease).await?;
        return Ok(Ending::NotNow);
    };
    match work.read(&lease, first, &mut decoder, &mut sink).await {
        Ok(()) => {}
        // Every lock is taken before the first row is read.
        Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == LOCK_NOT_AVAILABLE => {
            work.put_back(first);
            return Ok(Ending::Unable);
        }
        Err(error) => return Err(error),
    }
    while !sink.is_wanted()
        && let Some(slice) = work.next_slice()
    {
        work.read(&lease, slice, &mut decoder, &mut sink).await?;
    }
    let last = decoder.finish()?;
    commit(lease).await?;
    if let Some(batch) = last {
        sink.send(batch).await?;
    }
    sink.flush().await?;
    Ok(Ending::Finished)
}

/// What leader and helpers share.
struct Work {
    divisible: Divisible,
    schema: SchemaRef,
    slices: Mutex<Slices>,
    /// How a helper begins its transaction.
    joining: String,
    /// How many may help at a time.
    helpers: usize,
}

impl Work {
    fn slices(&self) -> std::sync::MutexGuard<'_, Slices> {
        // Every change is a single step, whatever panicked.
        self.slices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_slice(&self) -> Option<Slice> {
        self.slices().next()
    }

    fn has_slices(&self) -> bool {
        let slices = self.slices();
        slices.next_page.is_some() || !slices.returned.is_empty()
    }

    /// A helper's first slice.
    fn engage(&self) -> Option<Slice> {
        let mut slices = self.slices();
        let slice = slices.next()?;
        slices.engaged += 1;
        Some(slice)
    }

    /// Returns a helper's first slice, of which no row was read.
    fn put_back(&self, slice: Slice) {
        let mut slices = self.slices();
        slices.returned.push(slice);
        slices.engaged -= 1;
    }

    /// How many helpers have ever had a slice that they did not put back.
    fn engaged(&self) -> usize {
        self.slices().engaged
    }

    async fn read(
        &self,
        lease: &Lease,
        slice: Slice,
        decoder: &mut Decoder,
        sink: &mut Sink,
    ) -> Result<(), ConnectorError> {
        let sql = format!("COPY ({}) TO STDOUT (FORMAT binary)", self.divisible.sql(&PostgresDialect, slice));
        let prepared = lease.answer(lease.client()?.prepare(&sql)).await?;
        copy(lease, &prepared, decoder, sink).await
    }
}

/// The slices not read yet.
#[derive(Debug)]
struct Slices {
    /// Where the next one begins; `None` after the last one, which is open: the table may have grown.
    next_page: Option<u64>,
    pages: u64,
    slice_pages: u64,
    returned: Vec<Slice>,
    /// See [`Work::engaged`].
    engaged: usize,
}

impl Slices {
    fn new(pages: u64, slice_pages: u64) -> Self {
        Self { next_page: Some(0), pages, slice_pages, returned: Vec::new(), engaged: 0 }
    }

    /// One of its slices, for an estimate.
    fn first(&self) -> Slice {
        Slice { from_page: 0, until_page: Some(self.slice_pages) }
    }

    fn next(&mut self) -> Option<Slice> {
        if let Some(slice) = self.returned.pop() {
            return Some(slice);
        }
        let from_page = self.next_page?;
        let until_page = from_page.checked_add(self.slice_pages).filter(|until| *until < self.pages);
        self.next_page = until_page;
        Some(Slice { from_page, until_page })
    }

    fn count(&self) -> u64 {
        self.pages.div_ceil(self.slice_pages.max(1))
    }

    fn count_as_float(&self) -> f64 {
        u32::try_from(self.count()).map_or(f64::INFINITY, f64::from)
    }
}

/// The server's estimate for the whole plan, which stands in EXPLAIN's first line: `Seq Scan on t  (cost=0.00..12.50 rows=…`.
fn cost_of(plan: &[tokio_postgres::Row]) -> Option<f64> {
    let line: String = plan.first()?.try_get(0).ok()?;
    let (_, costs) = line.rsplit_once("(cost=")?;
    costs.split_once("..")?.1.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_adjoin_from_the_first_page_to_an_open_end() {
        for (pages, slice_pages, count) in [(1, 1, 1), (7, 3, 3), (9, 3, 3), (10, 3, 4), (2, 5, 1)] {
            let mut slices = Slices { next_page: Some(0), pages, slice_pages, returned: Vec::new(), engaged: 0 };
            assert_eq!(slices.count(), count);
            let all: Vec<Slice> = std::iter::from_fn(|| slices.next()).collect();
            assert_eq!(u64::try_from(all.len()).unwrap(), count);
            assert_eq!(all[0].from_page, 0);
            assert!(all.windows(2).all(|pair| pair[0].until_page == Some(pair[1].from_page)), "{all:?}");
            assert_eq!(all[all.len() - 1].until_page, None);
            slices.returned.push(all[0]);
            assert_eq!((slices.next(), slices.next()), (Some(all[0]), None));
        }
    }
}
