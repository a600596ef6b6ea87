//! Released relations: what a table is to one asker.
//!
//! In: an entitlement and the source's description of the table. Out: a [`ReleasedTable`], whose schema has the released
//! columns and nothing else. To DataFusion it is a leaf: no optimizer rule can see, reorder or remove what policy demands.
//! It takes the user's predicates that a source may evaluate beside the consent predicate, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session as PlannerSession, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as NamedColumn, DFSchema, DataFusionError, exec_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::ExecutionPlan;
use wayleave_connector_api as source;
use wayleave_connector_api::{Column, Existence, KeyFormat, Mask, OutputColumn, SemiKind, Support, Table, Value};

use super::consent::{Entry, RegisterReading, canonical};
use super::{ElsewhereCheck, Entitlement, Policy, Pseudonym};
use crate::catalog::Agency;
use crate::error::Error;
use crate::expression::{KeptHere, Pushed, push, push_exact};
use crate::names::QualifiedTable;
use crate::policy::files::{Agreement, Consent, Decision, MaskRule};
use crate::session::Session;

/// A table as one agreement releases it to one session.
#[derive(Clone, Debug)]
pub struct ReleasedTable {
    pub agency: Arc<Agency>,
    pub name: QualifiedTable,
    pub agreement: Arc<Agreement>,
    pub columns: Vec<ReleasedColumn>,
    /// The source columns that the expressions below refer to by position.
    pub base: Vec<Column>,
    /// Conjuncts that every row must satisfy at the source.
    pub policy: Vec<source::Expr>,
    pub subject: Option<Subject>,
    /// Consent kept in another agency's register.
    pub elsewhere: Vec<ElsewhereCheck>,
    /// Agencies to which this table's subject keys may be sent, and as what.
    pub disclose_keys_to: BTreeMap<String, source::KeyDisclosure>,
    /// Agencies whose tables may be joined with this one inside one server.
    pub join_at_source_with: BTreeSet<String>,
    pub row_estimate: Option<u64>,
    /// The declared keys of the table that are released as they are: by the names of their columns.
    pub unique: Vec<BTreeSet<String>>,
    /// Released columns of a type that cannot be read: refused by name, with the reason.
    pub unreadable: Vec<(String, String)>,
    pub notices: Vec<ReleaseNotice>,
    schema: SchemaRef,
}

/// What is withheld of a table, told from the agreement and never from rows: the same whether or not anything was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseNotice {
    /// The released column that it is about, where it is about one: a query that does not use it need not be told.
    pub column: Option<String>,
    pub text: String,
}

/// A column as the asker sees it.
#[derive(Clone, Debug)]
pub struct ReleasedColumn {
    pub name: String,
    pub data_type: DataType,
    pub value: ColumnValue,
}

/// Where a released value comes from.
#[derive(Clone, Debug)]
pub enum ColumnValue {
    /// Computed at the source, over the base columns.
    Source(source::Expr),
    /// Computed here from what the source sends, before anything else sees it.
    Pseudonym { raw: source::Expr, function: Pseudonym },
}

/// Whom a row is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Position in the released table's `base`.
    pub base_column: usize,
    pub format: KeyFormat,
    /// Position in the released table's `columns`, where the key is released unmasked.
    pub released_column: Option<usize>,
}

impl ReleasedTable {
    /// The released columns' types and text order, as a source would compute them.
    pub fn outputs(&self) -> Vec<OutputColumn> {
        let base: Vec<OutputColumn> = self.base.iter().map(OutputColumn::from).collect();
        self.columns
            .iter()
            .map(|column| match &column.value {
                ColumnValue::Source(expr) => expr.output(&base),
                ColumnValue::Pseudonym { .. } => OutputColumn::computed(DataType::Utf8),
            })
            .collect()
    }

