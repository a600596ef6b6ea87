//! Consent as predicates over a register, read where it is kept, in the query itself.
//!
//! A register's entries permit or deny. Of the entries in force that match the purpose and the recipient (by their codes, or
//! by the explicit `*`), the most specific decide; at equal specificity deny wins. So a person
//! - *denies* where a deny entry stands that no permit entry outranks, and
//! - *permits* where a permit entry stands that every deny entry is outranked by.
//!
//! An invalid entry never permits: NULL is no wildcard, an unknown start is no start, an unreadable end is no open end.
//! Where the same defect stands in a deny entry, it denies all the same.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use datafusion::arrow::datatypes::DataType;
use wayleave_connector_api::{
    Column, CompareOp, Existence, Expr, KeyFormat, Probe, Scan, ScanReason, SemiKind, Table, TableName, Value,
};

use crate::catalog::Agency;
use crate::error::Error;
use crate::policy::files::{CodedColumn, Register, RegisterKind};

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

/// A register as one question reads it: for one purpose and one recipient, on one day.
#[derive(Debug)]
pub(super) struct RegisterReading<'a> {
    pub register: &'a Register,
    pub agency: &'a Arc<Agency>,
    pub table: Arc<Table>,
    pub purpose: &'a str,
    pub recipient: &'a str,
    pub today: NaiveDate,
}

impl RegisterReading<'_> {
    /// The condition on a row whose subject key is the enclosing scan's `column`: some entry of this kind decides.
    pub fn probe(&self, entry: Entry, column: usize, format: KeyFormat, existence: Existence) -> Result<Expr, Error> {
        let mut columns = RegisterColumns::new(self);
        let mut predicates = vec![self.correlate(&mut columns, column, format)?];
        predicates.extend(self.deciding(entry, &mut columns)?);
        let probe = Probe { table: self.name(), columns: columns.used, predicates };
        Ok(Expr::Exists { probe: Box::new(probe), existence })
    }

    /// The canonical keys of all whom an entry of this kind decides for, as a scan of the register's own agency.
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
        let coded = [&register.purpose, &register.recipient].map(|coded| coded.as_ref().map(|coded| &coded.column));
        let decision = register.decision.as_ref().map(|decision| &decision.column);
        let mut names = Vec::new();
        let mut outputs = Vec::new();
        for name in coded.into_iter().flatten().chain(decision) {
            outputs.push(Expr::Column(columns.text(name)?));
            names.push(name.clone());
        }
        for name in [&register.from, &register.until].into_iter().flatten() {
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
        overruling.push(match entry {
            Entry::Deny => outranks(&theirs, &mine),
            Entry::Permit => Expr::Not(Box::new(outranks(&mine, &theirs))),
        });
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
        if let Some(from) = &self.register.from {
            let from = Expr::DateOf(Box::new(Expr::Column(columns.dated(from)?)));
            let begun = Expr::compare(CompareOp::LessOrEqual, from.clone(), today.clone());
            predicates.push(match entry {
                Entry::Permit => begun,
                Entry::Deny => Expr::Or(vec![Expr::IsNull(Box::new(from)), begun]),
            });
        }
        if let Some(until) = &self.register.until {
            let raw = Expr::Column(columns.dated(until)?);
            let until = Expr::DateOf(Box::new(raw.clone()));
            let lasts = Expr::compare(CompareOp::GreaterOrEqual, until.clone(), today);
            let open = match entry {
                Entry::Permit => raw,
                Entry::Deny => until,
            };
            predicates.push(Expr::Or(vec![Expr::IsNull(Box::new(open)), lasts]));
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

    fn coded(&self) -> impl Iterator<Item = (&CodedColumn, &str)> {
        let purpose = self.register.purpose.as_ref().map(|column| (column, self.purpose));
        let recipient = self.register.recipient.as_ref().map(|column| (column, self.recipient));
        purpose.into_iter().chain(recipient)
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
    let not = |expr: &Expr| Expr::Not(Box::new(expr.clone()));
    match (a, b) {
        ([a], [b]) => Expr::And(vec![a.clone(), not(b)]),
        ([a1, a2], [b1, b2]) => Expr::Or(vec![
            Expr::And(vec![a1.clone(), a2.clone(), Expr::Not(Box::new(Expr::And(vec![b1.clone(), b2.clone()])))]),
            Expr::And(vec![Expr::Or(vec![a1.clone(), a2.clone()]), not(b1), not(b2)]),
        ]),
        // Without coded columns every entry is as specific as any other.
        _ => Expr::Literal(Value::Boolean(false)),
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
