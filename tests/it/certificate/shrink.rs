//! From a failing case to a minimal one: smaller queries, then fewer tables, rows and policy, while it still fails alike.

use std::time::{Duration, Instant};

use super::case::{Case, Cell, World};
use super::judge::{Asked, Finding, Verdict, judge, parse};
use super::oracle::Answer;
use super::reductions::reductions;
use super::release::Reading;
use super::stage::Stage;

/// How long one case may be shrunk.
const DEADLINE: Duration = Duration::from_secs(90);

pub struct Shrunk {
    pub world: World,
    pub query: String,
    pub finding: Finding,
    pub expected: Result<Answer, String>,
}

impl Shrunk {
    pub fn case(&self) -> Case {
        let side = format!("{:?}, {:?}: {}", self.finding.side, self.finding.difference, self.finding.told);
        let rows = |answer: &Answer| {
            answer.rows.iter().map(|row| row.iter().cloned().map(Cell::from).collect()).collect::<Vec<Vec<Cell>>>()
        };
        Case {
            note: side.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"),
            query: self.query.clone(),
            fails: self.expected.is_err(),
            expected: self.expected.as_ref().map(rows).unwrap_or_default(),
            world: self.world.clone(),
        }
    }
}

struct Shrinker {
    reading: Reading,
    ends: Instant,
    best: Shrunk,
}

/// The smallest case that still shows the finding; the one given, where nothing smaller does.
pub async fn shrink(
    world: &World,
    query: &str,
    finding: Finding,
    expected: Result<Answer, String>,
    reading: Reading,
) -> Shrunk {
    let best = Shrunk { world: world.clone(), query: query.to_owned(), finding, expected };
    let mut shrinker = Shrinker { reading, ends: Instant::now() + DEADLINE, best };
    loop {
        let before = (shrinker.best.world.clone(), shrinker.best.query.clone());
        shrinker.shrink_query().await;
        shrinker.shrink_world().await;
        if before == (shrinker.best.world.clone(), shrinker.best.query.clone()) || shrinker.is_late() {
            return shrinker.best;
        }
    }
}

impl Shrinker {
    fn is_late(&self) -> bool {
        Instant::now() > self.ends
    }

    async fn shrink_query(&mut self) {
        let Ok(stage) = Stage::build(&self.best.world, self.reading).await else { return };
        let Ok(mut query) = parse(&self.best.query) else { return };
        loop {
            let mut smallest = None;
            for candidate in reductions(&query) {
                let sql = candidate.to_string();
                if sql.len() <= self.best.query.len() + 8 && sql != self.best.query && self.still(&stage, &sql).await {
                    smallest = Some(candidate);
                    break;
                }
                if self.is_late() {
                    break;
                }
            }
            match smallest {
                Some(smaller) => query = smaller,
                None => break,
            }
        }
        stage.end().await;
    }

    /// Whether the finding is still there; then this query is the best one so far.
    async fn still(&mut self, stage: &Stage, sql: &str) -> bool {
        let Verdict::Differ { findings, expected } = judge(stage, sql, Asked::Everybody).await else { return false };
        let Some(finding) = findings.into_iter().find(|finding| is_the_same(finding, &self.best.finding)) else {
            return false;
        };
        self.best.query = sql.to_owned();
        self.best.finding = finding;
        self.best.expected = expected;
        true
    }

    /// Takes a smaller world if the finding is still there.
    async fn take(&mut self, world: World) -> bool {
        if self.is_late() || world == self.best.world {
            return false;
        }
        let Ok(stage) = Stage::build(&world, self.reading).await else { return false };
        let query = self.best.query.clone();
        let still = self.still(&stage, &query).await;
        stage.end().await;
        if still {
            self.best.world = world;
        }
        still
    }

    async fn shrink_world(&mut self) {
        // Tables, the last first, so that positions stay what they were.
        for agency in (0..self.best.world.agency.len()).rev() {
            for table in (0..self.best.world.agency[agency].table.len()).rev() {
                let smaller = without_table(&self.best.world, agency, table);
                self.take(smaller).await;
            }
        }
        for register in (0..self.best.world.register.len()).rev() {
            let smaller = without_register(&self.best.world, register);
            self.take(smaller).await;
        }
        for agreement in 0..self.best.world.agreement.len() {
            let mut smaller = self.best.world.clone();
            smaller.agreement[agreement].consent = None;
            self.take(smaller).await;
            for share in 0..self.best.world.agreement[agreement].share.len() {
                self.shrink_share(agreement, share).await;
            }
        }
        for agency in 0..self.best.world.agency.len() {
            for table in 0..self.best.world.agency[agency].table.len() {
                self.shrink_rows(agency, table).await;
                let mut smaller = self.best.world.clone();
                smaller.agency[agency].table[table].subject = None;
                self.take(smaller).await;
                let mut smaller = self.best.world.clone();
                smaller.agency[agency].table[table].indexes.clear();
                self.take(smaller).await;
                for column in (0..self.best.world.agency[agency].table[table].columns.len()).rev() {
                    let smaller = without_column(&self.best.world, agency, table, column);
                    self.take(smaller).await;
                }
                self.shrink_cells(agency, table).await;
            }
        }
    }