    /// The same relation with one more column, the canonical subject key: for counting persons where an output rule
    /// demands it. `None` where no column says whom a row is about.
    pub(super) fn with_person(&self, name: &str) -> Option<Self> {
        let subject = self.subject?;
        let mut table = self.clone();
        let key = canonical(source::Expr::Column(subject.base_column), subject.format);
        table.columns.push(ReleasedColumn {
            name: name.to_owned(),
            data_type: DataType::Utf8,
            value: ColumnValue::Source(key),
        });
        let fields =
            self.schema.fields().iter().map(Arc::clone).chain([Arc::new(Field::new(name, DataType::Utf8, true))]);
        table.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Some(table)
    }

    /// A user's predicate over the released columns, as the source may evaluate it beside the consent predicate.
    ///
    /// # Errors
    /// [`KeptHere`] where it must be evaluated above the release.
    pub fn push_predicate(&self, predicate: &Expr) -> Result<Pushed, KeptHere> {
        let unqualified = predicate
            .clone()
            .transform(|expr| {
                Ok(match expr {
                    Expr::Column(column) => Transformed::yes(Expr::Column(NamedColumn::new_unqualified(column.name))),
                    other => Transformed::no(other),
                })
            })
            .map_err(|_| KeptHere("it cannot be read".to_owned()))?
            .data;
        for column in unqualified.column_refs() {
            let released = self.columns.iter().find(|released| released.name == column.name);
            if let Some(ReleasedColumn { value: ColumnValue::Pseudonym { .. }, .. }) = released {
                return Err(KeptHere("a pseudonym is computed here".to_owned()));
            }
        }
        let schema =
            DFSchema::try_from(self.schema.as_ref().clone()).map_err(|_| KeptHere("its columns clash".to_owned()))?;
        push(&unqualified, &schema, &self.outputs(), self.agency.dialect())
    }
}

#[async_trait]
impl TableProvider for ReleasedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    // INVARIANT: a released relation is read through the federation stage only, which carries its policy. This is the
    // second place: a plan that went round that stage ends here.
    async fn scan(
        &self,
        _state: &dyn PlannerSession,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        exec_err!("a released relation is read through the federation stage only")
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(filters
            .iter()
            .map(|filter| match self.push_predicate(filter) {
                Ok(Pushed::Exact(_)) => TableProviderFilterPushDown::Exact,
                Ok(Pushed::Superset(_)) => TableProviderFilterPushDown::Inexact,
                Err(_) => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }
}

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
            elsewhere: Vec::new(),
            notices: Vec::new(),
        };
        let subject = release.subject()?;
        release.row_filter(planner)?;
        release.consent(session, subject).await?;
        release.finish(subject)
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
    elsewhere: Vec<ElsewhereCheck>,
    notices: Vec<ReleaseNotice>,
}

