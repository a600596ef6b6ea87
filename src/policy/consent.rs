//! Consent as predicates over a register, read where it is kept, in the query itself.
//!
//! A register's entries permit or deny. Of the entries in force that match the purpose and the recipient (by their codes, or
//! by the explicit `*`), the most specific decide; at equal specificity deny wins. So a person
//! - *denies* where a deny entry stands that no permit entry outranks, and
//! - *permits* where a permit entry stands that every deny entry is outranked by.
//!
//! An entry may count for records of certain dates only: then the record's own date decides which entries match. A
//! permission counts where one of those gave it whom the register names, a parent's until the child decides for herself; a
//! refusal counts whoever gave it, but a parent's no longer from that age on.
//!
//! An invalid entry never permits: NULL is no wildcard, an unknown start is no start, an unreadable end is no open end.
//! Where the same defect stands in a deny entry, it denies all the same.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{Datelike, Months, NaiveDate};
use datafusion::arrow::datatypes::DataType;
use wayleave_connector_api::{
    Column, CompareOp, Existence, Expr, KeyFormat, Probe, Scan, ScanReason, SemiKind, Table, TableName, Value,
};

use crate::catalog::Agency;
use crate::error::Error;
use crate::policy::files::{CodedColumn, GivenBy, Giver, RecordDates, Register, RegisterKind};

/// A check against a register that another agency keeps: joined here.
#[derive(Clone, Debug)]
pub struct ElsewhereCheck {
    pub register: String,
    /// Reads the canonical keys of those who deny ([`SemiKind::NotMatching`]) or permit ([`SemiKind::Matching`]); a row
    /// must match one of several.
    pub sets: Vec<RegisterSet>,
    pub kind: SemiKind,
}

/// The persons for whom one register decides one way.
#[derive(Clone, Debug)]
pub struct RegisterSet {
    pub agency: Arc<Agency>,
    pub scan: Scan,
    /// Rows of the whole register, by its source's own statistics.
    pub row_estimate: Option<u64>,
}

/// Which entries of a register a predicate looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Deny,
    Permit,
}

/// What the enclosing scan says of a row, by positions of its columns: whom it is about, and of what date it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowColumns {
    pub subject: usize,
    pub format: KeyFormat,
    pub dated: Option<usize>,
}

/// A register as one question reads it: for one purpose, one recipient and one class of data, on one day.
#[derive(Debug)]
pub(super) struct RegisterReading<'a> {
    pub register: &'a Register,
    pub agency: &'a Arc<Agency>,
    pub table: Arc<Table>,
    pub purpose: &'a str,
    pub recipient: &'a str,
    /// As the share says it.
    pub class: Option<&'a str>,
    pub today: NaiveDate,
}