    async fn shrink_share(&mut self, agreement: usize, share: usize) {
        let mut smaller = self.best.world.clone();
        smaller.agreement[agreement].share[share].rows = None;
        self.take(smaller).await;
        let mut smaller = self.best.world.clone();
        smaller.agreement[agreement].share[share].disclose_keys_to.clear();
        smaller.agreement[agreement].share[share].disclose_pseudonyms_to.clear();
        self.take(smaller).await;
        let masked: Vec<String> = self.best.world.agreement[agreement].share[share].mask.keys().cloned().collect();
        for column in masked {
            let mut smaller = self.best.world.clone();
            smaller.agreement[agreement].share[share].mask.remove(&column);
            self.take(smaller).await;
        }
    }

    /// Halves first, then single rows.
    async fn shrink_rows(&mut self, agency: usize, table: usize) {
        let mut size = self.best.world.agency[agency].table[table].rows.len();
        while size > 0 {
            let mut start = 0;
            while start < self.best.world.agency[agency].table[table].rows.len() {
                let mut smaller = self.best.world.clone();
                let rows = &mut smaller.agency[agency].table[table].rows;
                let end = (start + size).min(rows.len());
                rows.drain(start..end);
                if !self.take(smaller).await {
                    start += size;
                }
            }
            size /= 2;
        }
    }

    async fn shrink_cells(&mut self, agency: usize, table: usize) {
        let rows = self.best.world.agency[agency].table[table].rows.len();
        if rows > 6 {
            return;
        }
        for row in 0..rows {
            for column in 0..self.best.world.agency[agency].table[table].columns.len() {
                let now = &self.best.world.agency[agency].table[table];
                if now.columns[column].1.contains("not null") || now.rows[row][column] == (Cell::Null {}) {
                    continue;
                }
                let mut smaller = self.best.world.clone();
                smaller.agency[agency].table[table].rows[row][column] = Cell::Null {};
                self.take(smaller).await;
            }
        }
    }
}

/// The same side fails in the same way; where it is an error, with the same words at its start.
fn is_the_same(one: &Finding, other: &Finding) -> bool {
    use super::judge::Difference;
    let start = |finding: &Finding| -> String {
        match finding.difference {
            Difference::Fails => finding.told.chars().filter(|c| !c.is_ascii_digit()).take(60).collect(),
            _ => String::new(),
        }
    };
    one.is_like(other) && start(one) == start(other)
}

fn without_table(world: &World, agency: usize, table: usize) -> World {
    let mut smaller = world.clone();
    let name = smaller.agency[agency].name.clone();
    let table = smaller.agency[agency].table.remove(table).name;
    for agreement in &mut smaller.agreement {
        agreement.share.retain(|share| share.agency != name || share.table != table);
    }
    smaller.agreement.retain(|agreement| !agreement.share.is_empty());
    let gone: Vec<usize> = (0..smaller.register.len())
        .rev()
        .filter(|position| smaller.register[*position].agency == name && smaller.register[*position].table == table)
        .collect();
    for position in gone {
        smaller = without_register(&smaller, position);
    }
    if smaller.agency[agency].table.is_empty() {
        smaller.agency.remove(agency);
        for agreement in &mut smaller.agreement {
            for share in &mut agreement.share {
                share.disclose_keys_to.retain(|other| *other != name);
                share.disclose_pseudonyms_to.retain(|other| *other != name);
            }
        }
    }
    smaller
}

fn without_register(world: &World, register: usize) -> World {
    let mut smaller = world.clone();
    let name = smaller.register.remove(register).name;
    for agreement in &mut smaller.agreement {
        if let Some(consent) = &mut agreement.consent {
            consent.registers.retain(|known| *known != name);
            if consent.registers.is_empty() {
                agreement.consent = None;
            }
        }
    }
    smaller
}

fn without_column(world: &World, agency: usize, table: usize, column: usize) -> World {
    let mut smaller = world.clone();
    let agency_name = smaller.agency[agency].name.clone();
    let table = &mut smaller.agency[agency].table[table];
    let (name, _) = table.columns.remove(column);
    table.indexes.retain(|known| *known != name);
    for row in &mut table.rows {
        row.remove(column);
    }
    if table.columns.is_empty() || table.subject.as_ref().is_some_and(|subject| subject.column == name) {
        return world.clone();
    }
    for agreement in &mut smaller.agreement {
        for share in &mut agreement.share {
            if share.agency == agency_name && share.table == table.name {
                share.columns.retain(|known| *known != name);
                share.mask.remove(&name);
                if share.columns.is_empty() {
                    return world.clone();
                }
            }
        }
    }
    smaller
}
