//! What agencies are asked about one person, to explain a decision to those who answer for it.
//!
//! In: a session, a released relation, a person's key. Out: statements of two kinds, which only this module can make: the
//! number of the person's rows that each demand of policy leaves, and the person's own entries in a consent register. They
//! are made of the predicates that stand in queries, no second ones. Nothing that an asker wrote is in them but the key.
//!
//! An inquiry tells of rows and refusals that an asker never learns of: it is for operators.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use wayleave_connector_api::{
    Aggregate, AggregateFunction, Audience, Expr, Fragment, Relation, Scan, ScanReason, Scheme, Value, render_fragment,
};

use super::consent::Entry;
use super::{Demand, Policy, ReleasedTable};
use crate::catalog::Agency;
use crate::error::Error;
use crate::policy::files::Consent;
use crate::session::Session;

/// One statement for one agency.
///
/// INVARIANT: only this module builds one.
#[derive(Clone, Debug)]
pub struct Inquiry {
    agency: Arc<Agency>,
    kind: InquiryKind,
    fragment: Fragment,
}

/// What the rows of an inquiry mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InquiryKind {
    /// One number: the person's rows in the table.
    Rows,
    /// One number: those that a demand leaves.
    RowsThatMeet(Demand),
    /// One number: those that every demand at their agency leaves.
    RowsThatMeetAll,
    /// The person's entries in a register: the values of these columns, whether it permits, whether it denies.
    Entries { register: String, columns: Vec<String> },
    /// One number: entries that decide.
    Deciding { register: String, entry: RegisterEntry },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterEntry {
    Permits,
    Denies,
}

impl Inquiry {
    pub fn agency(&self) -> &Arc<Agency> {
        &self.agency
    }

    pub fn kind(&self) -> &InquiryKind {
        &self.kind
    }

    pub fn sql(&self) -> String {
        render_fragment(self.agency.dialect(), &self.fragment, None, Audience::Source)
    }

    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.fragment.schema)
    }

    fn counting(agency: &Arc<Agency>, kind: InquiryKind, scan: Scan) -> Self {
        let count = Aggregate {
            function: AggregateFunction::Count,
            argument: None,
            distinct: false,
            filter: None,
            data_type: DataType::Int64,
        };
        let input = Box::new(Relation::Scan(Box::new(scan)));
        let root = Relation::Aggregate { input, groups: Vec::new(), aggregates: vec![count] };
        let schema = Arc::new(Schema::new(vec![Field::new("rows", DataType::Int64, true)]));
        Self { agency: Arc::clone(agency), kind, fragment: Fragment { root, schema } }
    }
}

impl Policy {
    /// What is to be asked about one person to explain what a session sees of a table.
    ///
    /// # Errors
    /// [`Error::SubjectUnknown`] where the key is none, or the table names persons by another scheme;
    /// [`Error::RegisterUnusable`] or [`Error::Source`] as for a query.
    pub async fn inquiries(
        &self,
        session: &Session,
        table: &ReleasedTable,
        scheme: Scheme,
        key: &str,
    ) -> Result<Vec<Inquiry>, Error> {
        let unknown = |why: String| Error::SubjectUnknown { why };
        if !scheme.is_canonical(key) {
            return Err(unknown(format!("the key is no valid key of the scheme `{}`", scheme.name())));
        }
        let Some(subject) = table.subject.filter(|subject| subject.format.scheme == scheme) else {
            return Err(unknown(format!("`{}` names nobody by a key of the scheme `{}`", table.name, scheme.name())));
        };
        let values = |written: Vec<String>| written.into_iter().map(Value::Text).collect::<Vec<_>>();
        let about_the_person = Expr::InList {
            expr: Box::new(Expr::Column(subject.base_column)),
            list: values(subject.format.written(key)),
            negated: false,
        };
        let scan = |policy: Vec<Expr>| Scan {
            table: table.name.table_name(),
            columns: table.base.clone(),
            outputs: vec![Expr::Column(subject.base_column)],
            policy,
            lookups: vec![about_the_person.clone()],
            keys: None,
            reason: ScanReason::Released { agreement: table.agreement.id.clone() },
        };
        let mut inquiries = vec![Inquiry::counting(&table.agency, InquiryKind::Rows, scan(Vec::new()))];
        for (demand, predicate) in table.demands.iter().zip(&table.policy) {
            let kind = InquiryKind::RowsThatMeet(demand.clone());
            inquiries.push(Inquiry::counting(&table.agency, kind, scan(vec![predicate.clone()])));
        }
        inquiries.push(Inquiry::counting(&table.agency, InquiryKind::RowsThatMeetAll, scan(table.policy.clone())));
        let share = table.agreement.share_of(&table.name);
        let asked = share.filter(|_| table.passed_over.is_none());
        if let (Consent::Required { registers, .. }, Some(share)) = (&table.agreement.consent, asked) {
            for name in registers {
                let reading = self.reading(name, session, share).await?;
                let written = values(reading.register.subject.format.written(key));
                let (entries, columns) = reading.entries(written.clone())?;
                inquiries.push(listing(reading.agency, name, columns, entries));
                for (entry, of) in [(Entry::Permit, RegisterEntry::Permits), (Entry::Deny, RegisterEntry::Denies)] {
                    let mut scan = reading.keys(entry)?.scan;
                    // The subject is the first column that the scan names.
                    scan.lookups.push(Expr::InList {
                        expr: Box::new(Expr::Column(0)),
                        list: written.clone(),
                        negated: false,
                    });
                    let kind = InquiryKind::Deciding { register: name.clone(), entry: of };
                    inquiries.push(Inquiry::counting(reading.agency, kind, scan));
                }
            }
        }
        Ok(inquiries)
    }
}

fn listing(agency: &Arc<Agency>, register: &str, columns: Vec<String>, scan: Scan) -> Inquiry {
    let root = Relation::Scan(Box::new(scan));
    let names = columns.iter().map(String::as_str).chain(["permits", "denies"]);
    let fields: Vec<Field> = names
        .zip(root.outputs())
        .enumerate()
        .map(|(position, (name, output))| Field::new(format!("{position}_{name}"), output.data_type, true))
        .collect();
    let kind = InquiryKind::Entries { register: register.to_owned(), columns };
    let fragment = Fragment { root, schema: Arc::new(Schema::new(fields)) };
    Inquiry { agency: Arc::clone(agency), kind, fragment }
}