impl RegisterReading<'_> {
    /// That no refusal decides about a row.
    pub fn not_refused(&self, row: RowColumns) -> Result<Expr, Error> {
        let highest = self.coded().count();
        if self.register.records.is_none() || !self.holds(Entry::Permit) {
            return self.probe(Entry::Deny, row, Existence::Forbidden);
        }
        let by_rank = (0..=highest).map(|rank| {
            let none = self.ranked_probe(Entry::Deny, rank..=rank, row, Existence::Forbidden)?;
            if rank == highest {
                return Ok(none);
            }
            let outranked = self.ranked_probe(Entry::Permit, rank + 1..=highest, row, Existence::Required)?;
            Ok(Expr::Or(vec![none, outranked]))
        });
        Ok(Expr::And(by_rank.collect::<Result<_, Error>>()?))
    }

    /// That a permission decides about a row.
    pub fn permitted(&self, row: RowColumns) -> Result<Expr, Error> {
        let highest = self.coded().count();
        if self.register.records.is_none() || !self.holds(Entry::Deny) {
            return self.probe(Entry::Permit, row, Existence::Required);
        }
        let by_rank = (0..=highest).map(|rank| {
            Ok(Expr::And(vec![
                self.ranked_probe(Entry::Permit, rank..=rank, row, Existence::Required)?,
                self.ranked_probe(Entry::Deny, rank..=highest, row, Existence::Forbidden)?,
            ]))
        });
        Ok(Expr::Or(by_rank.collect::<Result<_, Error>>()?))
    }

    /// Whether some entry of this kind decides about a row.
    fn probe(&self, entry: Entry, row: RowColumns, existence: Existence) -> Result<Expr, Error> {
        self.probe_where(entry, row, existence, |columns| self.deciding(entry, columns))
    }

    /// Whether an entry of this kind about a row names so many codes, overruled or not. Where records have dates, an entry
    /// and its rival must both cover the record, which a probe inside a probe could not see: ranks are looked at one by one.
    fn ranked_probe(
        &self,
        entry: Entry,
        ranks: RangeInclusive<usize>,
        row: RowColumns,
        existence: Existence,
    ) -> Result<Expr, Error> {
        self.probe_where(entry, row, existence, |columns| {
            let mut predicates = self.entry(entry, columns)?;
            let named = self.specificity(columns)?;
            if *ranks.start() > 0 {
                predicates.push(at_least(&named, *ranks.start()));
            }
            if *ranks.end() < named.len() {
                predicates.push(Expr::Not(Box::new(at_least(&named, ranks.end() + 1))));
            }
            Ok(predicates)
        })
    }

    /// Whether there is an entry about a row's person and of its date for which something holds.
    fn probe_where<'s>(
        &'s self,
        entry: Entry,
        row: RowColumns,
        existence: Existence,
        holding: impl FnOnce(&mut RegisterColumns<'s>) -> Result<Vec<Expr>, Error>,
    ) -> Result<Expr, Error> {
        let mut columns = RegisterColumns::new(self);
        let mut predicates = vec![self.correlate(&mut columns, row.subject, row.format)?];
        predicates.extend(holding(&mut columns)?);
        predicates.extend(self.covering(entry, &mut columns, row)?);
        let probe = Probe { table: self.name(), columns: columns.used, predicates };
        Ok(Expr::Exists { probe: Box::new(probe), existence })
    }

    /// That an entry counts for records of the row's date.
    fn covering(&self, entry: Entry, columns: &mut RegisterColumns<'_>, row: RowColumns) -> Result<Vec<Expr>, Error> {
        let Some(RecordDates { from, until }) = &self.register.records else { return Ok(Vec::new()) };
        let Some(dated) = row.dated else {
            return Err(
                self.unusable("it decides by the dates of records, and the share says no `dated_by`".to_owned())
            );
        };
        self.lasting(entry, Some(from), until.as_ref(), &Expr::DateOf(Box::new(Expr::Outer(dated))), columns)
    }

    /// That an entry's period, by the register's columns, contains a moment. A permission with an unknown start never began,
    /// and one whose end cannot be read has ended; a refusal lasts wherever its dates, or the moment, are not known.
    fn lasting(
        &self,
        entry: Entry,
        from: Option<&String>,
        until: Option<&String>,
        moment: &Expr,
        columns: &mut RegisterColumns<'_>,
    ) -> Result<Vec<Expr>, Error> {
        let unknown = |expr: &Expr| Expr::IsNull(Box::new(expr.clone()));
        let unknown_moment = (!matches!(moment, Expr::Literal(_))).then(|| unknown(moment));
        let mut predicates = Vec::new();
        if let Some(from) = from {
            let from = Expr::DateOf(Box::new(Expr::Column(columns.dated(from)?)));
            let begun = Expr::compare(CompareOp::LessOrEqual, from.clone(), moment.clone());
            predicates.push(match entry {
                Entry::Permit => begun,
                Entry::Deny => Expr::Or(
                    [Some(unknown(&from)), unknown_moment.clone(), Some(begun)].into_iter().flatten().collect(),
                ),
            });
        }
        if let Some(until) = until {
            let raw = Expr::Column(columns.dated(until)?);
            let until = Expr::DateOf(Box::new(raw.clone()));
            let lasts = Expr::compare(CompareOp::GreaterOrEqual, until.clone(), moment.clone());
            predicates.push(Expr::Or(match entry {
                Entry::Permit => vec![unknown(&raw), lasts],
                Entry::Deny => [Some(unknown(&until)), unknown_moment, Some(lasts)].into_iter().flatten().collect(),
            }));
        }
        Ok(predicates)
    }

    /// Why this register cannot be joined here, where another agency keeps it.
    pub fn check_elsewhere(&self) -> Result<(), Error> {
        match &self.register.records {
            None => Ok(()),
            Some(_) => Err(self.unusable(
                "it decides by the dates of records, which are compared where both are kept: another agency keeps it"
                    .to_owned(),
            )),
        }
    }

    /// The canonical keys of all whom an entry of this kind decides for, as a scan of the register's own agency; where
    /// records have dates, for whatever dates.
    pub fn keys(&self, entry: Entry) -> Result<RegisterSet, Error> {
        let mut columns = RegisterColumns::new(self);
        let key = canonical(Expr::Column(columns.text(&self.register.subject.column)?), self.register.subject.format);
        let mut policy = vec![Expr::IsNotNull(Box::new(key.clone()))];
        policy.extend(self.deciding(entry, &mut columns)?);
        let scan = Scan {
            table: self.name(),
            columns: columns.used,
            outputs: vec![key],
            policy,
            lookups: Vec::new(),
            keys: None,
            reason: ScanReason::Register { register: self.register.name.clone() },
        };
        Ok(RegisterSet { agency: Arc::clone(self.agency), scan, row_estimate: self.table.row_estimate })
    }

    /// Every entry about one person, matching or not: what it says, then whether it permits and whether it denies in this
    /// reading. The names of the first columns come with it.
    pub fn entries(&self, written: Vec<Value>) -> Result<(Scan, Vec<String>), Error> {
        let mut columns = RegisterColumns::new(self);
        let subject = columns.text(&self.register.subject.column)?;
        let register = self.register;
        let coded = [&register.purpose, &register.recipient, &register.class]
            .map(|coded| coded.as_ref().map(|coded| &coded.column));
        let decision = register.decision.as_ref().map(|decision| &decision.column);
        let giver = register.given_by.as_ref().map(|given_by| &given_by.column);
        let mut names = Vec::new();
        let mut outputs = Vec::new();
        for name in coded.into_iter().flatten().chain(decision).chain(giver) {
            outputs.push(Expr::Column(columns.text(name)?));
            names.push(name.clone());
        }
        let records = register.records.as_ref();
        let records = [records.map(|records| &records.from), records.and_then(|records| records.until.as_ref())];
        let born = register.child.as_ref().map(|child| &child.born);
        let dates = [register.from.as_ref(), register.until.as_ref(), born].into_iter().chain(records);
        for name in dates.flatten() {
            outputs.push(Expr::Column(columns.dated(name)?));
            names.push(name.clone());
        }
        for entry in [Entry::Permit, Entry::Deny] {
            outputs.push(match self.holds(entry) {
                true => Expr::And(self.entry(entry, &mut columns)?),
                false => Expr::Literal(Value::Boolean(false)),
            });
        }
        let scan = Scan {
            table: self.name(),
            columns: columns.used,
            outputs,
            policy: Vec::new(),
            lookups: vec![Expr::InList { expr: Box::new(Expr::Column(subject)), list: written, negated: false }],
            keys: None,
            reason: ScanReason::Register { register: register.name.clone() },
        };
        Ok((scan, names))
    }

    fn name(&self) -> TableName {
        self.table.name.clone()
    }

    /// Whether the register can hold entries of this kind at all.
    pub fn holds(&self, entry: Entry) -> bool {
        match (self.register.kind, entry) {
            (RegisterKind::Decisions, Entry::Deny) => true,
            (RegisterKind::Decisions, Entry::Permit) => {
                self.register.decision.as_ref().is_some_and(|decision| !decision.permit.is_empty())
            }
            (RegisterKind::Dissent, Entry::Deny) | (RegisterKind::Allow, Entry::Permit) => true,
            (RegisterKind::Dissent, Entry::Permit) | (RegisterKind::Allow, Entry::Deny) => false,
        }
    }

    /// An entry of this kind, in force, matching, and not overruled by the other kind.
    fn deciding(&self, entry: Entry, columns: &mut RegisterColumns<'_>) -> Result<Vec<Expr>, Error> {
        if !self.holds(entry) {
            return Ok(vec![Expr::Literal(Value::Boolean(false))]);
        }
        let mut predicates = self.entry(entry, columns)?;
        let other = match entry {
            Entry::Deny => Entry::Permit,
            Entry::Permit => Entry::Deny,
        };
        if !self.holds(other) {
            return Ok(predicates);
        }
        let mut rival = RegisterColumns::new(self);
        let mut overruling = vec![self.same_subject(columns, &mut rival)?];
        overruling.extend(self.entry(other, &mut rival)?);
        let mine = self.specificity(columns)?;
        let theirs = self.specificity(&mut rival)?;
        let mine: Vec<Expr> = mine.iter().map(outer).collect();
        match entry {
            // Without coded columns every entry is as specific as any other: no permission stands above a refusal.
            Entry::Deny if mine.is_empty() => return Ok(predicates),
            Entry::Permit if mine.is_empty() => {}
            Entry::Deny => overruling.push(outranks(&theirs, &mine)),
            Entry::Permit => overruling.push(Expr::Not(Box::new(outranks(&mine, &theirs)))),
        }
        let probe = Probe { table: self.name(), columns: rival.used, predicates: overruling };
        predicates.push(Expr::Exists { probe: Box::new(probe), existence: Existence::Forbidden });
        Ok(predicates)
    }

    /// One entry on its own: its decision, its period, its purpose and recipient.
    fn entry(&self, entry: Entry, columns: &mut RegisterColumns<'_>) -> Result<Vec<Expr>, Error> {
        let mut predicates = Vec::new();
        if let Some(decision) = &self.register.decision {
            let column = Expr::Column(columns.text(&decision.column)?);
            let values = |values: &[String]| values.iter().cloned().map(Value::Text).collect();
            predicates.push(match entry {
                Entry::Permit => {
                    Expr::InList { expr: Box::new(column), list: values(&decision.permit), negated: false }
                }
                Entry::Deny => Expr::Or(vec![
                    Expr::InList { expr: Box::new(column.clone()), list: values(&decision.deny), negated: false },
                    Expr::IsNull(Box::new(column)),
                ]),
            });
        }
        let today = Expr::Literal(Value::Date(days_since_epoch(self.today)));
        let (from, until) = (self.register.from.as_ref(), self.register.until.as_ref());
        predicates.extend(self.lasting(entry, from, until, &today, columns)?);
        if let Some(given_by) = &self.register.given_by {
            predicates.extend(self.given(given_by, entry, columns)?);
        }
        for (coded, code) in self.coded() {
            let column = Expr::Column(columns.text(&coded.column)?);
            let mut list: Vec<Value> = match coded.codes.get(code) {
                Some(codes) => codes.iter().cloned().map(Value::Text).collect(),
                None => vec![Value::Text(code.to_owned())],
            };
            list.push(Value::Text("*".to_owned()));
            let matches = Expr::InList { expr: Box::new(column.clone()), list, negated: false };
            predicates.push(match entry {
                Entry::Permit => matches,
                Entry::Deny => Expr::Or(vec![matches, Expr::IsNull(Box::new(column))]),
            });
        }
        Ok(predicates)
    }

    /// That whoever made the entry could make it.
    fn given(
        &self,
        given_by: &GivenBy,
        entry: Entry,
        columns: &mut RegisterColumns<'_>,
    ) -> Result<Option<Expr>, Error> {
        let giver = Expr::Column(columns.text(&given_by.column)?);
        let texts = |wanted: &dyn Fn(Giver) -> bool| {
            let codes = given_by.codes.iter().filter(|(giver, _)| wanted(**giver)).flat_map(|(_, codes)| codes);
            codes.cloned().map(Value::Text).collect::<Vec<_>>()
        };
        let among = |list: Vec<Value>, negated| Expr::InList { expr: Box::new(giver.clone()), list, negated };
        let (others, parents) = (texts(&|giver| giver != Giver::Parent), texts(&|giver| giver == Giver::Parent));
        let Some(child) = &self.register.child else {
            return Ok((entry == Entry::Permit).then(|| among(others, false)));
        };
        let born = Expr::DateOf(Box::new(Expr::Column(columns.dated(&child.born)?)));
        // The birthday of those who decide for themselves from today on.
        let Some(of_age) = self.today.checked_sub_months(Months::new(child.decides_from.saturating_mul(12))) else {
            return Err(self.unusable("the age from which a child decides is too large".to_owned()));
        };
        let of_age = Expr::Literal(Value::Date(days_since_epoch(of_age)));
        let is_child = Expr::compare(CompareOp::Greater, born.clone(), of_age);
        Ok(Some(match entry {
            Entry::Permit => {
                let by_parent = Expr::And(vec![among(parents, false), is_child]);
                if others.is_empty() { by_parent } else { Expr::Or(vec![among(others, false), by_parent]) }
            }
            Entry::Deny => Expr::Or(vec![
                Expr::IsNull(Box::new(giver.clone())),
                among(parents, true),
                Expr::IsNull(Box::new(born)),
                is_child,
            ]),
        }))
    }

    fn coded(&self) -> impl Iterator<Item = (&CodedColumn, &str)> {
        let purpose = self.register.purpose.as_ref().map(|column| (column, self.purpose));
        let recipient = self.register.recipient.as_ref().map(|column| (column, self.recipient));
        let class = self.register.class.as_ref().zip(self.class);
        purpose.into_iter().chain(recipient).chain(class)
    }

    /// For each coded column, whether the entry names its code rather than `*`. Never NULL.
    fn specificity(&self, columns: &mut RegisterColumns<'_>) -> Result<Vec<Expr>, Error> {
        self.coded()
            .map(|(coded, _)| {
                let column = Expr::Column(columns.text(&coded.column)?);
                Ok(Expr::Or(vec![
                    Expr::IsNull(Box::new(column.clone())),
                    Expr::compare(CompareOp::NotEqual, column, Expr::text("*")),
                ]))
            })
            .collect()
    }

    /// The register's subject against the enclosing scan's, in a form that lets the register's own index serve.
    fn correlate(&self, columns: &mut RegisterColumns<'_>, column: usize, format: KeyFormat) -> Result<Expr, Error> {
        let subject = Expr::Column(columns.text(&self.register.subject.column)?);
        let here = self.register.subject.format;
        if here.scheme != format.scheme {
            return Err(self.unusable(format!(
                "it names persons by `{}`, the table by `{}`",
                here.scheme.name(),
                format.scheme.name()
            )));
        }
        if here.writes_like(format) {
            return Ok(Expr::equal(subject, Expr::Outer(column)));
        }
        let wanted = canonical(Expr::Outer(column), format);
        Ok(if here.form.separator().is_some() {
            Expr::equal(subject, Expr::WrittenKey { expr: Box::new(wanted), format: here })
        } else {
            Expr::equal(canonical(subject, here), wanted)
        })
    }

    fn same_subject(&self, columns: &mut RegisterColumns<'_>, rival: &mut RegisterColumns<'_>) -> Result<Expr, Error> {
        let format = self.register.subject.format;
        let mine = Expr::Outer(columns.text(&self.register.subject.column)?);
        let theirs = Expr::Column(rival.text(&self.register.subject.column)?);
        Ok(if format.writes_like(format) {
            Expr::equal(theirs, mine)
        } else {
            Expr::equal(canonical(theirs, format), canonical(mine, format))
        })
    }

    fn unusable(&self, why: String) -> Error {
        Error::RegisterUnusable { register: self.register.name.clone(), why }
    }
}

