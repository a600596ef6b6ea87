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
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use wayleave_connector_api as source;
use wayleave_connector_api::{Column, KeyFormat, OutputColumn};

use super::consent::canonical;
use super::{ElsewhereCheck, PassedOver, Pseudonym};
use crate::catalog::Agency;
use crate::expression::{KeptHere, Pushed, push};
use crate::names::QualifiedTable;
use crate::policy::files::Agreement;

/// A table as one agreement releases it to one session.
#[derive(Clone, Debug)]
pub struct ReleasedTable {
    pub agency: Arc<Agency>,
    pub name: QualifiedTable,
    pub agreement: Arc<Agreement>,
    /// Why consent is not asked, where it otherwise would be.
    pub passed_over: Option<PassedOver>,
    pub columns: Vec<ReleasedColumn>,
    /// The source columns that the expressions below refer to by position.
    pub base: Vec<Column>,
    /// Conjuncts that every row must satisfy at the source.
    pub policy: Vec<source::Expr>,
    /// What each conjunct is there for, in the same order.
    pub demands: Vec<Demand>,
    /// Looks into registers that stand in released values, where they decide what of a row is hidden.
    pub guards: Vec<source::Expr>,
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
    pub(super) schema: SchemaRef,
}

/// What a conjunct of a released relation is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// `rows` of the share.
    RowFilter,
    /// Whoever cannot be identified cannot be asked for consent.
    ValidSubjectKey,
    /// The register holds no refusal that decides.
    NotRefused { register: String },
    /// One of the registers holds a permission that decides.
    Permitted { registers: Vec<String> },
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