impl Release<'_> {
    fn unusable(&self, why: String) -> Error {
        unusable(self.entitlement, self.name, why)
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

    /// `rows = "…"` of the share: SQL over the table's own columns, which must run at the source exactly.
    fn row_filter(&mut self, planner: &SessionState) -> Result<(), Error> {
        let Some(rows) = &self.entitlement.share.rows else { return Ok(()) };
        let readable: Vec<&Column> =
            self.table.columns.iter().filter(|column| column.column_type.readable().is_some()).collect();
        let fields: Vec<Field> = readable
            .iter()
            .filter_map(|column| {
                Some(Field::new(&column.name, column.column_type.readable()?.clone(), column.nullable))
            })
            .collect();
        let outputs: Vec<OutputColumn> = readable.iter().map(|column| OutputColumn::from(*column)).collect();
        let refuse = |why: String| self.unusable(format!("its row filter {why}"));
        let schema =
            Arc::new(DFSchema::try_from(Schema::new(fields)).map_err(|_| refuse("has clashing columns".to_owned()))?);
        let parsed = planner
            .create_logical_expr(rows, &schema)
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
        self.predicates.push(
            predicate.map_columns(&|column| positions.get(column).copied().map_or_else(never, source::Expr::Column)),
        );
        Ok(())
    }

    async fn consent(&mut self, session: &Session, subject: Option<(usize, KeyFormat)>) -> Result<(), Error> {
        let (registers, no_information) = match &self.entitlement.agreement.consent {
            Consent::NotRequired => return Ok(()),
            Consent::Required { registers, no_information, .. } => (registers.clone(), *no_information),
        };
        let Some((column, format)) = subject else {
            return Err(self.unusable(
                "consent is required, but the configuration names no subject column of the table to look it up by"
                    .to_owned(),
            ));
        };
        // Whoever cannot be identified cannot be asked, and may have refused.
        self.predicates.push(source::Expr::IsNotNull(Box::new(canonical(source::Expr::Column(column), format))));

        let mut permits_here = Vec::new();
        let mut permits_elsewhere = Vec::new();
        let mut all_here = true;
        for name in &registers {
            let register = self.policy.set().registers.get(name).ok_or_else(|| Error::RegisterUnusable {
                register: name.clone(),
                why: "registers.toml does not define it".to_owned(),
            })?;
            let agency = self.policy.agencies().get(&register.table.agency).ok_or_else(|| Error::RegisterUnusable {
                register: name.clone(),
                why: format!("agency `{}` is not configured", register.table.agency),
            })?;
            let table = read_table(agency, &register.table.table_name()).await?.ok_or_else(|| {
                Error::RegisterUnusable { register: name.clone(), why: "the agency has no such table".to_owned() }
            })?;
            let reading = RegisterReading {
                register,
                agency,
                table,
                purpose: &session.purpose,
                recipient: &session.organisation,
                today: self.policy.today(),
            };
            let denies = reading.holds(Entry::Deny);
            if agency.name == self.agency.name {
                if denies {
                    self.predicates.push(reading.probe(Entry::Deny, column, format, Existence::Forbidden)?);
                }
                permits_here.push(reading.probe(Entry::Permit, column, format, Existence::Required)?);
            } else {
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
            Decision::Deny if all_here => self.predicates.push(source::Expr::Or(permits_here)),
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

    fn finish(mut self, subject: Option<(usize, KeyFormat)>) -> Result<ReleasedTable, Error> {
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
                Some((subject, format)) if subject == position => canonical(source::Expr::Column(position), format),
                Some(_) | None => source::Expr::Column(position),
            };
            let (value, data_type) = match share.masks.get(name) {
                None => {
                    if subject.is_some_and(|(subject, _)| subject == position) {
                        released_subject = Some(columns.len());
                    }
                    (ColumnValue::Source(plain), data_type)
                }
                Some(rule) => self.mask(name, rule, plain, data_type)?,
            };
            fields.push(Field::new(name, data_type.clone(), true));
            columns.push(ReleasedColumn { name: name.clone(), data_type, value });
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
            columns,
            base: self.base,
            policy: self.predicates,
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
    ) -> Result<(ColumnValue, DataType), Error> {
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
                let function = Pseudonym::new(key, &agreement.id, &agreement.basis.purpose);
                self.column_notice(name, "a pseudonym");
                return Ok((ColumnValue::Pseudonym { raw: plain, function }, data_type));
            }
            MaskRule::Pseudonym => return Err(wrong_type("pseudonym", "text")),
        };
        let base: Vec<OutputColumn> = self.base.iter().map(OutputColumn::from).collect();
        if self.agency.dialect().support(&value, &base) != Support::Exact {
            return Err(self.unusable(format!("the agency's database cannot compute the mask of column `{name}`")));
        }
        self.column_notice(name, word);
        Ok((ColumnValue::Source(value), data_type))
    }
}

/// What stands for a column position that cannot occur: a predicate that holds for no row.
fn never() -> source::Expr {
    source::Expr::Literal(Value::Boolean(false))
}