pub(super) fn canonical(expr: Expr, format: KeyFormat) -> Expr {
    Expr::CanonicalKey { expr: Box::new(expr), format }
}

pub(super) fn days_since_epoch(day: NaiveDate) -> i32 {
    day.num_days_from_ce() - 719_163
}

/// Whether entry `a` names more codes than entry `b`; both lists speak of the same columns, in the same order.
fn outranks(a: &[Expr], b: &[Expr]) -> Expr {
    let not = |expr: Expr| Expr::Not(Box::new(expr));
    let by_rank = (1..=a.len()).rev().map(|rank| {
        let mut all = match at_least(a, rank) {
            Expr::And(parts) => parts,
            other => vec![other],
        };
        match rank {
            1 => all.extend(b.iter().cloned().map(not)),
            _ => all.push(not(at_least(b, rank))),
        }
        Expr::And(all)
    });
    any_of(by_rank.collect())
}

/// That so many of these hold, at least one.
fn at_least(flags: &[Expr], count: usize) -> Expr {
    any_of(choices(flags, count).into_iter().map(|choice| alone_or(choice, Expr::And)).collect())
}

fn any_of(ways: Vec<Expr>) -> Expr {
    if ways.is_empty() { Expr::Literal(Value::Boolean(false)) } else { alone_or(ways, Expr::Or) }
}

