//! Releasing a table: an agreement's share, put into predicates and values over the table as its agency describes it.
//!
//! In: an entitlement and the source's description of the table. Out: a [`ReleasedTable`]. What does not fit together, or
//! cannot be computed by the agency's database exactly, is refused: there is no release that is weaker than the agreement.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use wayleave_connector_api as source;
use wayleave_connector_api::{Column, KeyFormat, Mask, OutputColumn, SemiKind, Support, Table, Value};

use super::consent::{Entry, RegisterReading, RowColumns, canonical};
use super::released::{ColumnValue, Demand, ReleaseNotice, ReleasedColumn, ReleasedTable, Subject};
use super::{ElsewhereCheck, Entitlement, PassedOver, Policy, Pseudonym};
use crate::catalog::Agency;
use crate::error::Error;
use crate::expression::{KeptHere, push_exact};
use crate::names::QualifiedTable;
use crate::policy::files::{Consent, Decision, MaskRule, Share};
use crate::session::Session;

impl Policy {
    /// The released relation of a table for a session.
    ///
    /// # Errors
    /// A refusal of [`Policy::entitlement`]; [`Error::Source`] where the agency cannot be read;
    /// [`Error::AgreementUnusable`] or [`Error::RegisterUnusable`] where files and database do not fit together.
    pub async fn release(
        &self,
        session: &Session,
        name: &QualifiedTable,
        planner: &SessionState,
    ) -> Result<ReleasedTable, Error> {
        let entitlement = self.entitlement(session, name)?;
        let Some(agency) = self.agencies().get(&name.agency) else {
            return Err(unusable(&entitlement, name, format!("agency `{}` is not configured", name.agency)));
        };
        let table = read_table(agency, &name.table_name())
            .await?
            .ok_or_else(|| unusable(&entitlement, name, "the agency has no such table".to_owned()))?;
        let mut release = Release {
            policy: self,
            entitlement: &entitlement,
            name,
            agency,
            table: &table,
            base: Vec::new(),
            predicates: Vec::new(),
            demands: Vec::new(),
            elsewhere: Vec::new(),
            notices: Vec::new(),
        };
        let subject = release.subject()?;
        release.row_filter(planner)?;
        let row = release.row_columns(subject)?;
        release.consent(session, row).await?;
        let lists = &entitlement.agreement.do_not_link;
        let on_no_list = release.not_refused_in(lists, "do_not_link", session, row).await?;
        let not_dissenting = release.not_dissenting(session, row).await?;
        release.finish(subject, on_no_list, not_dissenting, planner)
    }
}

impl Policy {
    /// A register as a session's questions read it.
    pub(super) async fn reading<'a>(
        &'a self,
        name: &str,
        session: &'a Session,
        share: &'a Share,
    ) -> Result<RegisterReading<'a>, Error> {
        let unusable = |why: String| Error::RegisterUnusable { register: name.to_owned(), why };
        let register =
            self.set().registers.get(name).ok_or_else(|| unusable("registers.toml does not define it".to_owned()))?;
        let agency = self
            .agencies()
            .get(&register.table.agency)
            .ok_or_else(|| unusable(format!("agency `{}` is not configured", register.table.agency)))?;
        let table = read_table(agency, &register.table.table_name())
            .await?
            .ok_or_else(|| unusable("the agency has no such table".to_owned()))?;
        // What has no class is in none that somebody permitted.
        if register.class.is_some() && share.class.is_none() {
            return Err(unusable("it decides by classes of data, and the share says no `class`".to_owned()));
        }
        Ok(RegisterReading {
            register,
            agency,
            table,
            purpose: &session.purpose,
            recipient: &session.organisation,
            class: share.class.as_deref(),
            today: self.today(),
        })
    }
}

async fn read_table(agency: &Arc<Agency>, name: &source::TableName) -> Result<Option<Arc<Table>>, Error> {
    agency.table(name).await.map_err(|error| Error::Source { agency: agency.name.clone(), source: Arc::new(error) })
}

fn unusable(entitlement: &Entitlement, table: &QualifiedTable, why: String) -> Error {
    Error::AgreementUnusable { agreement: entitlement.agreement.id.clone(), table: table.to_string(), why }
}

/// A released relation in the making.
struct Release<'a> {
    policy: &'a Policy,
    entitlement: &'a Entitlement,
    name: &'a QualifiedTable,
    agency: &'a Arc<Agency>,
    table: &'a Table,
    base: Vec<Column>,
    predicates: Vec<source::Expr>,
    demands: Vec<Demand>,
    elsewhere: Vec<ElsewhereCheck>,
    notices: Vec<ReleaseNotice>,
}

impl Release<'_> {
    fn unusable(&self, why: String) -> Error {
        unusable(self.entitlement, self.name, why)
    }

    fn demand(&mut self, demand: Demand, predicate: source::Expr) {
        self.predicates.push(predicate);
        self.demands.push(demand);
    }

    fn notice(&mut self, text: String) {
        self.notices.push(ReleaseNotice { column: None, text });
    }

    fn column_notice(&mut self, column: &str, what: &str) {
        let text = format!("column `{column}` of `{}` is {what}", self.name);
        self.notices.push(ReleaseNotice { column: Some(column.to_owned()), text });
    }

    fn base_position(&mut self, column: &Column) -> usize {
        if let Some(position) = self.base.iter().position(|known| known.name == column.name) {
            return position;
        }
        self.base.push(column.clone());
        self.base.len() - 1
    }

    fn subject(&mut self) -> Result<Option<(usize, KeyFormat)>, Error> {
        let Some(subject) = self.agency.subjects.get(&self.table.name) else { return Ok(None) };
        let Some(column) = self.table.column(&subject.column).cloned() else {
            return Err(self.unusable(format!("the configured subject column `{}` does not exist", subject.column)));
        };
        if column.column_type.readable() != Some(&DataType::Utf8) {
            return Err(self.unusable(format!("the configured subject column `{}` is not text", subject.column)));
        }
        Ok(Some((self.base_position(&column), subject.format)))
    }

    /// Where the columns stand by which registers are asked about a row.
    fn row_columns(&mut self, subject: Option<(usize, KeyFormat)>) -> Result<Option<RowColumns>, Error> {
        let dated = match &self.entitlement.share.dated_by {
            None => None,
            Some(name) => {
                let Some(column) = self.table.column(name).cloned() else {
                    return Err(
                        self.unusable(format!("`dated_by` names column `{name}`, which the table does not have"))
                    );
                };
                let is_dated = |data_type: &DataType| {
                    matches!(data_type, DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..))
                };
                if !column.column_type.readable().is_some_and(is_dated) {
                    let why = format!("column `{name}` of `dated_by` is not a date, a timestamp or text");
                    return Err(self.unusable(why));
                }
                Some(self.base_position(&column))
            }
        };
        Ok(subject.map(|(subject, format)| RowColumns { subject, format, dated }))
    }

    /// `rows = "…"` of the share: SQL over the table's own columns, which must run at the source exactly.
    fn row_filter(&mut self, planner: &SessionState) -> Result<(), Error> {
        let Some(rows) = &self.entitlement.share.rows else { return Ok(()) };
        let predicate = self.predicate(rows, "its row filter", planner)?;
        self.demand(Demand::RowFilter, predicate);
        Ok(())
    }

    /// A predicate of the share over the table's own columns.
    fn predicate(&mut self, sql: &str, what: &str, planner: &SessionState) -> Result<source::Expr, Error> {
        let readable: Vec<&Column> =
            self.table.columns.iter().filter(|column| column.column_type.readable().is_some()).collect();
        let fields: Vec<Field> = readable
            .iter()
            .filter_map(|column| {
                Some(Field::new(&column.name, column.column_type.readable()?.clone(), column.nullable))
            })
            .collect();
        let outputs: Vec<OutputColumn> = readable.iter().map(|column| OutputColumn::from(*column)).collect();
        let refuse = |why: String| self.unusable(format!("{what} {why}"));
        let schema =
            Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(|_| refuse("has clashing columns".to_owned()))?);
        let parsed = planner
            .create_logical_expr(sql, &schema)
            .map_err(|error| refuse(format!("cannot be read: {}", error.strip_backtrace())))?;
        let context = SimplifyContext::builder().with_schema(Arc::clone(&schema)).build();
        let simplifier = ExprSimplifier::new(context);
        let predicate = simplifier
            .coerce(parsed, &schema)
            .and_then(|expr| simplifier.simplify(expr))
            .map_err(|error| refuse(format!("cannot be read: {}", error.strip_backtrace())))?;
        let predicate = push_exact(&predicate, &schema, &outputs, self.agency.dialect())
            .map_err(|KeptHere(why)| refuse(format!("cannot run at the agency: {why}")))?;
        let positions: Vec<usize> = readable.into_iter().map(|column| self.base_position(column)).collect();
        Ok(predicate.map_columns(&|column| positions.get(column).copied().map_or_else(never, source::Expr::Column)))
    }

    async fn consent(&mut self, session: &Session, row: Option<RowColumns>) -> Result<(), Error> {
        let (registers, no_information) = match &self.entitlement.agreement.consent {
            Consent::NotRequired => return Ok(()),
            Consent::Required { registers, no_information, .. } => (registers.clone(), *no_information),
        };
        if let Some(passed_over) = &self.entitlement.passed_over {
            let how = match passed_over {
                PassedOver::Override { gateway } => format!("consent is overridden under {gateway}"),
                PassedOver::BreakGlass { .. } => "the glass is broken, and the agreement's owner is told".to_owned(),
            };
            let agreement = &self.entitlement.agreement.id;
            self.notice(format!("`{}` is released without asking consent (agreement `{agreement}`): {how}", self.name));
            return Ok(());
        }
        let Some(row) = row else {
            return Err(self.unusable(
                "consent is required, but the configuration names no subject column of the table to look it up by"
                    .to_owned(),
            ));
        };
        // Whoever cannot be identified cannot be asked, and may have refused.
        let identified = source::Expr::IsNotNull(Box::new(canonical(source::Expr::Column(row.subject), row.format)));
        self.demand(Demand::ValidSubjectKey, identified);

        let mut permits_here = Vec::new();
        let mut permits_elsewhere = Vec::new();
        let mut all_here = true;
        for name in &registers {
            let reading = self.policy.reading(name, session, &self.entitlement.share).await?;
            let agency = reading.agency;
            let denies = reading.holds(Entry::Deny);
            if agency.name == self.agency.name {
                if denies {
                    self.demand(Demand::NotRefused { register: name.clone() }, reading.not_refused(row)?);
                }
                permits_here.push(reading.permitted(row)?);
            } else {
                reading.check_elsewhere()?;
                all_here = false;
                if denies {
                    self.elsewhere.push(ElsewhereCheck {
                        register: name.clone(),
                        sets: vec![reading.keys(Entry::Deny)?],
                        kind: SemiKind::NotMatching,
                    });
                }
            }
            permits_elsewhere.push(reading.keys(Entry::Permit)?);
        }
        match no_information {
            Decision::Permit => {}
            Decision::Deny if all_here => {
                self.demand(Demand::Permitted { registers: registers.clone() }, source::Expr::Or(permits_here));
            }
            Decision::Deny => self.elsewhere.push(ElsewhereCheck {
                register: registers.join(", "),
                sets: permits_elsewhere,
                kind: SemiKind::Matching,
            }),
        }
        let rule = match no_information {
            Decision::Permit => "persons who refused are withheld, as are rows without a valid subject key",
            Decision::Deny => "only persons who consented are released, and no rows without a valid subject key",
        };
        self.notice(format!(
            "`{}` is subject to consent (agreement `{}`, {}): {rule}",
            self.name,
            self.entitlement.agreement.id,
            registers.iter().map(|name| format!("register `{name}`")).collect::<Vec<_>>().join(", "),
        ));
        Ok(())
    }

    /// That a row's person has refused in none of these registers, a conjunct a register: what released values depend on.
    async fn not_refused_in(
        &mut self,
        registers: &[String],
        named_by: &str,
        session: &Session,
        row: Option<RowColumns>,
    ) -> Result<Vec<source::Expr>, Error> {
        if registers.is_empty() {
            return Ok(Vec::new());
        }
        let Some(row) = row else {
            return Err(self.unusable(format!("`{named_by}` needs a subject column of the table")));
        };
        if !self.agency.dialect().looks_up_in_values() {
            let why = format!("`{named_by}` needs a database that can compute a single value from a register");
            return Err(self.unusable(why));
        }
        let mut none = Vec::new();
        for name in registers {
            let reading = self.policy.reading(name, session, &self.entitlement.share).await?;
            if reading.agency.name != self.agency.name {
                let agency = &reading.agency.name;
                return Err(self.unusable(format!(
                    "`{named_by}` names register `{name}`, which agency `{agency}` keeps: it must be kept beside the table"
                )));
            }
            none.push(reading.not_refused(row)?);
        }
        Ok(none)
    }

    /// That a row's person does not dissent, where the share tells so.
    async fn not_dissenting(
        &mut self,
        session: &Session,
        row: Option<RowColumns>,
    ) -> Result<Option<Vec<source::Expr>>, Error> {
        if self.entitlement.share.dissent_as.is_none() {
            return Ok(None);
        }
        if row.is_none() {
            return Err(self.unusable("`dissent_as` needs a subject column of the table".to_owned()));
        }
        let registers = &self.entitlement.agreement.record_dissent;
        self.not_refused_in(registers, "record_dissent", session, row).await.map(Some)
    }

    fn finish(
        mut self,
        subject: Option<(usize, KeyFormat)>,
        on_no_list: Vec<source::Expr>,
        not_dissenting: Option<Vec<source::Expr>>,
        planner: &SessionState,
    ) -> Result<ReleasedTable, Error> {
        let share = &self.entitlement.share;
        let mut columns = Vec::with_capacity(share.columns.len());
        let mut fields = Vec::with_capacity(share.columns.len());
        let mut unreadable = Vec::new();
        let mut released_subject = None;
        for name in &share.columns {
            let Some(column) = self.table.column(name).cloned() else {
                return Err(self.unusable(format!("it releases column `{name}`, which the table does not have")));
            };
            let data_type = match &column.column_type {
                source::ColumnType::Readable(data_type) => data_type.clone(),
                source::ColumnType::Unreadable { reason } => {
                    unreadable.push((name.clone(), reason.clone()));
                    self.notice(format!("column `{name}` of `{}` is left out: {reason}", self.name));
                    continue;
                }
            };
            let position = self.base_position(&column);
            let plain = match subject {
                Some((subject, format)) if subject == position => {
                    let key = canonical(source::Expr::Column(position), format);
                    if on_no_list.is_empty() {
                        key
                    } else {
                        self.column_notice(name, "withheld for persons whose records may not be linked");
                        let branches = vec![(source::Expr::And(on_no_list.clone()), key)];
                        hidden(name, source::Expr::Case { branches, otherwise: None })
                    }
                }
                Some(_) | None => source::Expr::Column(position),
            };
            let (value, data_type) = match share.masks.get(name) {
                None => {
                    if subject.is_some_and(|(subject, _)| subject == position) && on_no_list.is_empty() {
                        released_subject = Some(columns.len());
                    }
                    (ColumnValue::Source(plain), data_type)
                }
                Some(rule) => self.mask(name, rule, plain, data_type, planner)?,
            };
            fields.push(Field::new(name, data_type.clone(), true));
            columns.push(ReleasedColumn { name: name.clone(), data_type, value });
        }
        let mut guards = on_no_list;
        if let (Some(name), Some(not_dissenting)) = (&share.dissent_as, not_dissenting) {
            guards.extend(not_dissenting.iter().cloned());
            let truth = |truth| source::Expr::Literal(Value::Boolean(truth));
            let branches = vec![(source::Expr::And(not_dissenting), truth(false))];
            let value = source::Expr::Case { branches, otherwise: Some(Box::new(truth(true))) };
            fields.push(Field::new(name, DataType::Boolean, true));
            let value = ColumnValue::Source(hidden(name, value));
            columns.push(ReleasedColumn { name: name.clone(), data_type: DataType::Boolean, value });
            self.column_notice(name, "whether the person has refused: record it with what you do");
        }
        let hidden = self.table.columns.len().saturating_sub(share.columns.len());
        if hidden > 0 {
            self.notice(format!(
                "`{}` has columns that agreement `{}` does not release",
                self.name, self.entitlement.agreement.id
            ));
        }
        let plain = |name: &String| {
            columns.iter().any(|column| {
                column.name == *name
                    && matches!(
                        column.value,
                        ColumnValue::Source(source::Expr::Column(_) | source::Expr::CanonicalKey { .. })
                    )
            })
        };
        let unique = std::iter::once(&self.table.primary_key)
            .chain(&self.table.unique_keys)
            .filter(|key| !key.is_empty() && key.iter().all(plain))
            .map(|key| key.iter().cloned().collect())
            .collect();
        Ok(ReleasedTable {
            agency: Arc::clone(self.agency),
            name: self.name.clone(),
            agreement: Arc::clone(&self.entitlement.agreement),
            passed_over: self.entitlement.passed_over.clone(),
            columns,
            base: self.base,
            policy: self.predicates,
            demands: self.demands,
            guards,
            subject: subject.map(|(base_column, format)| Subject {
                base_column,
                format,
                released_column: released_subject,
            }),
            elsewhere: self.elsewhere,
            disclose_keys_to: share.disclose_keys_to.clone(),
            join_at_source_with: share.join_at_source_with.clone(),
            row_estimate: self.table.row_estimate,
            unique,
            unreadable,
            notices: self.notices,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    fn mask(
        &mut self,
        name: &str,
        rule: &MaskRule,
        plain: source::Expr,
        data_type: DataType,
        planner: &SessionState,
    ) -> Result<(ColumnValue, DataType), Error> {
        let when = match rule {
            MaskRule::When { when, .. } => {
                Some(self.predicate(when, &format!("the condition of the mask of column `{name}`"), planner)?)
            }
            _ => None,
        };
        let rule = match rule {
            MaskRule::When { mask, .. } => mask.as_ref(),
            rule => rule,
        };
        let is_text = data_type == DataType::Utf8;
        let is_dated = matches!(data_type, DataType::Date32 | DataType::Timestamp(..));
        let wrong_type = |mask: &str, wanted: &str| {
            self.unusable(format!("mask `{mask}` needs {wanted}, which column `{name}` is not"))
        };
        let at_source = |mask| source::Expr::Mask { expr: Box::new(plain.clone()), mask };
        let (value, data_type, word) = match rule {
            MaskRule::Null => (source::Expr::Literal(Value::Null(data_type.clone())), data_type, "withheld"),
            MaskRule::Constant(text) if is_text => {
                (source::Expr::text(text.clone()), data_type, "replaced by a constant")
            }
            MaskRule::Constant(_) => return Err(wrong_type("constant", "text")),
            MaskRule::OutwardPostcode if is_text => {
                (at_source(Mask::OutwardPostcode), data_type, "cut to the outward postcode")
            }
            MaskRule::OutwardPostcode => return Err(wrong_type("outward", "text")),
            MaskRule::YearOfDate if is_dated => (at_source(Mask::YearOfDate), DataType::Int32, "cut to the year"),
            MaskRule::YearOfDate => return Err(wrong_type("year", "a date or timestamp")),
            MaskRule::LastCharacters(count) if is_text => {
                (at_source(Mask::LastCharacters(*count)), data_type, "cut to its last characters")
            }
            MaskRule::LastCharacters(_) => return Err(wrong_type("last", "text")),
            MaskRule::Pseudonym if is_text => {
                let key = self.policy.pseudonym_key.clone().ok_or_else(|| {
                    self.unusable("it masks by pseudonym, but the configuration has no [pseudonyms] key".to_owned())
                })?;
                let agreement = &self.entitlement.agreement;
                let function =
                    Pseudonym::new(key, &agreement.id, &agreement.basis.purpose, agreement.pseudonym_version);
                self.column_notice(name, "a pseudonym");
                return Ok((ColumnValue::Pseudonym { raw: plain, function }, data_type));
            }
            MaskRule::Pseudonym => return Err(wrong_type("pseudonym", "text")),
            MaskRule::When { .. } => return Err(self.unusable("it masks a mask".to_owned())),
        };
        // Where it is unknown whether a row is one of those, it is masked.
        let (value, word) = match when {
            None => (value, word.to_owned()),
            Some(when) => {
                let branches = vec![(source::Expr::Not(Box::new(when)), plain)];
                let value = source::Expr::Case { branches, otherwise: Some(Box::new(value)) };
                (hidden(name, value), format!("{word} in some rows"))
            }
        };
        let base: Vec<OutputColumn> = self.base.iter().map(OutputColumn::from).collect();
        if self.agency.dialect().support(&value, &base) != Support::Exact {
            return Err(self.unusable(format!("the agency's database cannot compute the mask of column `{name}`")));
        }
        self.column_notice(name, &word);
        Ok((ColumnValue::Source(value), data_type))
    }
}

/// A value of which an asker is told no more than that it is the column's.
fn hidden(column: &str, value: source::Expr) -> source::Expr {
    source::Expr::Released { column: column.to_owned(), value: Box::new(value) }
}

/// What stands for a column position that cannot occur: a predicate that holds for no row.
fn never() -> source::Expr {
    source::Expr::Literal(Value::Boolean(false))
}