/// One part as it is, or several joined.
fn alone_or(mut parts: Vec<Expr>, joined: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(one) if parts.is_empty() => one,
        last => {
            parts.extend(last);
            joined(parts)
        }
    }
}

/// Every way to choose so many of a few, in their order.
fn choices(of: &[Expr], count: usize) -> Vec<Vec<Expr>> {
    match (count, of) {
        (0, _) => vec![Vec::new()],
        (_, []) => Vec::new(),
        (_, [first, rest @ ..]) => {
            let with_first = choices(rest, count - 1).into_iter().map(|choice| [vec![first.clone()], choice].concat());
            with_first.chain(choices(rest, count)).collect()
        }
    }
}

/// The same expression as the enclosing level's, seen from inside a probe.
fn outer(expr: &Expr) -> Expr {
    expr.map_columns(&Expr::Outer)
}

/// The register's columns that one level of a probe refers to.
struct RegisterColumns<'a> {
    reading: &'a RegisterReading<'a>,
    used: Vec<Column>,
}

impl<'a> RegisterColumns<'a> {
    fn new(reading: &'a RegisterReading<'a>) -> Self {
        Self { reading, used: Vec::new() }
    }

    fn text(&mut self, name: &str) -> Result<usize, Error> {
        self.position(name, |data_type| *data_type == DataType::Utf8, "text")
    }

    fn dated(&mut self, name: &str) -> Result<usize, Error> {
        let is_dated =
            |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..));
        self.position(name, is_dated, "a date, a timestamp or text")
    }

    fn position(&mut self, name: &str, fits: impl Fn(&DataType) -> bool, wanted: &str) -> Result<usize, Error> {
        if let Some(position) = self.used.iter().position(|column| column.name == name) {
            return Ok(position);
        }
        let column = self
            .reading
            .table
            .column(name)
            .ok_or_else(|| self.reading.unusable(format!("its table has no column `{name}`")))?;
        if !column.column_type.readable().is_some_and(fits) {
            return Err(self.reading.unusable(format!("its column `{name}` is not {wanted}")));
        }
        self.used.push(column.clone());
        Ok(self.used.len() - 1)
    }
}
